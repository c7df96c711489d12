"""What the simulated Lift Wing does with a request: finds the service by the Host header, holds the call,
answers well or as a rule says."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import orjson
from aiohttp import web

from runners.simulated_lift_wing import call_log, page_models, partial_bodies, responses
from runners.simulated_lift_wing.call_log import Service
from runners.simulated_lift_wing.faults import Rule, rule
from runners.simulated_lift_wing.latency import latency
from runners.simulated_lift_wing.listeners import OtherPort

PUBLIC = "/service/lw/inference"  # before the path, where the gateway finds the service by it


class Gateway:
    """The state of the simulation and its one request handler. Belongs to one event loop."""

    def __init__(self, latency_text: str, scale: float, keep_records: bool) -> None:
        self.services = call_log.services(keep_records)
        self.by_path = {PUBLIC + service.path: service for service in self.services.values()}
        self.latency = latency(latency_text, scale)
        self.rules: list[Rule] = []  # newest first
        self.cleared = asyncio.Event()  # a new one after each clear: it wakes the calls that hang
        self.other_port: OtherPort | None = None

    async def control(self, wanted: Any) -> None:
        """Sets a fault. Raises ValueError."""
        new = rule(wanted)
        if new.mode != "refuse":
            self.rules.insert(0, new)
        elif self.other_port is None:
            raise ValueError("mode: refuse shuts the other port, and there is none; start with --other-port")
        else:
            await self.other_port.shut()

    async def clear(self) -> None:
        """Takes back all faults."""
        self.rules = []
        self.cleared.set()
        self.cleared = asyncio.Event()
        if self.other_port is not None:
            await self.other_port.open()

    def stats(self) -> dict[str, Any]:
        return call_log.stats(self.services.values())

    def calls(self) -> dict[tuple[str, str, int], int]:
        return {
            (service.model, service.wiki, rev_id): count
            for service in self.services.values()
            for rev_id, count in service.revisions.items()
        }

    def forget(self) -> None:
        for service in self.services.values():
            service.forget()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Returns the answer to a request: of a service, or to whoever runs the simulation."""
        host = request.headers.get("Host", "")
        public = self.by_path.get(request.raw_path)
        service = public or self.services.get(host) or self.services.get(host.partition(":")[0])
        if service is None:
            return await self._operate(request)
        if request.method == "GET" and request.raw_path == service.readiness_path:
            return await self._ready(request, service)
        started = perf_counter()
        service.total += 1
        service.in_flight += 1
        service.most_in_flight = max(service.most_in_flight, service.in_flight)
        try:
            response = (None if public else responses.misdirected(request, service)) or await self._predict(
                request, service, started
            )
        except responses.InvalidInputError as error:
            response = responses.json({"error": str(error)}, 400)
        finally:
            service.in_flight -= 1
        if not (request.transport is None or request.transport.is_closing()):
            service.answered[response.status] += 1
            response.headers["X-Simulated-Seconds"] = f"{perf_counter() - started:.4f}"
        return response

    async def _ready(self, request: web.BaseRequest, service: Service) -> web.Response:
        """KServe's answer to whether the model is loaded. It counts as no call; a fault of all calls of the
        service holds for it too."""
        fault = next((rule for rule in self.rules if rule.is_of_service(service.wiki, service.model)), None)
        if fault is not None and fault.mode in ("hang", "slow"):
            await self._hold(service, 0, 1, fault)
        elif fault is not None and fault.mode == "drop" and request.transport:
            request.transport.close()
        elif fault is not None:
            return responses.faulty(fault, service, 0, False)
        return responses.json({"name": service.name, "ready": True})

    async def _predict(
        self, request: web.BaseRequest, service: Service, started: float
    ) -> web.StreamResponse:
        if "Expect" in request.headers and request.transport:  # curl asks before it sends a whole event
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        inputs = responses.inputs_of(await request.read())
        if service.wiki == call_log.ALL_WIKIS:
            return await self._predict_pages(service, page_models.questions(service.model, inputs), started)
        rev_id = responses.rev_id_of(inputs)
        attempt = service.count_attempt(rev_id)
        fault = next((rule for rule in self.rules if rule.claim(service.wiki, service.model, rev_id)), None)
        await self._hold(service, rev_id, attempt, fault)
        if fault is not None and fault.mode == "drop" and request.transport:
            request.transport.close()
        else:
            service.note_held(rev_id, perf_counter() - started)
        extended = bool(inputs.get("extended_output"))
        if fault is None:
            return responses.good(service, rev_id, extended)
        if fault.mode in partial_bodies.MODES:
            return await partial_bodies.stream(request, fault, responses.good_body(service, rev_id, extended))
        return responses.faulty(fault, service, rev_id, extended)

    async def _predict_pages(
        self, service: Service, asked: list[page_models.Question], started: float
    ) -> web.StreamResponse:
        """A fault of status 422 is of its revision alone, any other of the whole call."""
        revisions = [page_models.revision_of(question) for question in asked]
        attempts = [service.count_attempt(rev_id) for rev_id in revisions]
        faults = {
            rev_id: rule
            for rev_id in revisions
            for rule in self.rules
            if rule.claim(service.wiki, service.model, rev_id)
        }
        failing = {rev_id for rev_id, rule in faults.items() if rule.mode == "status" and rule.status == 422}
        of_call = next((rule for rev_id, rule in faults.items() if rev_id not in failing), None)
        await self._hold(service, revisions[0], attempts[0], of_call)
        for rev_id in revisions:
            service.note_held(rev_id, perf_counter() - started)
        if of_call is not None and of_call.mode in ("status", "mediawiki", "html", "garbage", "redirect"):
            return responses.faulty(of_call, service, revisions[0], False)
        return page_models.answer(service.model, asked, failing)

    async def _hold(self, service: Service, rev_id: int, attempt: int, fault: Rule | None) -> None:
        """A call that fails takes its time too."""
        if fault is not None and fault.mode == "hang":
            await self.cleared.wait()
        elif fault is not None and fault.mode == "slow":
            await asyncio.sleep(fault.seconds)
        elif seconds := self.latency(service.wiki, service.model, rev_id, attempt):
            await asyncio.sleep(seconds)

    async def _operate(self, request: web.BaseRequest) -> web.Response:
        match request.method, request.path:
            case "POST", "/control":
                try:
                    await self.control(orjson.loads(await request.read()))
                except ValueError as error:
                    return responses.json({"error": str(error)}, 400)
            case "DELETE", "/control":
                await self.clear()
            case "DELETE", "/stats":
                self.forget()
            case "GET", "/stats":
                told = self.stats()
                if request.headers.get("Accept", "").startswith("text/html"):
                    return web.Response(text=call_log.page(told), content_type="text/html")
                return responses.json(told)
            case "GET", "/stats/revisions" | "/stats/seconds":
                return responses.json(
                    call_log.by_revision(self.services.values(), request.path.rpartition("/")[2])
                )
            case _:
                return web.Response(status=404)  # Istio's, for a host that it does not route
        return web.Response(status=204)
