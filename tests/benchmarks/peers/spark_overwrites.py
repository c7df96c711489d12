"""Spark, which reads all rows of a place again and again until a file is there, and says of each read in a
line of JSON how many rows of which `page_id` it found, or why it found none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession


def main() -> None:
    place, end = sys.argv[1:]
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    while not Path(end).exists():
        try:
            rows = spark.read.parquet(place).groupBy("page_id").count().collect()
            print("read", json.dumps({str(row[0]): row[1] for row in rows}), flush=True)
        except Exception as error:  # whatever Spark says of a file that is not there any more
            print("read", json.dumps(str(error).strip().splitlines()[0][:200]), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
