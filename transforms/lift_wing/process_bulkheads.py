"""The bulkheads of a worker process, one for each endpoint, and what they are at now."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

from transforms.http.user_agent import user_agent
from transforms.lift_wing.bulkhead import Bulkhead
from transforms.lift_wing.concurrency_limit import ConcurrencyLimit
from transforms.models.adapters import KINDS
from transforms.models.model import Endpoint, LiftWingSettings
from transforms.worker.environment import Environment


class ModelStats(NamedTuple):
    """What a model is at now, over all its endpoints, in this process."""

    in_flight: int = 0
    queued: int = 0
    waiting: int = 0  # requests that found no room and have not come back
    limit: int = 0  # calls at once that its endpoints would get now
    broken: int = 0  # endpoints that get no calls but a probe now and then


def headers_for(endpoint: Endpoint, settings: LiftWingSettings) -> list[str]:
    """Returns the headers of all calls to an endpoint, but for `authorization`, which may change, and those
    of a call's trace."""
    headers = [
        "Content-Type: application/json",
        "Accept: application/json",
        "Expect:",
        f"User-Agent: {user_agent(settings.contact)}",
    ]
    if settings.by_host:
        headers.append(f"Host: {endpoint.host}")
    return headers


class ProcessBulkheads:
    """Makes the bulkhead of an endpoint when it is first asked for. `of` and `all` are called with `lock`
    held."""

    def __init__(self, settings: LiftWingSettings, environment: Environment) -> None:
        self.lock = threading.Lock()  # of all that several threads use of the calls
        self._settings, self._environment = settings, environment
        self._by_endpoint: dict[str, Bulkhead] = {}

    def of(self, endpoint: Endpoint) -> Bulkhead:
        bulkhead = self._by_endpoint.get(endpoint.name)
        if bulkhead is None:
            bulkhead = self._by_endpoint[endpoint.name] = Bulkhead(
                endpoint,
                url=(endpoint.url or self._settings.url).rstrip("/") + endpoint.path,
                headers=headers_for(endpoint, self._settings),
                kind=KINDS[endpoint.kind],
                limit=ConcurrencyLimit(endpoint.concurrency, self._environment.uniform),
                wikis=self._settings.wikis,
            )
        return bulkhead

    def all(self) -> Collection[Bulkhead]:
        return self._by_endpoint.values()

    def stats(self) -> dict[str, ModelStats]:
        """Returns those of each model that was asked."""
        with self.lock:
            bulkheads = list(self._by_endpoint.values())
        sums: dict[str, Counter[str]] = {}
        for bulkhead in bulkheads:
            broken = bulkhead.limit.is_broken
            sums.setdefault(bulkhead.endpoint.model, Counter()).update(
                in_flight=bulkhead.in_flight,
                queued=bulkhead.queued,
                waiting=bulkhead.waitlist.total,
                limit=0 if broken else bulkhead.limit.current,
                broken=broken,
            )
        return {model: ModelStats(**of_model) for model, of_model in sums.items()}
