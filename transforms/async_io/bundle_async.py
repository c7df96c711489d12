"""How a batch run waits for Lift Wing."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from transforms.async_io.pending_request import PendingRequest
from transforms.async_io.score_fn import AsyncScoreFn, Output
from transforms.elements import ScoreRequests
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import LiftWingClient
from transforms.lift_wing.responses import Refused
from transforms.models.model import Configuration, Endpoint
from transforms.worker.fuse import FuseBlownError
from transforms.worker.global_window import in_global_window

# requests of all models that answer; bounds the memory of a bundle, and is far above what is ever in flight
_MAX_OUTSTANDING = 2_000
# so that one that hangs holds up no other before it is given up; some 4 KB each
_MAX_OUTSTANDING_IN_ALL = 50_000
_SILENT_AFTER_S = 1.0  # a model that owes answers and gave none for so long may hang
_SHORTEST_LOOK_S = 0.1
# with an endpoint that gives no sign of life; what it is asked for then fails, and can be asked for in
# another run
_GIVE_UP_AFTER_S = 45.0
_TAKEN_AT_ONCE = 128


@dataclass(frozen=True)
class BundleAsync:
    """Has a bundle wait until its requests are answered, with many in flight: for bounded input, where only
    the rate counts."""

    def asking(self, configuration: Configuration) -> beam.PTransform:
        """Returns the transform of ScoreRequests to `responses` and `failures`."""
        return beam.ParDo(BundleAsyncFn(configuration)).with_outputs("failures", main="responses")


class BundleAsyncFn(AsyncScoreFn):
    def open_client(self) -> LiftWingClient:
        """Returns one of its own: its limits are a worker's share, and a process may have several workers."""
        return LiftWingClient(self.configuration.lift_wing, self.environment)

    def close_client(self) -> None:
        self.lift_wing.close()

    def start_bundle(self) -> None:
        super().start_bundle()
        self._answers = _Answers()
        self._outstanding: Counter[str] = Counter()  # by model
        # when a model that owes answers gave one last, or was asked first
        self._heard_at: dict[str, float] = {}

    def process(self, requests: ScoreRequests) -> Iterator[Output]:
        for request in requests:
            endpoint = self.endpoint(request.model, request.wiki)
            assert endpoint, f"{request.model} of {request.wiki} was selected and is not configured"
            if not self._outstanding[request.model]:
                self._heard_at[request.model] = self.environment.monotonic()
            self._outstanding[request.model] += 1
            now = self.environment.time()
            self._submit(PendingRequest(request, now, now), endpoint, self._answers)
        while self._is_backpressured():
            yield from self._next()

    def _is_backpressured(self) -> bool:
        """Returns whether the input has to wait for answers. It does not wait for a model that may hang, as
        long as memory lasts."""
        outstanding = self._outstanding.total()
        if outstanding <= _MAX_OUTSTANDING or outstanding > _MAX_OUTSTANDING_IN_ALL:
            return outstanding > _MAX_OUTSTANDING
        silent_since = self.environment.monotonic() - _SILENT_AFTER_S
        return (
            sum(count for model, count in self._outstanding.items() if self._heard_at[model] > silent_since)
            > _MAX_OUTSTANDING
        )

    def finish_bundle(self) -> Iterator[WindowedValue]:
        while self._outstanding.total():
            for output in self._next():
                if isinstance(output, TaggedOutput):
                    yield TaggedOutput(output.tag, in_global_window(output.value))
                else:
                    yield in_global_window(output)

    def _next(self) -> Iterator[Output]:
        answered = self._answers.take(min(self._outstanding.total(), _TAKEN_AT_ONCE), _SILENT_AFTER_S)
        now = self.environment.monotonic()
        for pending, answer in answered:
            self._outstanding[pending.request.model] -= 1
            self._heard_at[pending.request.model] = now
            if not self.pass_fuse(pending, answer):
                raise FuseBlownError(
                    "ScoreWithLiftWing: unforeseen exceptions of too many requests; the last one: "
                    f"{answer.result!r:.500}"
                )
            yield self.complete(pending, answer)

    def _submit(self, pending: PendingRequest, endpoint: Endpoint, answers: _Answers) -> None:
        self.lift_wing.submit(
            endpoint, pending.request, partial(self._on_result, pending, endpoint, answers), pending.late
        )

    def _on_result(
        self, pending: PendingRequest, endpoint: Endpoint, answers: _Answers, answer: CallResult
    ) -> None:
        """Hands on an answer that ends its request; else has the request asked again when it is due. Called
        on the loop's thread."""
        if (
            pending.record(answer, self.limits)
            or self._is_for_another_run(endpoint, answer)
            or self.admission.seconds_failing(endpoint) > _GIVE_UP_AFTER_S
        ):
            answers.put(pending, answer)
            return
        if answer.was_called:
            wait = pending.due - self.environment.time()
        else:
            wait = self.admission.admit(endpoint, pending)
            pending.counted = wait > 0
            left_s = _GIVE_UP_AFTER_S - self.admission.seconds_failing(endpoint)
            wait = min(wait, max(_SHORTEST_LOOK_S, left_s))  # to be given up in time
        self.lift_wing.call_later(max(0.0, wait), partial(self._submit_again, pending, endpoint, answers))

    def _submit_again(self, pending: PendingRequest, endpoint: Endpoint, answers: _Answers) -> None:
        if pending.counted:
            self.admission.forget(endpoint, pending)
            pending.counted = False
        self._submit(pending, endpoint, answers)

    def _is_for_another_run(self, endpoint: Endpoint, answer: CallResult) -> bool:
        """Returns whether the endpoint refuses everybody or is parked, which may last longer than this
        run."""
        if not answer.was_called:
            return self.admission.patience_s(endpoint) is not None
        return isinstance(answer.result, Refused) and answer.result.of_all


class _Answers:
    """Hands answers from the loop's thread to the bundle's thread many at a time: to wake a thread for each
    costs more than the answer."""

    def __init__(self) -> None:
        self._answered: deque[tuple[PendingRequest, CallResult]] = deque()
        self._wanted = 0
        self._enough = threading.Event()

    def put(self, pending: PendingRequest, answer: CallResult) -> None:
        self._answered.append((pending, answer))
        if len(self._answered) >= self._wanted:
            self._enough.set()

    def take(self, count: int, patience_s: float) -> list[tuple[PendingRequest, CallResult]]:
        """Returns `count` answers as soon as they are there, or fewer after `patience_s` seconds."""
        self._wanted = count
        self._enough.clear()
        if len(self._answered) < count:
            self._enough.wait(patience_s)
        return [self._answered.popleft() for _ in range(min(count, len(self._answered)))]
