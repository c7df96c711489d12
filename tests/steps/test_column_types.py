"""Each column of an export, and each field of a struct, in each type that a table can have: whoever is asked
for a score can get one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest

import schemas
from pipeline.config.models_file import load
from tests.support.events import ROOT, edit
from transforms.elements import Score, SourceRecord
from transforms.events.parsing import NotAnEventError, event_in, why_dropped
from transforms.events.score_events import utc_now
from transforms.models.adapters import KINDS
from transforms.models.model import Configuration
from transforms.models.scorable import why_no_score
from transforms.models.selection import Selection

CHANGE = {
    **orjson.loads((ROOT / "tests" / "data" / "page_change_1.3.0.json").read_bytes()),
    "$schema": "/mediawiki/page/change/1.2.0",
}
VALUES = {
    "text": pa.array(["x"]),
    "digits": pa.array(["7"]),
    "long text": pa.array(["x" * 300_000]),
    "a zero in a text": pa.array(["a\x00b"]),
    "integer": pa.array([7]),
    "negative": pa.array([-7]),
    "large": pa.array([2**62]),
    "unsigned": pa.array([2**64 - 1], pa.uint64()),
    "double": pa.array([7.5]),
    "NaN": pa.array([float("nan")]),
    "infinite": pa.array([float("inf")]),
    "boolean": pa.array([True]),
    "timestamp": pa.array([datetime(2024, 1, 1)], pa.timestamp("us")),
    "timestamp of long ago": pa.array([-(10**17)]).cast(pa.timestamp("us")),
    "timestamp far away": pa.array([10**18]).cast(pa.timestamp("us")),
    "date": pa.array([date(2024, 1, 1)]),
    "time": pa.array([1], pa.time64("us")),
    "duration": pa.array([timedelta(1)]),
    "decimal": pa.array([Decimal("7")]),
    "decimal with a fraction": pa.array([Decimal("7.5")]),
    "bytes": pa.array([b"\xff"]),
    "bytes of a lone surrogate": pa.array([b"\xed\xa0\x80"]),
    "list": pa.array([["a"]]),
    "list of integers": pa.array([[1]]),
    "empty list": pa.array([[]], pa.list_(pa.string())),
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "map with bytes as keys": pa.array([[(b"\xff", 1)]], pa.map_(pa.binary(), pa.int64())),
    "empty map": pa.array([[]], pa.map_(pa.string(), pa.string())),
    "struct": pa.array([{"a": 1}]),
    "null": pa.nulls(1),
}


def paths(fields: Sequence[pa.Field], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Of each column, and of each field in it."""
    for each in fields:
        yield (*above, each.name)
        if pa.types.is_struct(each.type):
            yield from paths(
                [each.type.field(place) for place in range(each.type.num_fields)], (*above, each.name)
            )


def with_value(column: pa.Array, path: Sequence[str], value: pa.Array) -> pa.Array:
    if not path:
        return value
    names = [column.type.field(place).name for place in range(column.type.num_fields)]
    fields = [
        with_value(column.field(name), path[1:], value) if name == path[0] else column.field(name)
        for name in names
    ]
    return pa.StructArray.from_arrays(fields, names)


@pytest.mark.parametrize(
    ("schema", "event", "models"),
    [
        ("/mediawiki/revision/create/2.0.0", edit(), "models"),
        (CHANGE["$schema"], CHANGE, "page_change_models"),
    ],
)
def test_whoever_is_asked_for_a_score_can_get_one(schema: str, event: dict[str, Any], models: str) -> None:
    configuration = load(ROOT / "pipeline" / f"{models}.yaml")
    selection = Selection(configuration.models)
    (row,) = pa.Table.from_pylist([schemas.table_row(event)], schemas.arrow_schema(schema)).to_batches()
    fates: Counter[str] = Counter()
    for name, *within in paths(list(row.schema)):
        columns = dict(zip(row.schema.names, row.columns, strict=True))
        for value in VALUES.values():
            wrong = pa.RecordBatch.from_pydict({**columns, name: with_value(columns[name], within, value)})
            fates.update(fates_of(wrong, configuration, selection))
    assert min(fates[fate] for fate in ("no event", "refused", "scored")) > 50, fates


def fates_of(row: pa.RecordBatch, configuration: Configuration, selection: Selection) -> Iterator[str]:
    """Raises InvalidEventError where somebody would be asked in vain."""
    (found,) = schemas.events_of_batch(row)
    try:
        event = event_in(
            SourceRecord(found.event, "eqiad", problem=found.reason)
            if isinstance(found, schemas.BadRow)
            else SourceRecord(found, "eqiad")
        )
    except NotAnEventError:
        yield "no event"
        return
    for endpoint in selection.endpoints(event) if not why_dropped(event) else ():
        model = configuration.models[endpoint.model]
        if why_no_score(event, model.schema):
            yield "refused"
            continue
        schemas.validator(model.schema)(
            KINDS[model.kind].build(event, model.score_stream, Score("1", True, {}), utc_now())
        )
        yield "scored"
