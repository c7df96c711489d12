"""A command line of `check`, what it tells of each thing, and the faults that can be planted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.flink.job_server import JAR
from pipeline.main import main
from runners.secure_kafka import SecureKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.loopback import Handler, LoopbackServer

WELL = "all is well: stream can start"
STREAMS = [
    "mediawiki.revision-create",
    "mediawiki.revision-score-damaging",
    "mediawiki.revision-score-goodfaith",
    "mediawiki.revision-score.error",
]
MODELS = """\
lift_wing: {{url: "{url}"{more}}}
streams: {{score: "mediawiki.revision-score-{{model}}", failure: mediawiki.revision-score.error}}
models:
  damaging: {{namespace: revscoring-editquality-damaging, wikis: [enwiki, frwiki]}}
  goodfaith: {{namespace: {namespace}, wikis: [enwiki]{key}}}
"""
UNKNOWN_KEY = (
    "{}: models.goodfaith.concurency: expected one of namespace, on, concurrency, enabled, url, stream, "
    "match, match_not, call_s, mediawiki_calls, wikis, "
    "kind, source, service, got 'concurency'; did you mean concurrency?"
)
NO_AUTHORITY = (
    "SSL certificate OpenSSL verify result: self-signed certificate in certificate chain (19); "
    "name a file with the authority that signed it as lift_wing.ca_file in the models file"
)
ELSEWHERE = "start it, or name another address with --lift-wing or in the models file"
NO_SERVICE = (
    "404, no such service or model; correct the namespace, service or wikis in the models file, "
    "or write enabled: false"
)
NO_JAVA = (
    "java is not on the PATH; install a JDK 11 or 17, for instance: apt-get install openjdk-17-jdk-headless"
)

Row = tuple[str, str]


class _JobManager(Handler):
    def do_GET(self) -> None:  # noqa: N802 (the name that http.server calls)
        body = orjson.dumps(self.server_of.told.get(self.path, {"errors": ["Not found"]}))
        self.send_response(200 if self.path in self.server_of.told else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class JobManager(LoopbackServer):
    """Answers as the JobManager of a cluster without jobs."""

    handler, path = _JobManager, ""

    def __init__(self, version: str = "1.19.1", free: int = 2, jobs: tuple[Any, ...] = ()) -> None:
        super().__init__()
        self.told = {
            "/config": {"flink-version": version},
            "/overview": {"slots-available": free},
            "/jobs/overview": {"jobs": jobs},
        }
        self.address = self.url.removeprefix("http://")


@dataclass(frozen=True)
class Case:
    """A command line, and what is told of each thing."""

    options: Mapping[str, object]
    told: Mapping[str, Row]

    def asked(self, **options: object) -> Case:
        return replace(self, options={**self.options, **options})

    def expected(self, **told: Row) -> Case:
        return replace(self, told={**self.told, **told})

    @property
    def words(self) -> list[str]:
        return [
            "check",
            *(
                word
                for name, value in self.options.items()
                for word in (f"--{name.replace('_', '-')}", str(value))
            ),
        ]


def models_file(
    folder: Path, url: str, more: str = "", namespace: str = "revscoring-editquality-goodfaith", key: str = ""
) -> Path:
    file = folder / "models.yaml"
    file.write_text(MODELS.format(url=url, more=more, namespace=namespace, key=key))
    return file


def lines(out: str) -> tuple[dict[str, Row], str]:
    """What is told of each thing, and the last line."""
    *rows, last = out.splitlines()
    told = [re.split("  +", row, maxsplit=2) for row in rows]
    assert len({thing for _, thing, _ in told}) == len(told)
    return {thing: (state, text) for state, thing, text in told}, last


def check(capsys: pytest.CaptureFixture[str], case: Case, code: int, last: str) -> None:
    assert main(case.words) == code
    out, err = capsys.readouterr()
    assert lines(out) == (case.told, last)
    assert err == ""


def broker_is_down(address: str) -> dict[str, Row]:
    why = f"{address}/bootstrap: Connect to ipv4#{address} failed: Connection refused"
    return {
        "kafka": ("wrong", f"--kafka: no broker answers at {address} ({why}); start it, or name another"),
        "topics": ("unseen", "not looked at: no broker tells of the 2 to read and the 6 to write"),
    }


def topics_are_missing(kafka: SecureKafka, *topics: str) -> dict[str, Row]:
    create = (
        f"for topic in {' '.join(topics)}; do kafka-topics.sh --bootstrap-server {kafka.address} "
        "--create --topic $topic; done"
    )
    return {
        "topics": (
            "wrong",
            f"--kafka: the broker at {kafka.address} has no topic {', '.join(topics)}; create what is "
            f"missing: {create}",
        )
    }


def port_is_taken(port: int) -> dict[str, Row]:
    return {
        "metrics": (
            "wrong",
            f"--metrics-port: expected a free port, got {port} (Address already in use); name another, or "
            "end who has it",
        )
    }


def no_service(lift_wing: SimulatedLiftWing) -> dict[str, Row]:
    return {
        "lift wing": (
            "wrong",
            f"1 of 3 endpoints at {lift_wing.url} (enwiki-goodfaith.elsewhere.wikimedia.org): {NO_SERVICE}",
        )
    }


def not_writable(state: Path) -> dict[str, Row]:
    text = (
        f"--state: nothing can be written in {state}/revision-scores: Not a directory; make that "
        "possible, or name another folder"
    )
    return {"state": ("wrong", text)}


def schema_is_missing(folder: Path) -> dict[str, Row]:
    text = (
        f"no schema /error/2.1.0 in {folder}/schemas/jsonschema, for mediawiki.revision-score.error; "
        "install revision-scores again"
    )
    return {"jar": ("ok", f"{folder}/runners/flink/target/{JAR.name}"), "schemas": ("wrong", text)}


def in_folder(folder: Path, words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with the packages that are there."""
    command = [sys.executable, "-m", "pipeline", *words]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def other_version(cluster: JobManager) -> dict[str, Row]:
    text = (
        f"--flink: expected Flink 1.19.1, which the jar has, at {cluster.address}, got 1.20.0; name a "
        "cluster of 1.19.1"
    )
    return {"flink": ("wrong", text)}
