"""What the command line says of EventGate, as the place where scores go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests

from pipeline.usage_error import UsageError
from transforms.connectors.eventgate_posts import ALL
from transforms.models.model import Configuration

_PATIENCE_S = 5.0


def eventgates(given: str, configuration: Configuration) -> Mapping[str, str]:
    """Returns the address of each datacenter's EventGate, or of the one for ALL. Raises UsageError where one
    does not answer."""
    found = addresses(given, configuration)
    for url in found.values():
        check_answers(url)
    return found


def addresses(given: str, configuration: Configuration) -> Mapping[str, str]:
    """Returns the addresses in `--output`, `eventgate=URL` or `eventgate.eqiad=URL,eventgate.codfw=URL`, by
    datacenter or for ALL. Raises UsageError."""
    found: dict[str, str] = {}
    for part in given.split(","):
        name, _, url = part.strip().partition("=")
        place = name.removeprefix("eventgate").removeprefix(".") or ALL
        if (
            not name.startswith("eventgate")
            or (place != ALL and place not in configuration.datacenters)
            or not re.match(r"https?://[^/]+", url)
        ):
            ways = (
                "kafka, eventgate=https://HOST:PORT/v1/events, or eventgate.DATACENTER=... for each "
                "with commas between"
            )
            raise UsageError(f"--output: expected {ways}, got {part.strip()!r}")
        found[place] = url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/v1/events"
    if ALL not in found and (without := [name for name in configuration.datacenters if name not in found]):
        raise UsageError(
            f"--output: expected an EventGate for {', '.join(without)} too; add eventgate.{without[0]}=URL"
        )
    return found


def check_answers(url: str) -> None:
    """Raises UsageError unless somebody answers, whatever it is."""
    try:
        with requests.Session() as session:
            session.trust_env = False  # as the sink has it
            session.get(url, timeout=_PATIENCE_S)  # whatever it answers, it is there
    except requests.RequestException as error:
        raise UsageError(
            f"--output: no EventGate answers at {url} ({_innermost(error)}); start it, or name another"
        ) from error


def _innermost(error: BaseException) -> str:
    """Returns what the system said, without the names of the libraries that passed it on."""
    while error.__context__ is not None:
        error = error.__context__
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
