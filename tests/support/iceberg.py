"""A catalog of Iceberg in SQLite, and what readers find in its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyiceberg.catalog
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table
from pyiceberg.utils.config import Config

import schemas
from pipeline.batch.publication import open_catalog

CATALOG, NAMESPACE = "lake", "event"


def catalog_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, warehouse: str | None = None, **properties: str
) -> Catalog:
    """A catalog that pyiceberg's environment describes, for commands too."""
    told = {
        "type": "sql",
        "uri": f"sqlite:///{folder}/catalog.db",
        "warehouse": warehouse or f"file://{folder}/warehouse",
        **properties,
    }
    for name, value in told.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__{CATALOG.upper()}__{name.upper().replace('.', '__')}", value)
    monkeypatch.setattr(pyiceberg.catalog, "_ENV_CONFIG", Config())  # which it read when it was imported
    return open_catalog(CATALOG)


def rows_of(table: Table, snapshot: int | None = None) -> list[Any]:
    """All rows as events, but for when they were written; `snapshot`: by its id, None for the newest."""
    batches = table.scan(snapshot_id=snapshot).to_arrow().to_batches()
    events: list[Any] = [event for batch in batches for event in schemas.events_of_batch(batch)]
    for event in events:
        del event["meta"]["dt"]
        if not event.get("errors", True):  # pyiceberg reads a map that is null as an empty one
            del event["errors"]
        if "message" in event:
            del event["dt"]
    return sorted(events, key=orjson.dumps)
