"""When the certificates expire of the servers that a stream calls, and its own."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import Certificate, load_pem_x509_certificate

from pipeline.checks.findings import Finding, ok, wrong
from transforms.models.model import Configuration

_THING = "certificates"
_PATIENCE_S = 5.0
_SOON_DAYS = 14
_EXPIRED = 10  # OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED


class TlsServer(NamedTuple):
    """A server, and by what its certificate is trusted."""

    host: str
    port: int
    ca_file: Path | None  # PEM; None: `ca_pem`, or else the host's own authorities
    ca_pem: str | None = None
    checks_name: bool = True


def servers(configuration: Configuration | None, eventgates: Iterable[str]) -> list[TlsServer]:
    """Returns the servers of Lift Wing's endpoints and of EventGate that have a certificate.

    `eventgates`: their addresses.
    """
    urls: dict[str, Path | None] = dict.fromkeys(eventgates)
    if configuration:
        settings = configuration.lift_wing
        active = [endpoint for model in configuration.models.values() for endpoint in model.active]
        urls |= {
            endpoint.url or settings.url: Path(settings.ca_file) if settings.ca_file else None
            for endpoint in active
        }
    found = [(urlsplit(url), ca_file) for url, ca_file in urls.items()]
    return list(
        dict.fromkeys(
            TlsServer(url.hostname or "", url.port or 443, ca_file)
            for url, ca_file in found
            if url.scheme == "https"
        )
    )


def brokers(addresses: Iterable[str], client: Mapping[str, str]) -> list[TlsServer]:
    """Returns the brokers that have a certificate.

    `addresses`: HOST:PORT each; `client`: librdkafka's settings, which say by what it is trusted.
    """
    if not client.get("security.protocol", "").endswith("SSL"):
        return []
    ca_file, ca_pem = client.get("ssl.ca.location"), client.get("ssl.ca.pem")
    checks_name = client.get("ssl.endpoint.identification.algorithm") != "none"
    found = (urlsplit(f"//{address.strip()}") for address in addresses)
    return [
        TlsServer(
            url.hostname or "", url.port or 9092, Path(ca_file) if ca_file else None, ca_pem, checks_name
        )
        for url in found
    ]


def own(client: Mapping[str, str]) -> Certificate | None:
    """Returns the certificate by which a client with these settings of librdkafka is known, if by any. Raises
    OSError, ValueError."""
    if store := client.get("ssl.keystore.location"):
        return pkcs12.load_key_and_certificates(
            Path(store).read_bytes(), client["ssl.keystore.password"].encode()
        )[1]
    if file := client.get("ssl.certificate.location"):
        return load_pem_x509_certificate(Path(file).read_bytes())
    return load_pem_x509_certificate(pem.encode()) if (pem := client.get("ssl.certificate.pem")) else None


def look(asked: Iterable[TlsServer], client: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Yields a line for each certificate that expires soon, or did, and one for the first of the others.

    `client`: settings of librdkafka. A server that does not answer or cannot be trusted for another reason,
    and a certificate that cannot be read, are left out, as other lines tell of them.
    """
    well = []
    for whose, days in _days_left(asked, client or {}):
        if days < _SOON_DAYS:
            found = f"expires in {days:.1f}" if days > 0 else "has expired"
            yield wrong(_THING, f"{whose}: expected to be valid for {_SOON_DAYS} days, {found}; renew it")
        else:
            well.append((days, whose))
    if well:
        days, whose = min(well)
        yield ok(
            _THING, f"{whose} expires {f'first of {len(well)}, ' if len(well) > 1 else ''}in {days:.0f} days"
        )


def _days_left(asked: Iterable[TlsServer], client: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yields whose certificate it is, and for how many days it is valid, 0 when it has expired."""
    for server in dict.fromkeys(asked):
        try:
            yield f"that of {server.host}:{server.port}", (_expiry(server) - time.time()) / 86_400
        except (OSError, ValueError) as error:
            if getattr(error, "verify_code", None) == _EXPIRED:
                yield f"that of {server.host}:{server.port}", 0.0
    try:
        certificate = own(client)
    except (OSError, ValueError):
        return
    if certificate:
        yield "ours for Kafka", (certificate.not_valid_after_utc.timestamp() - time.time()) / 86_400


def _expiry(server: TlsServer) -> float:
    """Returns when a server's certificate expires, in seconds since the epoch. Raises OSError."""
    context = ssl.create_default_context(
        cafile=str(server.ca_file) if server.ca_file else None, cadata=server.ca_pem
    )
    context.check_hostname = server.checks_name
    with (
        socket.create_connection((server.host, server.port), _PATIENCE_S) as raw,
        context.wrap_socket(raw, server_hostname=server.host) as wrapped,
    ):
        certificate = wrapped.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
