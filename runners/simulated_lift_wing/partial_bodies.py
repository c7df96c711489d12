"""The answers of the simulated Lift Wing that are no whole HTTP message in memory: one that breaks off, and
one of many megabytes."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from runners.simulated_lift_wing.faults import Rule

MODES = ("truncated", "huge")
_MEGABYTE = b" " * 1_000_000  # white space: whoever reads it all finds a good answer after it


async def stream(request: web.BaseRequest, fault: Rule, good: bytes) -> web.StreamResponse:
    """Sends what the fault makes of a good answer's body."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(good)
    with suppress(ConnectionError):  # the client has had enough
        if fault.mode == "huge":
            await _send_huge(request, response, fault, good)
        else:
            await _break_off(request, response, good)
    return response


async def _break_off(request: web.BaseRequest, response: web.StreamResponse, good: bytes) -> None:
    await response.prepare(request)
    await response.write(good[: len(good) // 2])
    if request.transport:
        request.transport.close()


async def _send_huge(
    request: web.BaseRequest, response: web.StreamResponse, fault: Rule, good: bytes
) -> None:
    if fault.chunked:
        response.content_length = None
        response.enable_chunked_encoding()
    else:
        response.content_length = fault.megabytes * len(_MEGABYTE) + len(good)
    await response.prepare(request)
    for _ in range(fault.megabytes):
        await response.write(_MEGABYTE)
    await response.write_eof(good)
