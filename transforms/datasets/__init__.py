"""Files, tables and units of batch work."""
