"""What an orchestrator or a pager asks the page: whether the page lives, and whether the stream does its
work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.watch.headline import STOPPED_STATE
from pipeline.watch.health_poller import HealthPoller

_STALE_S = 15.0
_OLD_CHECKPOINT_S = 120.0
_FAR_BEHIND = 10_000  # events

Answer = tuple[int, Mapping[str, Any]]  # status, body


def healthz(board: Mapping[str, Any], now: float) -> Answer:
    """Returns 200 while the page looks at its stream, whatever it sees."""
    age = now - board.get("at", 0.0)
    return (200 if age < _STALE_S else 503), {"looked_s_ago": round(age, 1)}


def readyz(board: Mapping[str, Any], health: HealthPoller | None, now: float) -> Answer:
    """Returns 200 when the job runs, its last checkpoint is young and it is not far behind; else 503 with
    why."""
    if healthz(board, now)[0] != 200 or health is None:
        return 503, {"why": ["nothing has been looked at"]}
    flink, behind = health.facts.flink, board["behind"]
    checkpoint_s = round(now - flink.last_checkpoint, 1) if flink and flink.last_checkpoint else None
    why = [board["headline"]["text"]] if board["headline"]["state"] == STOPPED_STATE else []
    if flink is None:
        why.append("nobody knows where its Flink is; name it with --flink, or --state")
    elif not flink.trouble and flink.state != "RUNNING":
        why.append(f"the job is {flink.state}")
    elif not flink.trouble and (checkpoint_s is None or checkpoint_s > _OLD_CHECKPOINT_S):
        why.append(
            "no checkpoint was completed yet"
            if checkpoint_s is None
            else f"the last checkpoint is {checkpoint_s:.0f} s old"
        )
    if behind is not None and behind > _FAR_BEHIND:
        why.append(f"the stream is {behind} events behind")
    body = {
        "job": flink.state if flink else None,
        "last_checkpoint_s_ago": checkpoint_s,
        "events_behind": behind,
        "why": why,
    }
    return (503 if why else 200), body
