"""What the simulated Lift Wing remembers of the calls to each of its services, and how it tells."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from typing import Any

from runners.simulated_lift_wing.scores import ENDPOINTS, NAMESPACES, SERVICES

ALL_WIKIS = "*"


@dataclass(eq=False)
class Service:
    """One model of one wiki, as Lift Wing serves it under its own host name; or a newer one, of all wikis."""

    wiki: str  # or ALL_WIKIS
    model: str
    namespace: str
    service: str | None = None  # where its name is not the model's
    # false: `revisions` and `seconds` stay empty, so that memory does not grow with the calls
    keeps_records: bool = True
    total: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    answered: Counter[int] = field(default_factory=Counter)  # by status
    revisions: dict[int, int] = field(default_factory=dict)  # calls by rev_id
    seconds: dict[int, float] = field(default_factory=dict)  # that the last answer of this rev_id was held

    def __post_init__(self) -> None:
        self.name = self.model if self.wiki == ALL_WIKIS else f"{self.wiki}-{self.model}"
        self.host = f"{self.service or self.name}.{self.namespace}.wikimedia.org"
        self.readiness_path = f"/v1/models/{self.name}"
        self.path = f"{self.readiness_path}:predict"

    def count_attempt(self, rev_id: int) -> int:
        """Counts a call of this revision; returns which one it is, the first being 1; always 1 without
        records."""
        if not self.keeps_records:
            return 1
        self.revisions[rev_id] = self.revisions.get(rev_id, 0) + 1
        return self.revisions[rev_id]

    def note_held(self, rev_id: int, seconds: float) -> None:
        """Notes how long the answer to a call of this revision was held."""
        if self.keeps_records:
            self.seconds[rev_id] = round(seconds, 4)

    def forget(self) -> None:
        """Starts the counts again. Calls in flight stay: they are a fact, not a count."""
        self.total = self.most_in_flight = self.in_flight
        self.answered = Counter()
        self.revisions = {}
        self.seconds = {}


def services(keep_records: bool) -> dict[str, Service]:
    """Returns every service by its host."""
    known = [
        Service(wiki, model, entry["namespace"], None, keep_records)
        for model, entry in ENDPOINTS.items()
        for wiki in entry["wikis"]
    ]
    known += [
        Service(ALL_WIKIS, model, namespace, SERVICES.get(model), keep_records)
        for model, namespace in NAMESPACES.items()
    ]
    return {service.host: service for service in known}


def stats(known: Iterable[Service]) -> dict[str, Any]:
    """Returns the calls by model. A call that is neither in flight nor answered was dropped, or its client
    went away."""
    by_model: dict[str, list[Service]] = defaultdict(list)
    for service in known:
        if service.total:
            by_model[service.model].append(service)
    return {
        "calls": {model: _sum(of_model) for model, of_model in by_model.items()},
        "most_in_flight": {
            service.name: service.most_in_flight for of_model in by_model.values() for service in of_model
        },
    }


def _sum(of_model: list[Service]) -> dict[str, Any]:
    answered = sum((service.answered for service in of_model), Counter[int]())
    return {
        "total": sum(service.total for service in of_model),
        "in_flight": sum(service.in_flight for service in of_model),
        "answered": {str(status): count for status, count in sorted(answered.items())},
    }


def by_revision(known: Iterable[Service], what: str) -> dict[str, dict[str, Any]]:
    """Returns `revisions` or `seconds` of all services: {model: {"wiki:rev_id": value}}."""
    told: dict[str, dict[str, Any]] = defaultdict(dict)
    for service in known:
        for rev_id, value in getattr(service, what).items():
            told[service.model][f"{service.wiki}:{rev_id}"] = value
    return told


def page(told: dict[str, Any]) -> str:
    """Returns the stats for a person, as HTML."""
    rows = "".join(
        f"<tr><td>{escape(model)}<td>{calls['total']}<td>{calls['in_flight']}<td>"
        + ", ".join(f"{status}: {count}" for status, count in calls["answered"].items())
        for model, calls in told["calls"].items()
    )
    return (
        "<!doctype html><meta charset=utf-8><title>Simulated Lift Wing</title><h1>Simulated Lift Wing</h1>"
        "<table border=1 cellpadding=4><tr><th>model<th>calls<th>in flight<th>answers by "
        f"status{rows}</table>"
    )
