"""Kafka's client properties: what Java reads in a file, what librdkafka is told of it, and what cannot be
told."""

from __future__ import annotations

from pathlib import Path

import confluent_kafka
import pytest

from transforms.connectors.kafka_security import PropertiesError, for_librdkafka, read_properties

JAAS = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="scores" password="p w";'
SASL = f"security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config={JAAS}\n"
OF_SASL = {
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "scores",
    "sasl.password": "p w",
}
NAMED = {"ssl.endpoint.identification.algorithm": "https"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kafka.properties"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sasl.mechanism=PLAIN", "PLAIN"),
        ("  sasl.mechanism = PLAIN", "PLAIN"),
        ("sasl.mechanism: PLAIN", "PLAIN"),
        ("sasl.mechanism PLAIN", "PLAIN"),
        ("sasl.mechanism=\\\n    PLAIN", "PLAIN"),
        ("sasl.mechanism=a\\\\\n# a comment\n\n! another", "a\\"),
        ("sasl.mechanism=\\u0041\\tb\\:c", "A\tb:c"),
        ("sasl.mechanism=\\ud83d\\ude00", "\U0001f600"),
        ("sasl.mechanism=a=b:c", "a=b:c"),
        ("sasl.mechanism=", ""),
        ("sasl.mechanism", ""),
        ("sasl.mechanism=a \r\n", "a "),
        ("sasl.mechanism=first\nsasl.mechanism=last", "last"),
        ("sasl.mechanism=a\\", "a"),
    ],
)
def test_a_file_is_read_as_java_reads_it(file: Path, text: str, value: str) -> None:
    file.write_bytes(text.encode())
    assert read_properties(file) == {"sasl.mechanism": value}


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {"security.protocol": "PLAINTEXT"}),
        ("security.protocol=ssl", {"security.protocol": "SSL", **NAMED}),
        (
            "security.protocol=SSL\nssl.endpoint.identification.algorithm=",
            {"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "none"},
        ),
        (SASL, OF_SASL | NAMED),
        (SASL.replace("SASL_SSL", "SASL_PLAINTEXT"), OF_SASL | {"security.protocol": "SASL_PLAINTEXT"}),
        (
            SASL.replace("=PLAIN\n", "=SCRAM-SHA-512\n")
            .replace("plain.Plain", "scram.Scram")
            .replace('"p w"', r'"q\\"\\\\;="'),
            OF_SASL | NAMED | {"sasl.mechanism": "SCRAM-SHA-512", "sasl.password": 'q"\\;='},
        ),
        (
            SASL + "ssl.truststore.type=PEM\nssl.truststore.location={here}",
            OF_SASL | NAMED | {"ssl.ca.location": "{here}"},
        ),
        (
            SASL + "ssl.truststore.type=PEM\nssl.truststore.certificates=one\\\n two",
            OF_SASL | NAMED | {"ssl.ca.pem": "onetwo"},
        ),
        (
            "security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.location={here}\nssl.key.password=k",
            {
                "security.protocol": "SSL",
                "ssl.certificate.location": "{here}",
                "ssl.key.location": "{here}",
                "ssl.key.password": "k",
                **NAMED,
            },
        ),
        (
            "security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.key=a\\nb\nssl.keystore.certificate.chain=c",
            {"security.protocol": "SSL", "ssl.key.pem": "a\nb", "ssl.certificate.pem": "c", **NAMED},
        ),
        (
            "security.protocol=SSL\nssl.keystore.type=PKCS12\n"
            "ssl.keystore.location={here}\nssl.keystore.password= k ",
            {
                "security.protocol": "SSL",
                "ssl.keystore.location": "{here}",
                "ssl.keystore.password": "k ",
                **NAMED,
            },
        ),
        (
            "security.protocol=PLAINTEXT\nssl.keystore.location=not-used.jks",
            {"security.protocol": "PLAINTEXT"},
        ),
    ],
)
def test_librdkafka_is_told_the_same_in_its_words(file: Path, text: str, settings: dict[str, str]) -> None:
    file.write_text(text.replace("{here}", str(file)))
    assert for_librdkafka(file) == {
        key: value.replace("{here}", str(file)) for key, value in settings.items()
    }


MODULE = "org.apache.kafka.common.security.{}LoginModule"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bootstrap.servers=a:1", "bootstrap.servers: expected only security.protocol, "),
        ("acks=0", "acks: expected only security.protocol, "),
        (
            "security.protocol=TLS",
            "security.protocol: expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, got 'TLS'",
        ),
        (
            "security.protocol=SASL_SSL",
            "sasl.mechanism: expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, got 'GSSAPI'",
        ),
        (
            "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN",
            f"sasl.jaas.config: expected {MODULE.format('plain.Plain')} required username=",
        ),
        (
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\n"
            f'sasl.jaas.config={MODULE.format("scram.Scram")} required username="secret";',
            f"sasl.jaas.config: expected {MODULE.format('scram.Scram')} required username=",
        ),
        (SASL.replace(";", ' more="secret";'), "sasl.jaas.config: expected "),
        (SASL.replace(";", ""), "sasl.jaas.config: expected "),
        (
            SASL + "ssl.truststore.location=t.jks",
            "ssl.truststore.type: expected PEM, got JKS, which librdkafka cannot read; convert it (keytool "
            "-list -rfc ",
        ),
        (
            SASL + "ssl.truststore.type=PKCS12\nssl.truststore.location=t.p12",
            "ssl.truststore.type: expected PEM, got PKCS12, ",
        ),
        (
            SASL + "ssl.truststore.type=PEM\nssl.truststore.location=nowhere.pem",
            "ssl.truststore.location: expected a file that exists, got 'nowhere.pem'",
        ),
        (
            SASL + "ssl.truststore.type=PEM\nssl.truststore.location=t\nssl.truststore.password=secret",
            "ssl.truststore.password: Kafka takes none with type PEM",
        ),
        (
            SASL + "ssl.keystore.location=k.jks",
            "ssl.keystore.type: expected PEM or PKCS12, got JKS, which librdkafka cannot read; convert it "
            "(keytool -imp",
        ),
        (
            SASL + "ssl.keystore.type=PKCS12\nssl.keystore.location=nowhere",
            "ssl.keystore.location: expected a file that exists, got 'nowhere'",
        ),
        (
            SASL + "ssl.keystore.type=PEM\nssl.keystore.location=k\nssl.keystore.password=secret",
            "ssl.keystore.password: Kafka takes none with type PEM",
        ),
        (
            SASL + "ssl.endpoint.identification.algorithm=LDAPS",
            "ssl.endpoint.identification.algorithm: expected https, or nothing ",
        ),
        (
            SASL + r"ssl.key.password=my\usecret",
            r"expected four hexadecimal digits after each \u, got others",
        ),
    ],
)
def test_what_cannot_be_told_is_refused_without_a_secret(file: Path, text: str, problem: str) -> None:
    file.write_text(text)
    with pytest.raises(PropertiesError) as error:
        for_librdkafka(file)
    assert str(error.value).startswith(problem)
    assert "secret" not in str(error.value)
    assert "p w" not in str(error.value)


def test_a_file_in_another_encoding_is_refused(file: Path) -> None:
    file.write_bytes(b"ssl.key.password=\xe9")
    with pytest.raises(PropertiesError, match="expected UTF-8, got another byte at 17"):
        read_properties(file)


def test_librdkafka_knows_all_these_words(file: Path) -> None:
    file.write_text(SASL)
    confluent_kafka.Producer(dict(for_librdkafka(file)))
