"""When the certificates expire of the servers that a stream will call."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pipeline.findings import Finding, ok, wrong
from transforms.models import Configuration

_THING = "certificates"
_PATIENCE_S = 5.0
_SOON_DAYS = 14


class TlsServer(NamedTuple):
    host: str
    port: int
    ca_file: Path | None


def servers(configuration: Configuration | None, eventgates: Iterable[str]) -> list[TlsServer]:
    """Those of Lift Wing's endpoints and EventGate that have one."""
    urls: dict[str, Path | None] = dict.fromkeys(eventgates)
    if configuration:
        settings = configuration.lift_wing
        active = [endpoint for model in configuration.models.values() for endpoint in model.active]
        urls |= {endpoint.url or settings.url: Path(settings.ca_file) if settings.ca_file else None for endpoint in active}
    found = [(urlsplit(url), ca_file) for url, ca_file in urls.items()]
    return list(dict.fromkeys(TlsServer(url.hostname or "", url.port or 443, ca_file) for url, ca_file in found if url.scheme == "https"))


def look(asked: Iterable[TlsServer]) -> Iterator[Finding]:
    """One line a server; of one that does not answer or cannot be trusted other lines tell."""
    for server in asked:
        try:
            days = (_expiry(server) - time.time()) / 86_400
        except (OSError, ValueError):
            continue
        where = f"that of {server.host}:{server.port}"
        if days < _SOON_DAYS:
            yield wrong(_THING, f"{where}: expected to be valid for {_SOON_DAYS} days, expires in {days:.1f}; renew it")
        else:
            yield ok(_THING, f"{where} expires in {days:.0f} days")


def _expiry(server: TlsServer) -> float:
    """Seconds since the epoch. Raises OSError."""
    context = ssl.create_default_context(cafile=str(server.ca_file) if server.ca_file else None)
    with socket.create_connection((server.host, server.port), _PATIENCE_S) as raw, context.wrap_socket(raw, server_hostname=server.host) as wrapped:
        certificate = wrapped.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
