"""What the command line says of the models: another Lift Wing, only some models, only some wikis."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config.models_file import load
from pipeline.config.value_kinds import is_contact, is_url
from pipeline.usage_error import UsageError
from transforms.lift_wing.credentials import TokenError, read_token
from transforms.models.model import ANY_WIKI, Configuration, Model


@dataclass(frozen=True)
class Overrides:
    """Options, by their names, that say something else than a models file. None: not given."""

    lift_wing: str | None = None
    only: str | None = None
    wikis: str | None = None
    token_file: Path | None = None
    contact: str | None = None


def load_with(path: Path, overrides: Overrides) -> Configuration:
    """Returns what a models file says, with options applied. Raises UsageError, as a ConfigurationError for
    what is wrong in the file."""
    return apply_overrides(load(path), overrides)


def apply_overrides(configuration: Configuration, overrides: Overrides) -> Configuration:
    """Returns the configuration with options applied. Raises UsageError for a name it does not have."""
    wikis = {wiki for model in configuration.models.values() for wiki in model.endpoints}
    chosen = _chosen("--only", overrides.only, configuration.models, "model")
    models = {name: model for name, model in configuration.models.items() if name in chosen}
    if overrides.wikis is not None:
        chosen_wikis = _chosen(
            "--wikis", overrides.wikis, configuration.wikis.names if ANY_WIKI in wikis else wikis, "wiki"
        )
        models = {name: _of_wikis(model, chosen_wikis) for name, model in models.items()}
    configuration = _introduced(
        replace(configuration, models=models), overrides.token_file, overrides.contact
    )
    return (
        with_lift_wing_url(configuration, _url(overrides.lift_wing)) if overrides.lift_wing else configuration
    )


def _introduced(configuration: Configuration, token_file: Path | None, contact: str | None) -> Configuration:
    """Returns the configuration with `--token-file` and `--contact`. Raises UsageError."""
    if token_file is not None:
        try:
            read_token(token_file)
        except (OSError, TokenError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"--token-file: {token_file}: {what}") from error
    if contact is not None and not is_contact(contact):
        raise UsageError(
            "--contact: expected an address or page of whoever runs this, in ASCII without brackets, got "
            f"{contact!r}"
        )
    settings = configuration.lift_wing
    token_path = str(token_file.resolve()) if token_file else settings.token_file
    return replace(
        configuration, lift_wing=replace(settings, token_file=token_path, contact=contact or settings.contact)
    )


def with_lift_wing_url(configuration: Configuration, url: str) -> Configuration:
    """Returns the configuration with all models at one address."""
    models = {
        name: model.with_endpoints(lambda endpoint: replace(endpoint, url=None))
        for name, model in configuration.models.items()
    }
    return replace(configuration, models=models, lift_wing=replace(configuration.lift_wing, url=url))


def _chosen(option: str, names: str | None, known: Collection[str], what: str) -> Collection[str]:
    if names is None:
        return known
    chosen = names_in(names)
    for name in chosen:
        if name not in known:
            raise UsageError(
                f"{option}: no {what} is called {name!r} in the models file{did_you_mean(name, known)}"
            )
    return chosen


def names_in(text: str) -> list[str]:
    """Returns the names in an option that has commas between them."""
    return [name.strip() for name in text.split(",")]


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Returns the end of a message about a name that is not known: the nearest one, or all."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"


def _of_wikis(model: Model, wikis: Collection[str]) -> Model:
    """Returns the model on these wikis alone, of which one for all wikis serves each."""
    served = [wiki for wiki in model.endpoints if wiki in wikis] if ANY_WIKI not in model.endpoints else wikis
    return replace(model, endpoints={wiki: endpoint for wiki in served if (endpoint := model.endpoint(wiki))})


def _url(url: str) -> str:
    if not is_url(url):
        raise UsageError(
            f"--lift-wing: expected an address such as https://inference.discovery.wmnet:30443, got {url!r}"
        )
    return url


def with_rate_limit(configuration: Configuration, rate: float | None) -> Configuration:
    """Returns the configuration with `--max-rate`, calls a second, if it is given. Raises UsageError."""
    if rate is None:
        return configuration
    if not rate > 0:
        raise UsageError(f"--max-rate: expected a number of calls a second above 0, got {rate:g}")
    return replace(configuration, lift_wing=replace(configuration.lift_wing, calls_per_s=rate))
