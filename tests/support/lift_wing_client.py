"""A client of the simulated Lift Wing: what it answers, and what the server saw of it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from runners.simulated_lift_wing.server import SimulatedLiftWing, score, version
from tests.support.lift_wing import DAMAGING, MODELS, PATIENCE_S, REVISION, asked
from transforms.elements import Score
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import LiftWingClient
from transforms.models.model import Endpoint

GOODFAITH = MODELS["goodfaith"].endpoints["enwiki"]
ENTERED_AT = 1_700_000_000.0

Open = Callable[..., LiftWingClient]


class Waiter(NamedTuple):
    """A request that looks for room."""

    late: bool = False
    counted: int = 0
    requests: int = 1
    entered_at: float = ENTERED_AT


def admit(lift_wing: LiftWingClient, endpoint: Endpoint, counted: int = 0) -> float:
    return lift_wing.admission.admit(endpoint, Waiter(counted > 0, counted))


def answer(lift_wing: LiftWingClient, rev_id: int = REVISION, endpoint: Endpoint = DAMAGING) -> CallResult:
    return asked(lift_wing, rev_id, endpoint).result(PATIENCE_S)


def good(rev_id: int = REVISION, endpoint: Endpoint = DAMAGING) -> Score:
    said = score(endpoint.wiki, endpoint.model, rev_id)
    return Score(version(endpoint.wiki, endpoint.model), said["prediction"], said["probability"])


def error(found: CallResult) -> tuple[type[object], str]:
    return type(found.result), str(found.result)


def calls(server: SimulatedLiftWing, rev_id: int = REVISION, endpoint: Endpoint = DAMAGING) -> int:
    return server.calls().get((endpoint.model, endpoint.wiki, rev_id), 0)


def wait_until(fact: Callable[[], bool]) -> None:
    until = monotonic() + PATIENCE_S
    while not fact():
        assert monotonic() < until


def wait_for_calls(server: SimulatedLiftWing, count: int, endpoint: Endpoint) -> None:
    """Returns when the server holds so many calls for certain."""
    until = monotonic() + PATIENCE_S
    while server.stats()["calls"].get(endpoint.model, {}).get("in_flight", 0) < count:
        assert monotonic() < until
