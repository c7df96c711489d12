"""The command `tables`: statements that make tables of the datasets, and one view over all models of revision scores."""

from __future__ import annotations

import argparse

import schemas
from transforms.models import Configuration

ALL = "mediawiki_revision_score_all"
_PARTITIONED_BY = "`datacenter` string, `year` bigint, `month` bigint, `day` bigint, `hour` bigint"


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Prints them for Hive and Spark, or for DuckDB. Gives 0."""
    root: str = arguments.root.rstrip("/")
    of_models = {schemas.table_name(model.stream): model for model in configuration.models.values()}
    of_failures = schemas.table_name(configuration.failure_stream)
    if arguments.dialect == "hive":
        for table, schema in {**{table: model.schema for table, model in of_models.items()}, of_failures: schemas.ERROR}.items():
            print(_hive_table(table, schema, root))
    else:
        for table in of_models:
            print(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM read_parquet('{root}/{table}/**/*.parquet', hive_partitioning = true);")
    alike = {table: model.name for table, model in of_models.items() if model.schema == schemas.REVISION_SCORE}
    if alike:
        union = "\n  UNION ALL ".join(f"SELECT '{model}' AS model, * FROM {table}" for table, model in alike.items())
        print(f"CREATE OR REPLACE VIEW {ALL} AS\n  {union};")
    return 0


def _hive_table(table: str, schema: str, root: str) -> str:
    columns = ",\n  ".join(f"`{column.name}` {schemas.hive_type(column.type)}" for column in schemas.arrow_schema(schema))
    place = f"PARTITIONED BY ({_PARTITIONED_BY})\nSTORED AS PARQUET\nLOCATION '{root}/{table}'"
    return f"CREATE EXTERNAL TABLE IF NOT EXISTS `{table}` (\n  {columns}\n)\n{place};\nMSCK REPAIR TABLE `{table}`;"
