"""How the simulated Lift Wing reads a request and writes an answer, well or faulty.

As revscoring_model/model_servers/model_servers.py in wikimedia/machinelearning-liftwing-inference-services
and kserve/kserve do it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from runners.simulated_lift_wing.call_log import Service
from runners.simulated_lift_wing.faults import GARBAGE, HTML, Rule, usual_body, wiki_away
from runners.simulated_lift_wing.scores import features, score, version


class InvalidInputError(ValueError):
    """The request is at fault: status 400, as kserve's InvalidInput."""


def misdirected(request: web.BaseRequest, service: Service) -> web.Response | None:
    """Returns the answer to a request that is for no model of this service; None for one that is for its
    model."""
    path = request.raw_path
    if path != service.path and (path := unquote(path)) != service.path:
        prefix, suffix = "/v1/models/", ":predict"
        if path.startswith(prefix) and (path.endswith(suffix) or request.method == "GET"):
            return json(usual_body(404, path[len(prefix) :].removesuffix(suffix), 0), 404)
        return json({"detail": "Not Found"}, 404)
    return None if request.method == "POST" else json({"detail": "Method Not Allowed"}, 405)


def inputs_of(body: bytes) -> dict[str, Any]:
    """Returns the JSON object in a request. Raises InvalidInputError."""
    try:
        inputs = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"Unrecognized request format: {error}") from error
    if not isinstance(inputs, dict):
        raise InvalidInputError("Please verify that request input is a json dict")
    return inputs


def rev_id_of(inputs: dict[str, Any]) -> int:
    """Returns the revision to score, as `get_rev_id` finds it: that of the event if there is one. Raises
    InvalidInputError."""
    try:
        if "event" not in inputs:
            rev_id = inputs["rev_id"]
        else:
            event = inputs["event"]
            schema = event["$schema"]
            if schema.startswith(("/mediawiki/revision/create/1", "/mediawiki/revision/create/2")):
                rev_id = event["rev_id"]
            elif schema.startswith("/mediawiki/page/change/1"):
                rev_id = event["revision"]["rev_id"]
            else:
                raise InvalidInputError(
                    f"Unsupported event of schema {schema}, the rev_id value cannot be determined."
                )
    except (KeyError, TypeError, AttributeError):
        raise InvalidInputError('Expected "rev_id" in input data.') from None
    if type(rev_id) is not int:
        raise InvalidInputError('Expected "rev_id" to be an integer.')
    return rev_id


def good(service: Service, rev_id: int, extended: bool) -> web.Response:
    return web.Response(body=good_body(service, rev_id, extended), content_type="application/json")


def good_body(service: Service, rev_id: int, extended: bool) -> bytes:
    wiki, model = service.wiki, service.model
    scored: dict[str, Any] = {"score": score(wiki, model, rev_id)}
    if extended:
        scored["features"] = features(wiki, model, rev_id)
    return orjson.dumps({wiki: {"models": _models(service), "scores": {str(rev_id): {model: scored}}}})


def faulty(fault: Rule, service: Service, rev_id: int, extended: bool) -> web.Response:
    """Returns the answer that a fault makes of a call."""
    match fault.mode:
        case "status":
            return _with_status(fault, service, rev_id)
        case "mediawiki":
            return json(wiki_away(service.model, rev_id), 500)
        case "garbage":
            return web.Response(text=GARBAGE)
        case "html":
            return web.Response(text=HTML, content_type="text/html")
        case "redirect":
            return web.Response(status=302, headers={"Location": fault.location})
        case "empty":
            return json({service.wiki: {"models": _models(service), "scores": {}}})
        case "other_revision":
            return good(service, rev_id + 1, extended)
        case _:
            return good(service, rev_id, extended)  # slow or hung, but well; dropped, it reaches nobody


def _with_status(fault: Rule, service: Service, rev_id: int) -> web.Response:
    body = usual_body(fault.status, service.name, rev_id) if fault.body is None else fault.body
    response = (
        web.Response(text=body, status=fault.status) if isinstance(body, str) else json(body, fault.status)
    )
    response.headers.update(fault.headers)
    return response


def _models(service: Service) -> dict[str, Any]:
    return {service.model: {"version": version(service.wiki, service.model)}}


def json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
