"""Writes real events as a real Spark writes tables, in its layouts and codecs: the files of
`test_spark_layouts.py`.

python -m tests.benchmarks.peers.run_pyspark spark_layouts.py tests/data/real_pairs.jsonl tests/data/spark
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession, functions

EVENTS = 6
PARTITIONS = ["datacenter", "year", "month", "day", "hour"]
AVRO = "org.apache.spark:spark-avro_2.12:3.5.7"


def main() -> None:
    pairs, folder = Path(sys.argv[1]), Path(sys.argv[2]).resolve()
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.jars.packages", AVRO)
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    with tempfile.TemporaryDirectory() as temporary:
        lines = Path(temporary) / "events.json"
        events = [
            json.loads(line)["event"] for line in pairs.read_text(encoding="utf-8").splitlines()[:EVENTS]
        ]
        lines.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        write_all(spark, spark.read.json(str(lines)).coalesce(1), folder)
    spark.stop()


def write_all(spark: SparkSession, events: DataFrame, folder: Path) -> None:
    for codec in ("none", "snappy", "gzip", "zstd", "lz4", "lz4raw"):
        events.write.parquet(str(folder / f"parquet-{codec}"), compression=codec)
    for codec in ("none", "gzip", "bzip2", "deflate", "snappy", "lz4"):
        events.write.json(str(folder / f"json-{codec}"), compression=codec)
    events.select(functions.to_json(functions.struct("*"))).write.text(
        str(folder / "text-gzip"), compression="gzip"
    )
    # as Wikimedia's Hive tables have it, and Avro wants it
    events = events.withColumnRenamed("$schema", "_schema")
    for codec in ("uncompressed", "snappy", "deflate", "bzip2", "xz", "zstandard"):
        spark.conf.set("spark.sql.avro.compression.codec", codec)
        events.write.format("avro").save(str(folder / f"avro-{codec}"))
    by_hour = with_partitions(events)
    by_hour.write.partitionBy(*PARTITIONS).parquet(str(folder / "hive"))
    unknown_hour = by_hour.withColumn(
        "hour", functions.when(functions.col("rev_id") % 2 == 0, functions.col("hour"))
    )
    unknown_hour.write.partitionBy(*PARTITIONS).parquet(str(folder / "hive-default-partition"))
    by_hour.repartition(3).write.option("maxRecordsPerFile", 1).partitionBy(*PARTITIONS).json(
        str(folder / "hive-many-files"), compression="gzip"
    )
    for kind in ("INT96", "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS"):
        spark.conf.set("spark.sql.parquet.outputTimestampType", kind)
        with_times(events).write.parquet(str(folder / f"parquet-{kind}"))
    events.write.orc(str(folder / "orc"))
    events.select("database", "rev_id", "rev_timestamp").write.csv(str(folder / "csv"), header=True)


def with_partitions(events: DataFrame) -> DataFrame:
    time: Any = functions.to_timestamp("meta.dt")
    found = events.withColumn("datacenter", functions.lit("codfw"))
    for part in ("year", "month", "hour"):
        found = found.withColumn(part, getattr(functions, part)(time))
    return found.withColumn("day", functions.dayofmonth(time))


def with_times(events: DataFrame) -> DataFrame:
    """Times as Spark's own type for them."""
    times = events.withColumn("meta", events.meta.withField("dt", functions.to_timestamp("meta.dt")))
    return times.withColumn("rev_timestamp", functions.to_timestamp("rev_timestamp"))


if __name__ == "__main__":
    main()
