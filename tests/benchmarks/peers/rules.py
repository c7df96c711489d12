"""What the peers are told of the models file, as they know nothing of this project."""

from __future__ import annotations

from transforms.models.model import Configuration


def rules_of(configuration: Configuration) -> dict[str, list[list[str]]]:
    """[model, host, kind of event] by wiki."""
    rules: dict[str, list[list[str]]] = {}
    for model in configuration.models.values():
        for endpoint in model.endpoints.values():
            if endpoint.enabled:
                rules.setdefault(endpoint.wiki, []).append([model.name, endpoint.host, endpoint.on])
    return rules
