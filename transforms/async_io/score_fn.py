"""What both ways of waiting for Lift Wing share: a worker process's connection to it, and what comes out of a
request with its last answer."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from transforms.async_io.pending_request import PendingRequest, failure
from transforms.elements import Score, ScoreResponse
from transforms.events.source_events import key_of
from transforms.events.tracing import trace_headers
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import ClientError, LiftWingClient
from transforms.lift_wing.responses import CallNotPermitted, LiftWingError, Refused, Unavailable
from transforms.lift_wing.retry_policy import Limits
from transforms.metrics.bundle_metrics import BundleMetrics
from transforms.metrics.rolling_quantiles import RollingQuantiles
from transforms.models.model import Configuration, Endpoint
from transforms.worker.environment import REAL, Environment
from transforms.worker.fuse import Fuse, is_of_an_element
from transforms.worker.shared import SHARED
from transforms.worker.unforeseen import reason_of

_LOGGER = logging.getLogger(__name__)

Output = Any  # ScoreResponse or TaggedOutput of "failures"; Beam has no name for that at run time


class AsyncScoreFn(beam.DoFn):
    """The base of the DoFns that ask Lift Wing: opens the client, and counts calls and how they end."""

    def __init__(self, configuration: Configuration, environment: Environment = REAL) -> None:
        self.configuration, self.environment = configuration, environment
        self._milliseconds = {
            model: Metrics.distribution("ScoreWithLiftWing", f"call_ms_{model}")
            for model in configuration.models
        }

    def setup(self) -> None:
        self.lift_wing = self.open_client()
        self.admission = self.lift_wing.admission
        self._fuse = Fuse("ScoreWithLiftWing", self.environment.monotonic)
        self.call_milliseconds = RollingQuantiles("ScoreWithLiftWing", "call_ms")
        self.limits = Limits(self.configuration.lift_wing.max_age_s, self.environment)
        self._metrics = BundleMetrics(_counter("unforeseen"))

    def start_bundle(self) -> None:
        self._metrics.start_bundle()

    def teardown(self) -> None:
        self.close_client()

    def open_client(self) -> LiftWingClient:
        """Returns the client of the whole worker process."""
        return SHARED.acquire(LiftWingClient, self.configuration.lift_wing, self.environment)

    def close_client(self) -> None:
        SHARED.release(LiftWingClient, self.configuration.lift_wing, self.environment)

    def endpoint(self, model: str, wiki: str) -> Endpoint | None:
        """Returns where to ask; None when the models file has no such endpoint any more."""
        known = self.configuration.models.get(model)
        endpoint = known.endpoint(wiki) if known else None
        return endpoint if endpoint and endpoint.enabled else None

    def complete(self, pending: PendingRequest, answer: CallResult) -> Output:
        """Returns the response or the failure that a request becomes with its last answer, and counts it."""
        self.report_retries(pending)
        model, result = pending.request.model, answer.result
        if answer.was_called:
            count("calls", model)
            milliseconds = round(answer.seconds * 1000)
            self._milliseconds[model].update(milliseconds)
            self.call_milliseconds.add(model, milliseconds)
        if _fault_in(result):
            count("unforeseen")
        if isinstance(result, Score):
            return ScoreResponse(pending.request, result)
        count("failures", model)
        if isinstance(result, LiftWingError):
            count("failures", model, result.cause)
        else:
            pending.reason = reason_of(result)
        retryable = isinstance(result, (Unavailable, CallNotPermitted)) or (
            isinstance(result, Refused) and result.of_all
        )
        return TaggedOutput("failures", failure(pending, retryable=retryable))

    def pass_fuse(self, pending: PendingRequest, answer: CallResult) -> bool:
        """Notes the last answer of a request. Returns whether it may end with it: not where too many met
        exceptions that nobody foresaw. Raises what is no fault of a request."""
        fault = _fault_in(answer.result)
        if fault is None:
            if answer.was_called:
                self._fuse.record_success()
            return True
        if isinstance(fault, ClientError) or not is_of_an_element(fault):
            raise fault
        of = trace_headers(pending.request.event.raw).get("x-request-id", "unknown")
        _LOGGER.error(
            "%s of %s, request %s: %s",
            pending.request.model,
            pending.request.wiki,
            of,
            reason_of(fault),
            exc_info=fault,
        )
        return self._fuse.record_error(f"{pending.request.model}/{key_of(pending.request.event)}", fault)

    def report_retries(self, pending: PendingRequest) -> None:
        """Counts the tries that were not the last."""
        for cause in pending.unreported_retries:
            count("calls", pending.request.model)
            count("retries", pending.request.model, cause)
        pending.unreported_retries.clear()


def _fault_in(result: Score | Exception) -> Exception | None:
    """Returns the exception that nobody foresaw, in the client or in reading an answer; None where there is
    none."""
    if isinstance(result, LiftWingError):
        return (
            result.__cause__
            if result.cause == "unforeseen" and isinstance(result.__cause__, Exception)
            else None
        )
    return None if isinstance(result, Score) else result


def count(*name: str) -> None:
    """Counts one under a name of several words."""
    _counter("_".join(name)).inc()


@cache
def _counter(name: str) -> Any:
    """Returns a counter that is made when it first counts: what can go wrong with a model is known only then,
    and a removed one may still have requests."""
    return Metrics.counter("ScoreWithLiftWing", name)
