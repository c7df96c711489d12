"""A command's options as a dataclass: each field is an option, under the name by which the code reads it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, field, fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from pipeline.usage_error import UsageError
from transforms.datasets.storage_paths import Place, address_of, os_reason, place_at, reach

Options = TypeVar("Options")


def option(*flags: str, default: Any = None, exclusive: str = "", **settings: Any) -> Any:
    """Returns a field of a dataclass of options.

    `flags`, `default` and `settings` are those of argparse.add_argument. At most one option of those with the
    same `exclusive` may be given.
    """
    is_required = settings.get("required") or not flags[0].startswith("-")
    about = {"flags": flags, "settings": settings, "exclusive": exclusive}
    return field(
        default=MISSING if is_required and default is None and "nargs" not in settings else default,
        metadata=about,
    )


def flag(*flags: str, exclusive: str = "", help: str) -> Any:  # noqa: A002  # argparse has it so
    """Returns a field that is true where the option is given."""
    return option(*flags, default=False, exclusive=exclusive, action="store_true", help=help)


def add_options(parser: argparse.ArgumentParser, options: type) -> None:
    """Adds the options of a dataclass to a parser."""
    groups: dict[str, Any] = {"": parser}
    for each in fields(options):
        about: Mapping[str, Any] = each.metadata
        settings = dict(about["settings"])
        if about["flags"][0].startswith("-"):
            settings["dest"] = each.name
        if each.default is not MISSING:
            settings["default"] = each.default
        group = about["exclusive"]
        if group not in groups:
            groups[group] = parser.add_mutually_exclusive_group()
        if "action" not in settings:
            settings["type"] = _not_empty(settings.get("type", str))
        groups[group].add_argument(*about["flags"], **settings)


def _not_empty(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns the function that refuses an empty text, which a shell's variable that is not set leaves."""

    @wraps(convert, updated=())
    def converted(text: str) -> Any:
        if not text:
            raise argparse.ArgumentTypeError("expected a value, got ''; leave it out where none is meant")
        return convert(text)

    return converted


def options_in(parsed: argparse.Namespace, options: type[Options]) -> Options:
    """Returns the dataclass of what a parser found."""
    return options(**{each.name: getattr(parsed, each.name) for each in fields(options)})  # type: ignore[arg-type]


def local_directory(text: str) -> Path:
    """Returns the path of a directory of this machine. Raises ArgumentTypeError for an address."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text):
        raise argparse.ArgumentTypeError(
            f"expected a directory of this machine, got the address {text}; write here and copy it there"
        )
    return Path(text)


def directory(text: str) -> Place:
    """Returns the place of a directory, of this machine, of HDFS or of S3. Raises ArgumentTypeError for
    another address. Whether somebody answers there, `check_reached` tells."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/(?!/)", text):
        raise argparse.ArgumentTypeError(f"expected {text.replace(':/', ':///', 1)}, got {text}")
    try:
        return place_at(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def check_reached(place: Place, name: str) -> None:
    """Raises UsageError when nobody answers at the place that an option names."""
    try:
        reach(place)
    except OSError as error:
        raise UsageError(f"{name}: {address_of(place)} cannot be looked at: {os_reason(error)}") from error
