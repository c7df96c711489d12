"""The capture of real edits that the demo plays, and what is known of each event it has played: `python -m
runners.played_edits` plays it alone."""

from __future__ import annotations

import gzip
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Producer

from pipeline.config.models_file import load
from pipeline.options import option
from runners.command_line import parse
from runners.programs import SHIPPED_MODELS
from transforms.models.model import Configuration
from transforms.models.selection import Selection

CAPTURE = Path(__file__).parent / "data" / "edits_2023-01.jsonl.gz"

Key = tuple[str, str, int]  # model, wiki, rev_id


def made_at(now: float, event: dict[str, Any]) -> dict[str, Any]:
    """Returns the event with its times moved, as if it had been produced `now`, in seconds since the epoch:
    else all alerts on late scores would be right."""
    moved = now - _seconds(event["meta"]["dt"])
    times = {name: _text(_seconds(event[name]) + moved) for name in ("dt", "rev_timestamp")}
    return {**event, **times, "meta": {**event["meta"], "dt": _text(now)}}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Excerpt(NamedTuple):
    """Which events of the capture are played, and how fast."""

    per_second: float
    seconds: float
    skip: int = 0  # events at its beginning

    def lines(self) -> list[bytes]:
        """Returns the events as JSON."""
        end = self.skip + round(self.per_second * self.seconds)
        with gzip.open(CAPTURE, "rb") as capture:
            return [line.rstrip() for line in islice(capture, self.skip, end)]


class PlayedEdits:
    """Plays an excerpt of the capture into the revision-create topics of a broker, at a steady rate, in a
    thread of its own.

    `lines`: the events; those that have been sent are as they were sent.
    """

    def __init__(self, configuration: Configuration, kafka: str, excerpt: Excerpt) -> None:
        self.lines = excerpt.lines()
        self._interval = 1 / excerpt.per_second
        self._selection = Selection(configuration.models)
        self._datacenters = configuration.datacenters
        self._producer = Producer({"bootstrap.servers": kafka, "linger.ms": 5, "log_level": 0})
        self._thread = threading.Thread(target=self._play, daemon=True)
        self.sent: dict[Key, float] = {}  # when its event was sent, seconds since the epoch
        self.by_model: dict[str, int] = dict.fromkeys(configuration.models, 0)
        self.events = 0
        self.done = threading.Event()

    def send_first(self) -> None:
        """Sends edits up to the first that a model wants."""
        while not self.sent:
            self._send()

    def save(self, file: Path) -> None:
        """Writes the events as JSON lines, compressed."""
        with gzip.open(file, "wb") as lines:
            lines.writelines(line + b"\n" for line in self.lines)

    def start(self) -> None:
        """Plays the rest, while the caller goes on."""
        self._thread.start()

    def _play(self) -> None:
        began, first = time.monotonic(), self.events
        while self.events < len(self.lines):
            time.sleep(max(0.0, began + (self.events - first) * self._interval - time.monotonic()))
            self._send()
        self._producer.flush()
        self.done.set()

    def _send(self) -> None:
        now = time.time()
        event = made_at(now, orjson.loads(self.lines[self.events]))
        line = self.lines[self.events] = orjson.dumps(event)
        for endpoint in self._selection.endpoints(event):
            self.sent[endpoint.model, endpoint.wiki, event["rev_id"]] = now
            self.by_model[endpoint.model] += 1
        self._producer.produce(f"{self._datacenter(event)}.mediawiki.revision-create", line)
        self._producer.poll(0)
        self.events += 1

    def _datacenter(self, event: Mapping[str, Any]) -> str:
        """Returns the datacenter of an edit. The capture does not say where it was made: each wiki gets one,
        always the same."""
        return self._datacenters[zlib.crc32(event["database"].encode()) % len(self._datacenters)]


@dataclass(frozen=True, kw_only=True)
class Options:
    kafka: str = option(
        "--kafka", required=True, metavar="HOST:PORT", help="a broker with the revision-create topics"
    )
    rate: float = option(
        "--rate",
        type=float,
        default=20,
        metavar="N",
        help="events a second (default: 20, about what all wikis of Wikimedia make together)",
    )
    seconds: float = option("--seconds", type=float, default=30, metavar="N", help="how long (default: 30)")
    skip: int = option(
        "--skip",
        type=int,
        default=0,
        metavar="N",
        help="leave out so many of the capture's events, which were played before (default: 0)",
    )


def main() -> None:
    options = parse(
        Options, "played_edits", "Plays real edits of January 2023 into Kafka, as if they were made now."
    )
    excerpt = Excerpt(options.rate, options.seconds, options.skip)
    edits = PlayedEdits(load(SHIPPED_MODELS), options.kafka, excerpt)
    edits.start()
    edits.done.wait()
    print(f"{edits.events} edits are in Kafka; they ask for {sum(edits.by_model.values())} scores")


if __name__ == "__main__":
    main()
