"""Events to EventGate, which writes them to Kafka: many in one POST, with the same `meta.id` at every try."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
import orjson
import requests
from apache_beam.metrics import Metrics

from transforms.elements import Failure, OutputEvent, ScoreRequest, json_text
from transforms.eventgate_answers import Verdict, verdict
from transforms.failures import failed
from transforms.http_calls import USER_AGENT, host_ca_file
from transforms.score_events import utc_now
from transforms.written import Written

ALL = "*"  # datacenters
_LARGEST_BODY, _MOST_EVENTS = 4_000_000, 500  # of a POST; EventGate takes 4 MB by default, Wikimedia's 10 MB
_LARGEST_EVENT = 4_194_304  # bytes; of a message in Kafka
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_TRIES_OF_REFUSED_STREAM = 3  # it reads its configuration at its start, and may be about to
_LOGGER = logging.getLogger(__name__)


class RefusedStreamError(RuntimeError):
    """EventGate does not know a stream, or not with this schema; the bundle fails and Flink repeats it."""


@dataclass
class EventGate(beam.PTransform):
    """A sink: sends each event to the EventGate of its datacenter, and ends a bundle only when all are taken. What is invalid becomes a failure."""

    urls: Mapping[str, str]  # of /v1/events, by datacenter or for ALL
    failure_stream: str
    timeout_s: float = 15.0  # while its broker is frozen it says nothing
    clock: Callable[[], str] = utc_now

    def expand(self, events: beam.PCollection[OutputEvent]) -> beam.PCollection[None]:
        return events | "Post" >> beam.ParDo(_PostFn(self))


class _PostFn(beam.DoFn):
    def __init__(self, sink: EventGate) -> None:
        self._sink = sink
        self._failures = Metrics.counter("WritePerModel", "failures")

    def setup(self) -> None:
        self._written = Written()
        self._session = requests.Session()
        self._session.headers.update({"Content-Type": "application/json", "User-Agent": USER_AGENT})
        self._session.trust_env = False  # it is inside; a proxy of the environment must not see it
        self._session.verify = host_ca_file()

    def teardown(self) -> None:
        self._session.close()

    def start_bundle(self) -> None:
        self._held: dict[str, list[OutputEvent]] = {}  # by address
        self._scored: list[ScoreRequest] = []

    def process(self, event: OutputEvent) -> None:
        url = self._sink.urls.get(event.datacenter) or self._sink.urls[ALL]
        held = self._held.setdefault(url, [])
        held.append(event)
        if len(held) == _MOST_EVENTS:
            self._send(url, self._held.pop(url))

    def finish_bundle(self) -> None:
        for url, events in self._held.items():
            self._send(url, events)
        self._written.count(self._scored)

    def _send(self, url: str, events: list[OutputEvent]) -> None:
        """Returns when each is taken, it or the failure that it became."""
        for left in _bodies(events):
            tries, pause = 0, _FIRST_PAUSE_S
            while left:
                tries += 1
                found = self._post(url, left)
                self._scored += [event.request for name, (event, _) in left.items() if event.request and name not in found.invalid and name not in found.failed]
                instead = dict(self._instead(left[name][0], reason) for name, reason in found.invalid.items())
                left = {name: left[name] for name in found.failed} | instead
                if found.refused_stream and tries >= _TRIES_OF_REFUSED_STREAM:
                    raise RefusedStreamError(_refusal(url, found, left))
                if found.failed:
                    _LOGGER.warning("EventGate at %s did not take %d events: %s", url, len(found.failed), next(iter(found.failed.values())))
                    time.sleep(pause * random.uniform(0.5, 1.0))
                    pause = min(_LONGEST_PAUSE_S, 2 * pause)

    def _post(self, url: str, events: Mapping[str, tuple[OutputEvent, bytes]]) -> Verdict:
        limit = f"a message takes {_LARGEST_EVENT} bytes"
        too_large = {name: f"{limit}, and it has {len(body)}" for name, (_, body) in events.items() if len(body) > _LARGEST_EVENT}
        if too_large:
            return Verdict(too_large, {name: "not sent yet" for name in events if name not in too_large})
        try:
            answer = self._session.post(url, b"[" + b",".join(body for _, body in events.values()) + b"]", timeout=self._sink.timeout_s)
        except requests.RequestException as error:
            return Verdict(failed=dict.fromkeys(events, f"no answer: {error}"))
        return verdict(answer.status_code, answer.content, events.keys())

    def _instead(self, event: OutputEvent, reason: str) -> tuple[str, tuple[OutputEvent, bytes]]:
        """The failure that goes out in the stead of an event that is invalid."""
        if event.request is None:
            raise RefusedStreamError(f"EventGate takes no failure: {event.stream} with schema {event.body['$schema']}: {reason}")
        self._failures.inc()
        failure = Failure("WritePerModel", f"EventGate: {reason}", json_text(event.request.event.raw), event.datacenter, event.request.model)
        return _encoded(failed(failure, self._sink.failure_stream, self._sink.clock()))


def _encoded(event: OutputEvent) -> tuple[str, tuple[OutputEvent, bytes]]:
    return event.body["meta"]["id"], (event, orjson.dumps(event.body))


def _bodies(events: list[OutputEvent]) -> Iterator[dict[str, tuple[OutputEvent, bytes]]]:
    """What goes out in one POST each, by `meta.id`: an event that comes twice in a bundle goes out once."""
    some: dict[str, tuple[OutputEvent, bytes]] = {}
    size = 0
    for name, (event, body) in map(_encoded, events):
        if some and size + len(body) > _LARGEST_BODY:
            yield some
            some, size = {}, 0
        some[name] = event, body
        size += len(body)
    yield some


def _refusal(url: str, found: Verdict, left: Mapping[str, tuple[OutputEvent, bytes]]) -> str:
    name = next(name for name, reason in found.failed.items() if reason == found.refused_stream)
    body = left[name][0].body
    what = f"stream {body['meta']['stream']} with schema {body['$schema']}"
    return f"EventGate at {url} refuses {what}: {found.refused_stream}; configure the stream and restart EventGate"
