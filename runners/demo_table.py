"""The table that the demo shows while its stream runs."""

from __future__ import annotations

import requests
from rich.table import Table

from runners.demo_scores import StreamedScores

_COLUMNS = ("model", "events in", "calls in flight", "scores out", "failures", "p50 s", "p99 s")


def progress(streamed: StreamedScores, lift_wing: str) -> Table:
    """Returns what each model was asked and has answered so far; `lift_wing`: URL of the simulated one."""
    calls = requests.get(f"{lift_wing}/stats", timeout=5).json()["calls"]
    table = Table(
        caption=f"{streamed.edits.events} edits; p50 and p99: seconds from an edit in Kafka to its score in "
        "Kafka",
        caption_justify="left",
    )
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    for model, wanted in streamed.edits.by_model.items():
        if wanted:
            seconds = sorted(streamed.seconds[model])
            counts = [
                wanted,
                calls.get(model, {}).get("in_flight", 0),
                streamed.scores[model],
                streamed.failures[model],
            ]
            table.add_row(model, *map(str, counts), _quantile(seconds, 0.5), _quantile(seconds, 0.99))
    return table


def _quantile(ordered: list[float], share: float) -> str:
    if not ordered:
        return ""
    return f"{ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]:.2f}"
