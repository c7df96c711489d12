"""Whether the models file can be read, with the options that say something else than it does."""

from __future__ import annotations

from pathlib import Path

from pipeline.checks.findings import Finding, ok, wrong
from pipeline.config.models_file import ConfigurationError, load
from pipeline.config.overrides import Overrides, apply_overrides
from pipeline.usage_error import UsageError
from transforms.models.model import Configuration

_THING = "models"


def look(path: Path, overrides: Overrides) -> tuple[Configuration | None, list[Finding]]:
    """Returns the models file as far as it can be read, so that a slip in it hides nothing else, and all that
    is wrong with it."""
    findings = []
    try:
        configuration: Configuration | None = load(path)
    except ConfigurationError as error:
        configuration = error.rest
        findings = [wrong(_THING, problem) for problem in str(error).splitlines()]
    if configuration is None:
        return None, findings
    try:
        configuration = apply_overrides(configuration, overrides)
    except UsageError as error:
        return None, [*findings, wrong(_THING, error)]
    active = [model.active for model in configuration.models.values() if model.active]
    counts = f"{len(active)} models, {sum(map(len, active))} endpoints of {path}"
    return configuration, findings or [ok(_THING, counts)]
