"""When `check` says that a certificate expires."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from pipeline.checks import certificates as check_certificates
from pipeline.checks.certificates import TlsServer
from pipeline.checks.findings import Finding


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
