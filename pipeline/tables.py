"""The command `tables`: statements that make tables of the datasets, and one view over all models."""

from __future__ import annotations

import argparse

import schemas
from transforms.models import Configuration

ALL = "mediawiki_revision_score_all"
_PARTITIONED_BY = "`datacenter` string, `year` bigint, `month` bigint, `day` bigint, `hour` bigint"


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Prints them for Hive and Spark, or for DuckDB. Gives 0."""
    root: str = arguments.root.rstrip("/")
    of_models = [schemas.table_name(model.stream) for model in configuration.models.values()]
    of_failures = schemas.table_name(configuration.failure_stream)
    if arguments.dialect == "hive":
        for table in [*of_models, of_failures]:
            print(_hive_table(table, schemas.ERROR if table == of_failures else schemas.REVISION_SCORE, root))
    else:
        for table in of_models:
            print(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM read_parquet('{root}/{table}/**/*.parquet', hive_partitioning = true);")
    union = "\n  UNION ALL ".join(f"SELECT '{model}' AS model, * FROM {table}" for model, table in zip(configuration.models, of_models, strict=True))
    print(f"CREATE OR REPLACE VIEW {ALL} AS\n  {union};")
    return 0


def _hive_table(table: str, schema: str, root: str) -> str:
    columns = ",\n  ".join(f"`{column.name}` {schemas.hive_type(column.type)}" for column in schemas.arrow_schema(schema))
    place = f"PARTITIONED BY ({_PARTITIONED_BY})\nSTORED AS PARQUET\nLOCATION '{root}/{table}'"
    return f"CREATE EXTERNAL TABLE IF NOT EXISTS `{table}` (\n  {columns}\n)\n{place};\nMSCK REPAIR TABLE `{table}`;"
