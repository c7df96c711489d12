"""Reads what datasets have: rows of tables, of which those of models are scores and those of the failure
table are failures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transforms.datasets.event_files import InputFile, read_file
from transforms.datasets.manifests import files_below
from transforms.datasets.score_order import order
from transforms.datasets.storage_paths import Place, address_of
from transforms.events.error_events import origin_of
from transforms.events.parsing import NotAnEventError, parse
from transforms.events.prediction_summary import read_prediction
from transforms.events.score_events import score_id
from transforms.events.source_events import rev_id_of, wiki_of
from transforms.models.model import Model

Row = Mapping[str, Any]
_OF_FAILURES = ("error_type", "message", "raw_event")


def rows_in(place: Place, fields: frozenset[str] | None = None) -> Iterator[Row]:
    """Yields all rows below a place, or some fields of theirs; none when there is no such place. Raises
    NotAnEventError for what cannot be read."""
    for path in sorted(map(address_of, files_below(place))):
        for raw in read_file(InputFile(path, "", None), fields):
            if raw.problem:
                raise NotAnEventError(raw.problem)
            yield parse(raw.data) if isinstance(raw.data, bytes) else raw.data


def scores_in(place: Place, model: str, fields: frozenset[str] | None = None) -> Iterator[Row]:
    """Yields the scores of a model that lie at a place, or some fields of theirs. Raises NotAnEventError for
    what cannot be read or is none."""
    for row in rows_in(place, fields):
        try:
            order(row), read_prediction(row, model)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise NotAnEventError(
                f"{place}: expected scores of {model}, found a row that is none ({error!r:.100})"
            ) from error
        yield row


def failures_in(place: Place) -> Iterator[Row]:
    """Yields the rows of the failure table that lie at a place. Raises NotAnEventError for what cannot be
    read or is none."""
    for row in rows_in(place):
        if not (
            isinstance(row.get("meta"), dict)
            and all(isinstance(text, str) for text in (row["meta"].get("id"), *map(row.get, _OF_FAILURES)))
        ):
            raise NotAnEventError(f"{place}: expected failures, found a row that is none")
        yield row


def score_of(failure: Row, model: Model) -> str | None:
    """Returns the `meta.id` that the score would have had in whose stead a row of the failure table is; None
    when it is of no score of this model."""
    if origin_of(failure)[1] != model.name:
        return None
    try:
        return score_id(parse(failure["raw_event"]), model.stream)
    except (NotAnEventError, KeyError, AttributeError):  # its original was cut
        return None


def revision_of(failure: Row) -> Mapping[str, Any]:
    """Returns wiki and revision of a row of the failure table; None for both when its original was cut."""
    try:
        raw = parse(failure["raw_event"])
    except NotAnEventError:  # its original was cut
        return {"wiki": None, "rev_id": None}
    return {"wiki": wiki_of(raw), "rev_id": rev_id_of(raw)}


def wiki_of_failure(failure: Row) -> str | None:
    """Returns the wiki of a row of the failure table; None when its original was cut."""
    wiki: str | None = revision_of(failure)["wiki"]
    return wiki
