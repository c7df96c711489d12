"""The kinds of values that a models file has: what each must be, how to tell, and an example."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import schemas
from pipeline.config.strict_yaml import Kind
from transforms.events.source_events import REVISION_CREATE
from transforms.events.source_events import STREAMS as SOURCES
from transforms.lift_wing.credentials import read_token
from transforms.models.adapters import KINDS
from transforms.models.event_kinds import EVENT_KINDS

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_STREAM = re.compile(r"[A-Za-z0-9._-]+")  # what Kafka allows in the name of a topic


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_contact(value: Any) -> bool:
    """Returns whether a User-Agent can hold a value as its contact."""
    return (
        isinstance(value, str)
        and re.fullmatch(r"[\x21-\x27\x2a-\x7e]([\x20-\x27\x2a-\x7e]*[\x21-\x27\x2a-\x7e])?", value)
        is not None
    )


def _holds_token(path: str) -> bool:
    try:
        return bool(read_token(path))
    except (OSError, ValueError):
        return False


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def is_url(value: Any) -> bool:
    """Returns whether a value is the address of a server, without a query, a fragment or a password."""
    if not isinstance(value, str) or re.search(r"[\s?#@\\]", value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return False


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(is_name(item) for item in value)
        and len(set(value)) == len(value)
    )


def is_name(value: Any) -> bool:
    """Returns whether a host and a URL can hold a value as it is."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_stream(value: Any) -> bool:
    return isinstance(value, str) and _STREAM.fullmatch(value) is not None


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and "{model}" in value and _is_stream(value.replace("{model}", "x"))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


FLAG: Kind[bool] = Kind("true or false", "false", lambda value: isinstance(value, bool))
COUNT: Kind[int] = Kind("a whole number of at least 1", "5", lambda value: _is_whole(value, 1))
LIMIT: Kind[int] = Kind("a whole number, 0 to let the requests wait", "5", lambda value: _is_whole(value, 0))
NUMBER: Kind[int] = Kind("a whole number", "1", lambda value: _is_whole(value, 0))
SECONDS: Kind[float] = Kind("a number of seconds above 0", "30", _is_duration)
RATE: Kind[float | None] = Kind("a number of calls above 0", "100", _is_duration)
URL: Kind[str] = Kind(
    "an http or https address without user, query or fragment",
    "https://inference.discovery.wmnet:30443",
    is_url,
)
CA_FILE: Kind[str | None] = Kind(
    "a PEM file that exists",
    "/etc/ssl/certs/ca-certificates.crt",
    lambda value: _is_text(value) and Path(value).is_file(),
)
TOKEN_FILE: Kind[str | None] = Kind(
    "a file with a token", "/etc/revision-scores/token", lambda value: _is_text(value) and _holds_token(value)
)
CONTACT: Kind[str | None] = Kind(
    "an address or page of whoever runs this, in ASCII without brackets",
    '"https://meta.wikimedia.org/wiki/User:Example"',
    lambda value: is_contact(value),
)
TEMPLATE: Kind[str] = Kind(
    "a stream name of letters, digits and ._- with {model} in it",
    '"mediawiki.revision-score-{model}"',
    _is_template,
)
STREAM_NAME: Kind[str] = Kind(
    "a stream name of letters, digits and ._-", "mediawiki.revision-score.error", _is_stream
)
BOTH: Sequence[str] = ("eqiad", "codfw")
VERSIONS = [
    schema.rpartition("/")[2] for schema in (schemas.PREDICTION_CHANGE, schemas.PREDICTION_CHANGE_1_1)
]
VERSION: Kind[str] = Kind(
    f"a version of page/prediction_classification_change, {' or '.join(VERSIONS)}",
    VERSIONS[0],
    lambda value: value in VERSIONS,
)
DATACENTERS: Kind[Sequence[str]] = Kind("a list of different datacenter names", "[eqiad, codfw]", _is_names)
NAMESPACE: Kind[str] = Kind(
    "a Kubernetes namespace of a-z, 0-9, _ and -", "revscoring-editquality-damaging", is_name
)
ON: Kind[str] = Kind(
    f"one of {', '.join(EVENT_KINDS)}", "edit", lambda value: isinstance(value, str) and value in EVENT_KINDS
)
MATCH: Kind[Mapping[str, Any]] = Kind("a mapping", "{page_namespace: 0}", _is_mapping)
ALTERNATIVES: Kind[Any] = Kind(
    "a mapping or a list of mappings",
    "[{performer: {user_groups: [bot]}}]",
    lambda value: _is_mapping(value) or (isinstance(value, list) and all(map(_is_mapping, value))),
)
LIFT_WING: Kind[Mapping[str, Any]] = Kind(
    "a mapping", "{url: https://inference.discovery.wmnet:30443}", _is_mapping
)
STREAMS: Kind[Mapping[str, Any]] = Kind(
    "a mapping",
    '{score: "mediawiki.revision-score-{model}", failure: mediawiki.revision-score.error}',
    _is_mapping,
)
KIND: Kind[str] = Kind(
    f"one of {', '.join(KINDS)}", "revscoring", lambda value: isinstance(value, str) and value in KINDS
)
SOURCE: Kind[str] = Kind(
    f"one of {', '.join(SOURCES)}", REVISION_CREATE, lambda value: isinstance(value, str) and value in SOURCES
)
SERVICE: Kind[str | None] = Kind("the name of a service of a-z, 0-9, _ and -", "articlequality", is_name)
WIKIS_FILE: Kind[str | None] = Kind("the name of a file", "wikis.tsv", _is_text)
MODEL_EXAMPLE = "{namespace: revscoring-editquality-damaging, wikis: [enwiki]}"
MODELS: Kind[Mapping[str, Any]] = Kind(
    "a mapping of at least one model",
    f"{{damaging: {MODEL_EXAMPLE}}}",
    lambda value: _is_mapping(value) and bool(value),
)
