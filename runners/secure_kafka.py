"""The local Kafka broker with listeners that ask who comes: a password over TLS, or a certificate."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from pipeline.process.child_process import free_port
from runners.local_kafka import LocalKafka

USER = "scores"
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"

_LISTENERS = """\
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config={login} user_{user}="{password}";
listener.name.ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
auto.create.topics.enable=false
"""


class SecureKafka(LocalKafka):
    """Beside the plain listener, which the tests look through: `with_password`, SASL_SSL, and
    `with_certificate`, SSL. Creates no topics by itself.

    Leaves in `folder`: ca.pem, another-ca.pem, client.pem (key and certificate), client.p12 with `password`.
    """

    def __init__(self, folder: Path, password: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        ports = {"SASL_SSL": free_port(), "SSL": free_port()}
        self.folder, self.password = folder, password
        self.with_password, self.with_certificate = (f"127.0.0.1:{port}" for port in ports.values())
        _make_certificates(folder, password)
        settings = _LISTENERS.format(login=_LOGIN, user=USER, password=password, folder=folder)
        super().__init__(folder, {name: f"127.0.0.1:{port}" for name, port in ports.items()}, settings)

    def by_password(self, password: str | None = None, authority: str = "ca.pem") -> str:
        """Returns the client properties for `with_password`; what is given is wrong in them."""
        login = f'sasl.jaas.config={_LOGIN} username="{USER}" password="{password or self.password}";\n'
        return f"security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n{login}{self._trusting(authority)}"

    def by_certificate(self, *more: str) -> str:
        """Returns the client properties for `with_certificate`, but for the certificate."""
        return "\n".join(("security.protocol=SSL", self._trusting("ca.pem"), *more))

    def _trusting(self, authority: str) -> str:
        return f"ssl.truststore.type=PEM\nssl.truststore.location={self.folder / authority}\n"


def _make_certificates(folder: Path, password: str) -> None:
    authority = _Authority("The authority of this broker")
    (folder / "ca.pem").write_bytes(authority.pem)
    (folder / "another-ca.pem").write_bytes(_Authority("An authority that signed nothing").pem)
    for name in ("broker", "client"):
        key, certificate = authority.sign(name)
        (folder / f"{name}.pem").write_bytes(
            _pem_of_key(key) + certificate.public_bytes(serialization.Encoding.PEM) + authority.pem
        )
        encryption = serialization.BestAvailableEncryption(password.encode())
        (folder / f"{name}.p12").write_bytes(
            pkcs12.serialize_key_and_certificates(
                name.encode(), key, certificate, [authority.certificate], encryption
            )
        )


class _Authority:
    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        itself = self._certificate(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = itself.sign(self._key, hashes.SHA256())
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Returns a key and its certificate, good for this machine."""
        key = ec.generate_private_key(ec.SECP256R1())
        this_machine = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        )
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        return key, self._certificate(subject, key).add_extension(this_machine, critical=False).sign(
            self._key, hashes.SHA256()
        )

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        return builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
