"""What crosses the border: Wikimedia's event schemas, by their `$schema` path, as validators and as table types."""

from schemas.event_schemas import InvalidEvent, load, validator
from schemas.table_types import arrow_schema, avro_schema, column_name, hive_type, table_name, table_row

__all__ = ["InvalidEvent", "arrow_schema", "avro_schema", "column_name", "hive_type", "load", "table_name", "table_row", "validator"]
