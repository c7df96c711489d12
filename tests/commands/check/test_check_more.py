"""What `check` asks of EventGate, topics and certificates, each by itself."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

import schemas
from pipeline.checks import certificates as check_certificates
from pipeline.checks import eventgate as check_eventgate
from pipeline.checks.certificates import TlsServer
from pipeline.checks.findings import UNSEEN, Finding, ok, skipped, tell, unseen, wrong
from pipeline.checks.topics import _of_description, _of_settings
from tests.support.eventgate import EventGateServer
from tests.support.loopback import Handler, LoopbackServer

SCORES = "mediawiki.revision-score-damaging"
SCORE_SCHEMA = "/mediawiki/revision/score/3.0.0"


def setting(**settings: str) -> dict[str, Any]:
    return {name.replace("_", "."): SimpleNamespace(value=value) for name, value in settings.items()}


@pytest.mark.parametrize(
    ("settings", "is_read", "problems"),
    [
        ({"cleanup_policy": "delete", "max_message_bytes": "1048588", "retention_ms": "604800000"}, True, []),
        ({"cleanup_policy": "delete", "retention_ms": "-1"}, True, []),
        (
            {"cleanup_policy": "compact,delete"},
            False,
            ["cleanup.policy: expected delete, got compact,delete, which takes no messages without a key"],
        ),
        (
            {"max_message_bytes": "2000"},
            False,
            ["max.message.bytes: expected at least 1000000, got 2000; larger scores become failures"],
        ),
        (
            {"retention_ms": "1800000"},
            True,
            [
                "retention.ms: expected at least 24 hours, got 0.5; a stream that is off for longer "
                "loses events"
            ],
        ),
        ({"retention_ms": "1800000"}, False, []),
    ],
)
def test_settings_of_a_topic_that_would_hurt(
    settings: dict[str, str], is_read: bool, problems: list[str]
) -> None:
    found = list(_of_settings(setting(**settings), is_read, not is_read))
    assert len(found) == len(problems)
    assert all(problem.startswith(start) for problem, start in zip(found, problems, strict=True))


def described(in_sync: int, leader: int = 1, operations: list[AclOperation] | None = None) -> Any:
    partition = SimpleNamespace(id=0, leader=SimpleNamespace(id=leader), isr=[1, 2, 3][:in_sync])
    return SimpleNamespace(partitions=[partition], authorized_operations=operations)


def test_replicas_and_rights_of_a_topic_that_would_hurt() -> None:
    assert list(_of_description(described(2), False, True, 2)) == []
    assert list(_of_description(described(1, operations=[AclOperation.WRITE]), False, True, 1)) == []
    (few,) = _of_description(described(1), False, True, 2)
    assert (
        few == "min.insync.replicas is 2, and partitions 0 have fewer replicas in sync, so that nothing can "
        "be written"
    )
    (leaderless,) = _of_description(described(1, leader=-1), True, False, 0)
    assert leaderless == "partitions 0 have no leader; see the brokers"
    (denied,) = _of_description(
        described(1, operations=[AclOperation.DESCRIBE, AclOperation.READ]), False, True, 1
    )
    assert denied == "expected to be allowed to WRITE, and are not; add an ACL with kafka-acls.sh"


def test_an_eventgate_is_asked_for_each_stream_and_produces_nothing() -> None:
    streams = {SCORES: SCORE_SCHEMA, "mediawiki.revision-score.error": schemas.ERROR}
    with EventGateServer(streams) as gate:
        text = f"{gate.url} takes bodies of 4,000,000 bytes, and knows the 2 streams and their schemas"
        assert [*check_eventgate.look(gate.url, streams)] == [("ok", "eventgate", text)]
        assert gate.events == {}
    with EventGateServer([SCORES]) as gate:
        (refused,) = check_eventgate.look(gate.url, streams)
    assert refused.state == "wrong"
    assert refused.text.startswith(
        f"{gate.url} does not take mediawiki.revision-score.error with schema {schemas.ERROR}: event check-1"
    )


class _Small(Handler):
    def do_POST(self) -> None:  # noqa: N802
        length = int(self.headers["Content-Length"])
        self.rfile.read(length)
        self.send_response(413 if length > self.server_of.most else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()


class SmallGate(LoopbackServer):
    """A proxy that takes bodies up to a size."""

    handler, path = _Small, "/v1/events"

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most


@pytest.mark.parametrize(
    ("findings", "last", "code"),
    [
        ([ok("a", "."), ok("b", ".")], "all is well: stream can start", 0),
        ([ok("a", "."), skipped("b", "it is elsewhere")], "all is well: stream can start, 1 skipped", 0),
        (
            [ok("a", "."), unseen("b", "no rights")],
            "nothing is wrong, 1 of 2 things could not be looked at",
            1,
        ),
        ([skipped("a", "."), unseen("b", ".")], "nothing is wrong, 1 of 2 things could not be looked at", 1),
        (
            [wrong("a", "."), unseen("b", "."), unseen("a", ".")],
            "1 of 2 things is wrong, 1 could not be looked at",
            1,
        ),
        ([wrong("a", "."), skipped("b", ".")], "1 of 2 things is wrong", 1),
    ],
)
def test_what_could_not_be_looked_at_fails(
    capsys: pytest.CaptureFixture[str], findings: list[Finding], last: str, code: int
) -> None:
    assert tell(findings) == code
    assert capsys.readouterr().out.splitlines()[-1] == last


@pytest.mark.parametrize(("most", "wanted"), [(100_000, ["wrong", UNSEEN]), (1_500_000, [UNSEEN])])
def test_a_gateway_that_takes_but_small_bodies_is_wrong(most: int, wanted: list[str]) -> None:
    with SmallGate(most) as gate:
        found = list(check_eventgate.look(gate.url, {SCORES: SCORE_SCHEMA}))
    assert [finding.state for finding in found] == wanted
    if most < 1_000_000:
        assert "expected to take a body of 1,000,000 bytes, got 413 of 1,000,000" in found[0].text


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[float], Path]:
    def make(days: float) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
        )
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(
            now + timedelta(days=days)
        )
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        made = builder.sign(key, hashes.SHA256())
        file = tmp_path / f"{days}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
        return file

    return make


@contextmanager
def tls_server(certificate: Path) -> Iterator[int]:
    """A port at which one client is let in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            with suppress(OSError), context.wrap_socket(raw, server_side=True) as wrapped:
                wrapped.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("days", "state", "text"),
    [
        (100, "ok", " expires in 100 days"),
        (5, "wrong", ": expected to be valid for 14 days, expires in 5.0; renew it"),
        (-0.5, "wrong", ": expected to be valid for 14 days, has expired; renew it"),
    ],
)
def test_a_certificate_that_expires_soon_is_wrong(
    certificate: Callable[[float], Path], days: float, state: str, text: str
) -> None:
    file = certificate(days)
    with tls_server(file) as port:
        (finding,) = check_certificates.look(
            [TlsServer("localhost", port, file), TlsServer("localhost", 1, None)]
        )
    assert finding == Finding(state, "certificates", f"that of localhost:{port}{text}")


