"""How long the simulated Lift Wing holds a call.

The draw is a hash of (wiki, model, revision, attempt): two runs over the same revisions meet the same times,
in any order. The "staging" times are the load tests in test/locust/results/ of
wikimedia/machinelearning-liftwing-inference-services.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Callable
from hashlib import blake2b
from statistics import NormalDist

from runners.simulated_lift_wing.scores import DATA

Latency = Callable[[str, str, int, int], float]  # (wiki, model, rev_id, attempt) -> seconds
Curve = list[tuple[float, float]]  # (share of the calls, seconds), rising

LONGEST_S = 15.0  # of the lognormal; ORES gave up after as long
_UNMEASURED = {"itemquality": "articlequality", "itemtopic": "articletopic"}


_LIKE_NEWER_ONES = "articletopic"


def latency(text: str, scale: float = 1.0) -> Latency:
    """Reads `staging`, `lognormal:P50:P99` or a number of seconds. Raises ValueError."""
    kind, *numbers = text.split(":")
    if kind == "staging" and not numbers:
        return _staging(scale)
    try:
        if kind == "lognormal":
            p50, p99 = map(float, numbers)
            return _lognormal(p50, p99, scale)
        seconds = float(text) * scale
    except ValueError:
        raise ValueError(f"latency: expected staging, lognormal:P50:P99 or seconds, got {text!r}") from None
    return lambda wiki, model, rev_id, attempt: seconds


def curves() -> dict[str, Curve]:
    """Returns the measured percentiles of each model."""
    with (DATA / "lift_wing_latencies.csv").open(encoding="utf-8", newline="") as file:
        measured = {
            row.pop("model"): [
                (float(percent.rstrip("%")) / 100, float(ms) / 1000) for percent, ms in row.items()
            ]
            for row in csv.DictReader(file)
        }
    return measured | {model: measured[like] for model, like in _UNMEASURED.items()}


def seconds_at(curve: Curve, share: float) -> float:
    """Returns the seconds within which that share of the calls ends, straight between two percentiles."""
    at = min(bisect_right(curve, (share, math.inf)), len(curve) - 1)
    (low, fast), (high, slow) = curve[at - 1], curve[at]
    return fast + (slow - fast) * (share - low) / (high - low)


def _staging(scale: float) -> Latency:
    measured = curves()
    return lambda wiki, model, rev_id, attempt: (
        seconds_at(measured.get(model, measured[_LIKE_NEWER_ONES]), _share(wiki, model, rev_id, attempt))
        * scale
    )


def _lognormal(p50: float, p99: float, scale: float) -> Latency:
    if not 0 < p50 <= p99:
        raise ValueError
    normal = NormalDist()
    spread = math.log(p99 / p50) / normal.inv_cdf(0.99)

    def draw(wiki: str, model: str, rev_id: int, attempt: int) -> float:
        z = normal.inv_cdf(_share(wiki, model, rev_id, attempt))
        return min(p50 * math.exp(spread * z), LONGEST_S) * scale

    return draw


def _share(wiki: str, model: str, rev_id: int, attempt: int) -> float:
    """Returns a number between 0 and 1, both excluded, uniformly distributed."""
    digest = blake2b(f"{wiki} {model} {rev_id} {attempt}".encode(), digest_size=6).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**48
