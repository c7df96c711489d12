"""Whether the schema of each stream can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import fastjsonschema
import yaml

import schemas
from pipeline.checks.findings import Finding, ok, wrong

_THING = "schemas"


def look(streams: Mapping[str, str]) -> list[Finding]:
    """Returns a line for each problem with a schema, or one for all.

    `streams`: each with the URI of its schema.
    """
    problems = {stream: problem for stream, uri in streams.items() if (problem := _problem(uri))}
    return [wrong(_THING, text) for text in _by_problem(problems)] or [
        ok(_THING, ", ".join(sorted(set(streams.values()))))
    ]


def _problem(uri: str) -> str:
    """Returns why events cannot be validated by a schema; empty where they can."""
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
