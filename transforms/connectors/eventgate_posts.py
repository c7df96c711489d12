"""Events to EventGate: a POST holds the events of one stream, so that a stream that EventGate cannot write
delays no other, and has no other written twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from transforms.connectors.eventgate_responses import verdict
from transforms.delivery.deliveries import Delivery, Refusal
from transforms.elements import OutputEvent
from transforms.events.tracing import as_lines, output_headers
from transforms.http.curl_client import HttpAnswer
from transforms.worker.environment import REAL, Environment

ALL = "*"  # datacenters
# of a POST, which is to be answered well within a second; EventGate takes 4 MB by default, Wikimedia's 10 MB
_LARGEST_BODY, _MOST_EVENTS = 1_000_000, 100
_LARGEST_EVENT = 4_194_304  # bytes; of a message in Kafka
_HEADERS = ["Content-Type: application/json", "Expect:"]
_ANSWER_S = 0.5
_AWAY = (0, 502, 503, 504)  # statuses of whoever stands before an EventGate that is not there
_LOGGER = logging.getLogger(__name__)


class EventGatePosts:
    """A Transport to EventGate. May be used from several threads.

    `urls`: of /v1/events by datacenter, or for ALL; `timeout_s`: of a POST.
    """

    def __init__(self, urls: Mapping[str, str], timeout_s: float, environment: Environment = REAL) -> None:
        self.environment = environment
        self._urls = urls
        self._connection = environment.connect(timeout_s, None, self._fault)
        self._largest: dict[str, int] = {}  # bytes of a body, by address, where it is less than usual

    def outbox(self, stream: str) -> EventGateOutbox:
        return EventGateOutbox(self, self._urls.get(stream.partition(".")[0]) or self._urls[ALL])

    def answers(self) -> bool:
        """Returns whether one of them answers a POST of no events, with whatever EventGate has to say about
        that. Waits half a second at most."""
        somebody = self.environment.new_event()

        def hear(answer: HttpAnswer) -> None:
            if answer.status not in _AWAY:
                somebody.set()

        for url in dict.fromkeys(self._urls.values()):
            self.post(url, [], b"[]", hear)
        return somebody.wait(_ANSWER_S)

    def post(self, url: str, headers: list[str], body: bytes, done: Callable[[HttpAnswer], None]) -> None:
        """Sends a POST, and passes its answer to `done` on the connection's thread."""
        self._connection.run_soon(partial(self._connection.post, url, _HEADERS + headers, body, done))

    def largest_body(self, url: str) -> int:
        """Returns how many bytes a body may have at most."""
        return self._largest.get(url, _LARGEST_BODY)

    def note_too_large(self, url: str, size: int) -> None:
        """Notes that a body was refused for its size."""
        self._largest[url] = min(self.largest_body(url), size // 2)

    def _fault(self, error: BaseException) -> None:
        _LOGGER.error("an answer of EventGate could not be read", exc_info=error)


class EventGateOutbox:
    """An Outbox of one stream. Answers of EventGate arrive on another thread."""

    def __init__(self, posts: EventGatePosts, url: str) -> None:
        self.deliveries: list[Delivery] = []
        self._posts, self._url, self._clock = posts, url, posts.environment.monotonic
        self._kept: list[Delivery] = []
        self._heard = posts.environment.new_event()

    def put(self, event: OutputEvent, value: bytes) -> None:
        delivery = Delivery(event, value, self._clock())
        self.deliveries.append(delivery)
        self._kept.append(delivery)
        if len(self._kept) == _MOST_EVENTS:
            self.send()

    def send(self) -> None:
        kept, self._kept = self._kept, []
        for together in self._bodies(kept):
            self._post(together)

    def wait(self, seconds: float) -> None:
        end = self._clock() + seconds
        while True:
            self._heard.clear()
            left = end - self._clock()
            if left <= 0 or all(delivery.decided_at is not None for delivery in self.deliveries):
                return
            self._heard.wait(left)

    def send_again(self, *, alone: bool = False) -> None:
        """Sends what was refused once more. EventGate answers for each event by itself: `alone` makes no
        difference."""
        if alone:
            return
        for delivery in self.deliveries:
            if delivery.refusal and not delivery.is_invalid:
                delivery.decided_at, delivery.refusal = None, None
                self._kept.append(delivery)
        self.send()

    def abandon(self) -> None:
        for delivery in self.deliveries:
            delivery.decide(self._clock(), Refusal("no answer"))

    def _bodies(self, deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
        """Yields what goes out in one POST each; refuses what is too large for any."""
        together: list[Delivery] = []
        size, largest = 0, self._posts.largest_body(self._url)
        for delivery in deliveries:
            if len(delivery.value) > _LARGEST_EVENT:
                self._refuse(
                    delivery,
                    f"a message takes {_LARGEST_EVENT} bytes, and it has {len(delivery.value)}",
                    of_event=True,
                )
                continue
            if together and size + len(delivery.value) > largest:
                yield together
                together, size = [], 0
            together.append(delivery)
            size += len(delivery.value)
        if together:
            yield together

    def _post(self, together: list[Delivery]) -> None:
        body = b"[" + b",".join(delivery.value for delivery in together) + b"]"
        trace = as_lines(output_headers(together[0].event))
        self._posts.post(self._url, trace, body, partial(self._answered, together, len(body)))

    def _answered(self, together: list[Delivery], size: int, answer: HttpAnswer) -> None:
        """Decides the deliveries of a POST, on the connection's thread. Halves what was refused as a whole,
        to find whose fault it is."""
        by_id: dict[str, list[Delivery]] = {}
        for delivery in together:
            by_id.setdefault(delivery.event.body["meta"]["id"], []).append(delivery)
        found = verdict(answer.status, answer.body, by_id.keys(), answer.error)
        if answer.status == 413:
            self._posts.note_too_large(self._url, size)
        if found.is_of_request and len(together) > 1:
            self._post(together[: len(together) // 2])
            self._post(together[len(together) // 2 :])
            return
        for name, deliveries in by_id.items():
            for delivery in deliveries:
                if name in found.invalid:
                    self._refuse(delivery, found.invalid[name], of_event=True)
                elif name in found.failed:
                    self._refuse(
                        delivery,
                        found.failed[name],
                        of_event=answer.status == 413,
                        answered=not answer.error and answer.status not in _AWAY,
                    )
                else:
                    delivery.decide(self._clock(), None)
        self._heard.set()

    def _refuse(self, delivery: Delivery, reason: str, *, of_event: bool, answered: bool = True) -> None:
        delivery.alone = True
        delivery.decide(self._clock(), Refusal(f"EventGate: {reason}", of_event, answered))
