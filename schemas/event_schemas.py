"""The JSON schemas of wikimedia/schemas-event-primary (commit 43aeb4a), fragments resolved, loaded and
compiled by `$schema` path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import yaml

from schemas.validation import compile_check

REVISION_SCORE = "/mediawiki/revision/score/3.0.0"
PREDICTION_CHANGE = "/mediawiki/page/prediction_classification_change/1.3.0"
# for an EventGate that has no newer one
PREDICTION_CHANGE_1_1 = "/mediawiki/page/prediction_classification_change/1.1.0"
ERROR = "/error/2.1.0"

_FOLDER = Path(__file__).parent / "jsonschema"


class InvalidEventError(ValueError):
    """An event that its schema does not allow."""


@cache
def load(uri: str) -> Mapping[str, Any]:
    """Returns the schema that `uri` names, such as /mediawiki/revision/score/3.0.0. Raises KeyError when
    there is none."""
    file = _FOLDER / f"{uri.lstrip('/')}.yaml"
    if not file.is_file():
        raise KeyError(f"no schema {uri} in {_FOLDER}")
    schema: Mapping[str, Any] = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return schema


@cache
def validator(uri: str) -> Callable[[Mapping[str, Any]], None]:
    """Returns a compiled check of events against the schema `uri`; it raises InvalidEventError with the field
    and the rule it breaks."""
    # The draft is named with https in these files, which fastjsonschema does not know; without it it takes
    # draft 7, which they are.
    schema = {key: value for key, value in load(uri).items() if key not in ("$schema", "$id", "examples")}
    check = compile_check(schema)

    def validate(event: Mapping[str, Any]) -> None:
        try:
            check(event)
        except fastjsonschema.JsonSchemaException as error:
            raise InvalidEventError(
                f"not valid against {uri}: {error.message.removeprefix('data.')}"
            ) from error

    return validate
