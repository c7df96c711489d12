"""What both ways of waiting for Lift Wing share: a worker process's connection to it, and what an answer makes of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from transforms.answers import LiftWingError, NotCalled, Refused, Unavailable, seconds_to_next_try
from transforms.elements import Failure, Score, ScoreRequest, ScoreResponse, json_text
from transforms.environment import REAL, Environment
from transforms.lanes import Answer
from transforms.lift_wing import LiftWing, SharedLiftWing
from transforms.models import Configuration, Endpoint
from transforms.recent import Recent

Batch = tuple[ScoreRequest, ...]
Output = Any  # ScoreResponse or TaggedOutput of "failures"; Beam has no name for that at run time


@dataclass(slots=True)
class Pending:
    """A request that has not come to its end."""

    request: ScoreRequest
    asked_at: float  # seconds since the epoch
    tries: int = 0
    due: float = 0.0  # seconds since the epoch; not to be asked before
    reason: str = ""  # what the last try gave in place of a score
    untold: list[str] = field(default_factory=list)  # causes of tries that the metrics do not know yet
    waited: bool = False  # it found no room the last time

    def ends_with(self, answer: Answer, max_age_s: float, environment: Environment) -> bool:
        """Whether the answer to a call is the end of it; if not, when it is due again."""
        error, called = answer.result, not isinstance(answer.result, NotCalled)
        self.tries += called
        if not isinstance(error, LiftWingError):
            return True
        if called or not self.reason:
            self.reason = str(error)
        now = environment.time()
        wait = seconds_to_next_try(error, self.tries, now - self.asked_at, max_age_s, environment.uniform)
        if wait is None:
            return True
        if called:
            self.untold.append(error.cause)
        self.due = now + wait
        return False


class AskFn(beam.DoFn):
    """The base of a DoFn that asks; it counts what is asked and how that ends."""

    def __init__(self, configuration: Configuration, environment: Environment = REAL) -> None:
        self.configuration, self.environment = configuration, environment
        self._milliseconds = {model: Metrics.distribution("ScoreWithLiftWing", f"call_ms_{model}") for model in configuration.models}

    def setup(self) -> None:
        self.lift_wing: LiftWing = SharedLiftWing.acquire(self.configuration.lift_wing, self.environment)
        self.recent_milliseconds = Recent("ScoreWithLiftWing", "call_ms")
        self.max_age_s = self.configuration.lift_wing.max_age_s

    def teardown(self) -> None:
        SharedLiftWing.release(self.configuration.lift_wing, self.environment)

    def endpoint(self, model: str, wiki: str) -> Endpoint | None:
        """Where to ask; None when the models file has no such endpoint any more."""
        known = self.configuration.models.get(model)
        endpoint = known.endpoint(wiki) if known else None
        return endpoint if endpoint and endpoint.enabled else None

    def end(self, pending: Pending, answer: Answer) -> Output:
        """What comes out of a request with its last answer."""
        self.tell(pending)
        model = pending.request.model
        if not isinstance(answer.result, NotCalled):
            count("calls", model)
            milliseconds = round(answer.seconds * 1000)
            self._milliseconds[model].update(milliseconds)
            self.recent_milliseconds.add(model, milliseconds)
        if isinstance(answer.result, Score):
            return ScoreResponse(pending.request, answer.result)
        if not isinstance(answer.result, LiftWingError):
            raise answer.result
        count("failures", model)
        count("failures", model, answer.result.cause)
        return TaggedOutput("failures", failure(pending, passing=isinstance(answer.result, (Unavailable, Refused, NotCalled))))

    def tell(self, pending: Pending) -> None:
        """Counts the tries that were not the last."""
        for cause in pending.untold:
            count("calls", pending.request.model)
            count("retries", pending.request.model, cause)
        pending.untold.clear()


def failure(pending: Pending, *, passing: bool) -> Failure:
    """The failure of a request, with how often it was tried where that was more than once."""
    reason = f"{pending.reason} ({pending.tries} tries)" if pending.tries > 1 else pending.reason
    event = pending.request.event
    return Failure("ScoreWithLiftWing", reason, json_text(event.raw), event.datacenter, pending.request.model, event.partition, passing)


def count(*name: str) -> None:
    _counter("_".join(name)).inc()


@cache
def _counter(name: str) -> Any:
    """Made when first counted: what can go wrong with a model is known only then, and a removed one may still have requests."""
    return Metrics.counter("ScoreWithLiftWing", name)


def in_global_window(value: Any) -> WindowedValue:
    return WindowedValue(value, MIN_TIMESTAMP, [GlobalWindow()])