@pytest.mark.parametrize("trust", ["ssl.ca.location", "ssl.ca.pem"])
def test_brokers_are_trusted_as_the_properties_say(certificate: Callable[[float], Path], trust: str) -> None:
    file = certificate(5)
    client = {
        "security.protocol": "SASL_SSL",
        trust: str(file) if trust == "ssl.ca.location" else file.read_text(),
    }
    with tls_server(file) as port:
        (finding,) = check_certificates.look(
            check_certificates.brokers([f"localhost:{port}"], client), client
        )
    assert finding == Finding(
        "wrong",
        "certificates",
        f"that of localhost:{port}: expected to be valid for 14 days, expires in 5.0; renew it",
    )
    assert check_certificates.brokers(["localhost:9092"], {"security.protocol": "SASL_PLAINTEXT"}) == []


@pytest.mark.parametrize("form", ["file", "text", "PKCS12"])
def test_our_own_certificate_for_kafka_expires_too(
    certificate: Callable[[float], Path], form: str, tmp_path: Path
) -> None:
    file = certificate(3)
    client = (
        {"ssl.certificate.location": str(file)}
        if form == "file"
        else {"ssl.certificate.pem": file.read_text()}
    )
    if form == "PKCS12":
        key, its = (
            serialization.load_pem_private_key(file.read_bytes(), None),
            x509.load_pem_x509_certificate(file.read_bytes()),
        )
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        store = tmp_path / "client.p12"
        store.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"client", key, its, None, serialization.BestAvailableEncryption(b"secret")
            )
        )
        client = {"ssl.keystore.location": str(store), "ssl.keystore.password": "secret"}
    (finding,) = check_certificates.look([], client)
    assert finding == Finding(
        "wrong", "certificates", "ours for Kafka: expected to be valid for 14 days, expires in 3.0; renew it"
    )


def test_the_probe_of_a_stream_is_no_event_that_could_be_produced() -> None:
    probe = {"$schema": SCORE_SCHEMA, "meta": {"stream": SCORES, "id": "check-0"}}
    with pytest.raises(schemas.InvalidEventError):
        schemas.validator(SCORE_SCHEMA)(probe)
