"""Requests to Lift Wing by the real client."""

from __future__ import annotations

from concurrent.futures import Future

from pipeline.config.models_file import load
from tests.support.events import ROOT, edit
from transforms.elements import ScoreRequest
from transforms.events.source_events import event_of
from transforms.lift_wing.bulkhead import CallResult
from transforms.lift_wing.client import LiftWingClient
from transforms.models.model import Endpoint

MODELS = load(ROOT / "pipeline" / "models.yaml").models
DAMAGING = MODELS["damaging"].endpoints["enwiki"]
REVISION = 7
PATIENCE_S = 20  # of a test for an answer; none is waited for in vain


def request_of(endpoint: Endpoint, rev_id: int) -> ScoreRequest:
    return ScoreRequest(event_of(edit(rev_id=rev_id, database=endpoint.wiki), "eqiad"), endpoint.model)


def asked(
    lift_wing: LiftWingClient, rev_id: int = REVISION, endpoint: Endpoint = DAMAGING, late: bool = False
) -> Future[CallResult]:
    future: Future[CallResult] = Future()
    lift_wing.submit(endpoint, request_of(endpoint, rev_id), future.set_result, late)
    return future
