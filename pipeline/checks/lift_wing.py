"""Whether Lift Wing has the services that the models file names: KServe is asked of each, all at once, and
those that fail alike are one line."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from pipeline.checks.findings import Finding, ok, skipped, unseen, wrong
from transforms.http.curl_client import HttpAnswer, HttpCalls
from transforms.lift_wing.credentials import authorization
from transforms.lift_wing.process_bulkheads import headers_for
from transforms.models.model import Configuration, Endpoint, LiftWingSettings

_THING = "lift wing"
_PATIENCE_S = 5.0
_ELSEWHERE = "start it, or name another address with --lift-wing or in the models file"
_NAMED = 3  # of the endpoints in a line


class Fault(NamedTuple):
    """What is wrong with endpoints, which are printed in one line where it is the same."""

    url: str
    what: str
    repair: str
    is_of_service: bool = True  # and not of the connection


def look(configuration: Configuration | None) -> list[Finding]:
    """Asks each endpoint that is on, and returns a line for each fault, or one for all."""
    if configuration is None:
        return [unseen(_THING, "the models file does not say where it is")]
    endpoints = [endpoint for model in configuration.models.values() for endpoint in model.active]
    if not endpoints:
        return [skipped(_THING, "no model is on")]
    failed: dict[Fault, list[Endpoint]] = defaultdict(list)
    settings = configuration.lift_wing
    for endpoint, answer in zip(endpoints, asyncio.run(answers_of(endpoints, settings)), strict=True):
        if fault := fault_of(_address(endpoint, settings), answer):
            failed[fault].append(endpoint)
    if failed:
        return [wrong(_THING, _line(fault, of_fault, len(endpoints))) for fault, of_fault in failed.items()]
    return [
        ok(
            _THING,
            f"{len(endpoints)} endpoints at "
            f"{', '.join(sorted({_address(endpoint, settings) for endpoint in endpoints}))}",
        )
    ]


async def answers_of(endpoints: Sequence[Endpoint], settings: LiftWingSettings) -> list[HttpAnswer]:
    """Returns what KServe answers when asked whether a model is loaded, in the order of the endpoints. The
    address, headers and token are those by which scores are asked for."""
    loop = asyncio.get_running_loop()
    http = HttpCalls(loop, _PATIENCE_S, settings.ca_file)
    answers: list[asyncio.Future[HttpAnswer]] = []
    for endpoint in endpoints:
        answers.append(loop.create_future())
        headers = headers_for(endpoint, settings) + authorization(settings)
        http.get(_address(endpoint, settings) + endpoint.readiness_path, headers, answers[-1].set_result)
    try:
        return await asyncio.gather(*answers)
    finally:
        http.close()


def fault_of(url: str, answer: HttpAnswer) -> Fault | None:
    """Returns what is wrong with an endpoint; None where there is such a service, though it may not let
    itself be asked in this way."""
    if answer.timed_out or answer.status == 0:
        return _fault_of_connection(url, answer)
    if answer.status == 404:
        return Fault(
            url,
            "404, no such service or model",
            "correct the namespace, service or wikis in the models file, or write enabled: false",
        )
    if answer.status >= 500:
        return Fault(
            url,
            f"expected 200, got {answer.status}",
            "see what ails the service, or write enabled: false in the models file",
        )
    if answer.status == 200 and _is_unready(answer.body):
        return Fault(
            url, "the model is not loaded", "wait for it, or write enabled: false in the models file"
        )
    return None


def _fault_of_connection(url: str, answer: HttpAnswer) -> Fault:
    if answer.timed_out:
        return Fault(url, f"expected an answer within {_PATIENCE_S:g} s, got none", _ELSEWHERE, False)
    if re.search("certificate|trust anchors", answer.error):
        repair = "name a file with the authority that signed it as lift_wing.ca_file in the models file"
        return Fault(url, answer.error, repair, False)
    what = re.sub(r" after \d+ ms", "", answer.error)  # else no two are alike
    return Fault(url, what, _ELSEWHERE, False)


def _is_unready(body: bytes) -> bool:
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(status, dict) and status.get("ready", True) in (False, "False", "false")


def _address(endpoint: Endpoint, settings: LiftWingSettings) -> str:
    return (endpoint.url or settings.url).rstrip("/")


def _line(fault: Fault, endpoints: Sequence[Endpoint], of_all: int) -> str:
    named = [endpoint.host if fault.is_of_service else endpoint.name for endpoint in endpoints[:_NAMED]] + [
        "..."
    ] * (len(endpoints) > _NAMED)
    return (
        f"{len(endpoints)} of {of_all} endpoints at {fault.url} ({', '.join(named)}): {fault.what}; "
        f"{fault.repair}"
    )
