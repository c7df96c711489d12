"""What crosses the border: Wikimedia's event schemas, by their `$schema` path, as validators and as table
types."""

from schemas.event_schemas import (
    ERROR,
    PREDICTION_CHANGE,
    PREDICTION_CHANGE_1_1,
    REVISION_SCORE,
    InvalidEventError,
    load,
    validator,
)
from schemas.table_rows import BadRow, event_of_record, events_of_batch
from schemas.table_types import arrow_schema, avro_schema, column_name, hive_type, table_name, table_row

__all__ = [
    "ERROR",
    "PREDICTION_CHANGE",
    "PREDICTION_CHANGE_1_1",
    "REVISION_SCORE",
    "BadRow",
    "InvalidEventError",
    "arrow_schema",
    "avro_schema",
    "column_name",
    "event_of_record",
    "events_of_batch",
    "hive_type",
    "load",
    "table_name",
    "table_row",
    "validator",
]
