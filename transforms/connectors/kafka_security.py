"""Kafka's own client properties, from a Java properties file of an operator to settings of librdkafka."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import javaproperties

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_KNOWN = (
    *("security.protocol", "sasl.mechanism", "sasl.jaas.config", "ssl.endpoint.identification.algorithm"),
    *(f"ssl.truststore.{name}" for name in ("type", "location", "certificates", "password")),
    *(f"ssl.keystore.{name}" for name in ("type", "location", "certificate.chain", "key", "password")),
    "ssl.key.password",
)
_LOGIN_MODULE = r"org\.apache\.kafka\.common\.security\.(?:plain\.Plain|scram\.Scram)LoginModule"
_JAAS = re.compile(
    rf'\s*{_LOGIN_MODULE}\s+required((?:\s+\w+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s";]+))*)\s*;\s*', re.DOTALL
)
_JAAS_OPTION = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))', re.DOTALL)


class PropertiesError(ValueError):
    """A properties file that librdkafka cannot follow; the message says how to repair it, and shows no
    secret."""


def read_properties(path: str | Path) -> Mapping[str, str]:
    """Returns the properties in a file, as java.util.Properties reads them. Raises PropertiesError unless
    each is one of security, OSError without a file."""
    try:
        properties = javaproperties.loads(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise PropertiesError(
            f"expected UTF-8, got another byte at {error.start}; write the file again as UTF-8"
        ) from error
    except javaproperties.InvalidUEscapeError:
        raise PropertiesError(
            r"expected four hexadecimal digits after each \u, got others; write \\u for a backslash and a u"
        ) from None  # the error shows what stands there, which may be of a secret
    for key in properties:
        if key not in _KNOWN:
            raise PropertiesError(
                f"{key}: expected only {', '.join(_KNOWN)}; remove it: all else is the command's to say"
            )
    return properties


def for_librdkafka(path: str | Path) -> Mapping[str, str]:
    """Returns the properties of a file as librdkafka's settings. Raises PropertiesError for what librdkafka
    cannot do, OSError without a file."""
    properties = {
        key: value if "password" in key or key.startswith("sasl.jaas") else value.strip()
        for key, value in read_properties(path).items()
    }
    protocol = properties.get("security.protocol", "PLAINTEXT").upper()
    if protocol not in _PROTOCOLS:
        raise PropertiesError(f"security.protocol: expected one of {', '.join(_PROTOCOLS)}, got {protocol!r}")
    settings = {"security.protocol": protocol}
    if protocol.startswith("SASL_"):
        settings.update(_sasl(properties))
    if protocol.endswith("SSL"):
        verified = properties.get("ssl.endpoint.identification.algorithm", "https").lower()
        if verified not in ("https", ""):
            raise PropertiesError(
                "ssl.endpoint.identification.algorithm: expected https, or nothing for no check of the "
                f"broker's name, got {verified!r}"
            )
        settings["ssl.endpoint.identification.algorithm"] = verified or "none"
        settings.update(_truststore(properties))
        settings.update(_keystore(properties))
    return settings


def client_settings(brokers: str, path: str | Path | None) -> Mapping[str, str]:
    """Returns the settings of a client of librdkafka, secrets among them: the brokers, HOST:PORT with commas
    between, and the properties of a file if one is named. Raises what `for_librdkafka` raises."""
    return {"bootstrap.servers": brokers, **(for_librdkafka(path) if path else {})}


def _sasl(properties: Mapping[str, str]) -> Mapping[str, str]:
    mechanism = properties.get("sasl.mechanism", "GSSAPI")
    if mechanism not in _MECHANISMS:
        raise PropertiesError(f"sasl.mechanism: expected one of {', '.join(_MECHANISMS)}, got {mechanism!r}")
    whole = _JAAS.fullmatch(properties.get("sasl.jaas.config", ""))
    options = (
        {
            name: re.sub(r"\\(.)", r"\1", quoted) or plain
            for name, quoted, plain in _JAAS_OPTION.findall(whole[1])
        }
        if whole
        else {}
    )
    if set(options) != {"username", "password"}:
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        example = f'org.apache.kafka.common.security.{module} required username="..." password="...";'
        raise PropertiesError(f"sasl.jaas.config: expected {example} and nothing else")
    return {
        "sasl.mechanism": mechanism,
        "sasl.username": options["username"],
        "sasl.password": options["password"],
    }


def _truststore(properties: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the certificates of authorities; without any, those of the host count."""
    store, given = "ssl.truststore", properties.get
    if not (given(f"{store}.location") or given(f"{store}.certificates")):
        return {}
    if (kind := given(f"{store}.type", "JKS")) != "PEM":
        convert = f"keytool -list -rfc -keystore {given(f'{store}.location')} > truststore.pem"
        raise PropertiesError(
            f"{store}.type: expected PEM, got {kind}, which librdkafka cannot read; convert it ({convert}) "
            "and name that with type PEM"
        )
    if f"{store}.password" in properties:
        raise PropertiesError(f"{store}.password: Kafka takes none with type PEM; remove it")
    if given(f"{store}.certificates"):
        return {"ssl.ca.pem": properties[f"{store}.certificates"]}
    return {"ssl.ca.location": _file(properties, f"{store}.location")}


def _keystore(properties: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the certificate and key of this client, if it has one."""
    store, given = "ssl.keystore", properties.get
    if not (given(f"{store}.location") or given(f"{store}.key")):
        return {}
    kind = given(f"{store}.type", "JKS")
    if kind == "PKCS12":
        return {
            "ssl.keystore.location": _file(properties, f"{store}.location"),
            "ssl.keystore.password": given(f"{store}.password", ""),
        }
    if kind == "PEM":
        return _pem_keystore(properties)
    convert = (
        f"keytool -importkeystore -srckeystore {given(f'{store}.location')} -destkeystore "
        "keystore.p12 -deststoretype PKCS12"
    )
    raise PropertiesError(
        f"{store}.type: expected PEM or PKCS12, got {kind}, which librdkafka cannot read; convert it "
        f"({convert}) and name that"
    )


def _pem_keystore(properties: Mapping[str, str]) -> Mapping[str, str]:
    store, given = "ssl.keystore", properties.get
    if f"{store}.password" in properties:
        raise PropertiesError(
            f"{store}.password: Kafka takes none with type PEM; remove it, or name the key's as "
            "ssl.key.password"
        )
    password = (
        {"ssl.key.password": properties["ssl.key.password"]} if "ssl.key.password" in properties else {}
    )
    if given(f"{store}.key"):
        return {
            "ssl.key.pem": properties[f"{store}.key"],
            "ssl.certificate.pem": given(f"{store}.certificate.chain", ""),
            **password,
        }
    both = _file(properties, f"{store}.location")
    return {"ssl.key.location": both, "ssl.certificate.location": both, **password}


def _file(properties: Mapping[str, str], key: str) -> str:
    path = properties.get(key, "")
    if not Path(path).is_file():
        raise PropertiesError(f"{key}: expected a file that exists, got {path!r}")
    return path
