"""Spark, which reads snapshots of a table of Iceberg: of each the rows and the sum of the probabilities of a
label by wiki, a line of JSON each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from pyspark.sql import SparkSession

ARTIFACT = "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.9.2"
TARGET = Path(__file__).parent / "target" / "iceberg"


def main() -> None:
    metadata, *snapshots = sys.argv[1:]
    if not any(TARGET.glob("*.jar")):
        fetch = ["mvn", "-q", "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={TARGET}"]
        subprocess.run(fetch, check=True)
    (jar,) = TARGET.glob("*.jar")
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.jars", str(jar))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    for snapshot in snapshots:
        table = spark.read.format("iceberg").option("snapshot-id", snapshot).load(metadata)
        table.createOrReplaceTempView("scores")
        found = spark.sql(
            "select database, count(*), sum(scores['damaging'].probability['true']) from scores "
            "where dt >= timestamp '2000-01-01 00:00:00' group by database"
        )
        print("answer", json.dumps(sorted([list(row) for row in found.collect()])), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
