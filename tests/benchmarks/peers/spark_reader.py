"""Spark with an embedded Hive metastore: takes the statements of `tables`, and answers the questions of
readers.py with a line of JSON each."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession


def main() -> None:
    statements, questions, folder = map(Path, sys.argv[1:])
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
    )
    metastore = f"jdbc:derby:;databaseName={folder / 'metastore'};create=true"
    builder = builder.config(
        "spark.driver.extraJavaOptions", f"-Dderby.stream.error.file={folder / 'derby.log'}"
    )
    spark = (
        builder.config("spark.hadoop.javax.jdo.option.ConnectionURL", metastore)
        .enableHiveSupport()
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    for statement in statements.read_text().split(";"):
        if statement.strip():
            spark.sql(statement)
    for question in json.loads(questions.read_text()):
        found = spark.sql(question)
        rows = sorted([list(row) for row in found.collect()])
        print("answer", json.dumps([rows, len(found.inputFiles())]), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
