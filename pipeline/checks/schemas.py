"""Whether the schema of each stream can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import fastjsonschema
import yaml

import schemas
from pipeline.checks.findings import Finding, ok, wrong

_THING = "schemas"


def look(streams: Mapping[str, str]) -> list[Finding]:
    """`streams`: the URI of each one's schema."""
    problems = {stream: problem for stream, uri in streams.items() if (problem := _problem(uri))}
    return [wrong(_THING, text) for text in _by_problem(problems)] or [
        ok(_THING, ", ".join(sorted(set(streams.values()))))
    ]


def _problem(uri: str) -> str:
    """Why events cannot be held against the schema, if they cannot."""
    try:
        schemas.validator(uri)
    except KeyError as error:
        return str(error.args[0])
    except (OSError, yaml.YAMLError, fastjsonschema.JsonSchemaDefinitionException) as error:
        return f"the schema {uri} cannot be used: {error}"
    return ""


def _by_problem(problems: Mapping[str, str]) -> Iterator[str]:
    for problem in dict.fromkeys(problems.values()):
        yield (
            f"{problem}, for {', '.join(stream for stream, its in problems.items() if its == problem)}; "
            "install revision-scores again"
        )
