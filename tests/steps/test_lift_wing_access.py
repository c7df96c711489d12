"""Where Lift Wing is, who asks it, and whose certificates are trusted."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.process.child_process import free_port
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.certificates import self_signed
from tests.support.lift_wing import DAMAGING
from tests.support.lift_wing_client import Open, answer, error, good
from tests.support.loopback import Handler, LoopbackServer
from transforms.lift_wing.responses import Refused, Unavailable

# Where it is


def test_a_path_in_the_address_stays(opened: Open, lift_wing: SimulatedLiftWing) -> None:
    assert error(answer(opened(url=f"{lift_wing.url}/service/"))) == (Refused, "404: Not Found")


def test_a_model_may_be_served_elsewhere(lift_wing: SimulatedLiftWing, opened: Open) -> None:
    lw = opened(url=f"http://127.0.0.1:{free_port()}")
    assert answer(lw, endpoint=replace(DAMAGING, url=lift_wing.url)).result == good()


# Who asks


class _Door(Handler):
    def do_POST(self) -> None:  # noqa: N802 (the name that http.server calls)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server_of.seen.append((self.headers["Authorization"], self.headers["User-Agent"]))
        self.send_response(204)
        self.end_headers()


class Door(LoopbackServer):
    """Notes who asks."""

    handler, path = _Door, ""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str]] = []
        super().__init__()


def test_a_token_is_read_again_when_its_file_changes(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    with Door() as door:
        lw = opened(url=door.url, token_file=str(file), token="other")
        for content in ("one\n", "two", "  three  ", "", "no\nheader: x", None, "four"):
            if content is None:
                file.unlink()
            else:
                new = tmp_path / "new"
                new.write_text(content)
                new.rename(file)
            answer(lw)
    assert [token for token, _ in door.seen] == [
        "Bearer one",
        "Bearer two",
        *["Bearer three"] * 4,
        "Bearer four",
    ]
    assert "three" not in caplog.text
    assert caplog.text.count("token file") == 2  # two states


def test_whoever_asks_names_a_contact(opened: Open) -> None:
    home = "https://gitlab.wikimedia.org/repos/machine-learning/revision-scores"
    with Door() as door:
        answer(opened(url=door.url))
        answer(opened(url=door.url, contact="me@example.org"))
    (nobody, plain), (_, named) = door.seen
    assert nobody is None
    assert re.fullmatch(rf"revision-scores/[0-9.]+ \({home}\) libcurl/[0-9.]+", plain)
    assert re.fullmatch(rf"revision-scores/[0-9.]+ \({home}; me@example.org\) libcurl/[0-9.]+", named)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), "Test CA")


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[SimulatedLiftWing]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with SimulatedLiftWing(tls=context) as running:
        yield running


def test_a_certificate_of_a_known_authority_is_trusted(
    secure: SimulatedLiftWing, opened: Open, certificate: tuple[Path, Path]
) -> None:
    assert secure.url.startswith("https://")
    assert answer(opened(url=secure.url, ca_file=str(certificate[0]))).result == good()


def test_a_certificate_of_an_unknown_authority_is_not_trusted(
    secure: SimulatedLiftWing, opened: Open
) -> None:
    kind, said = error(answer(opened(url=secure.url)))
    assert kind is Unavailable
    assert re.match("no answer: SSL certificate .*self.signed certificate", said)
    assert secure.calls() == {}


def test_a_certificate_of_another_host_is_not_trusted(
    secure: SimulatedLiftWing, opened: Open, certificate: tuple[Path, Path]
) -> None:
    url = secure.url.replace("127.0.0.1", "localhost")
    kind, said = error(answer(opened(url=url, ca_file=str(certificate[0]))))
    assert kind is Unavailable
    assert "localhost" in said
    assert secure.calls() == {}
