"""A file for each source and sink outside."""
