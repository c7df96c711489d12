"""A stop under load with many pending requests, and a start with one model more and one less.

    python -m tests.benchmarks.savepoint [--pending 5000] [--rate 200]

damaging and goodfaith hang until they have so many pending requests together. Then the command is stopped
with SIGTERM while events go on coming, and started with another models file: without goodfaith, with
articletopic, which it did not have before. Then both models are well again. Pending requests of goodfaith
must be failures, as nobody may ask for them any more; everything else must be scored.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack

from tests.benchmarks.ledger import Ledger, Request
from tests.benchmarks.measuring import table
from tests.benchmarks.nine_models import write_nine_models
from tests.benchmarks.stage import Stage, parser, stage

_STAYS, _GOES, _COMES = "damaging", "goodfaith", "articletopic"
_AFTER_S = 15  # of load on the new models file


def main() -> None:
    options = parser(__doc__, rate=200)
    options.add_argument("--pending", type=int, default=5_000, help="requests at the stop (default: 5,000)")
    options.add_argument(
        "--patience",
        type=float,
        default=120,
        help="seconds without any new score after which the rest is missing (default: 120)",
    )
    arguments = options.parse_args()
    with stage(arguments) as set_up:
        began, ended = _stop_and_start(set_up, arguments)
    ledger = set_up.load.ledger
    told = (
        f"stopped under {arguments.rate:.0f} calls/s of {arguments.latency} in {ended - began:.1f} s, "
        f"started with {_COMES} and without {_GOES}"
    )
    print(
        table(
            told,
            ["requests", "count", "scored", "failed", "missing", "came again"],
            _rows(ledger, began, ended),
        ),
        flush=True,
    )
    print(
        f"repeats with another meta.id: {ledger.repeats_with_another_id}; failures: "
        f"{_alike(set_up.load.failure_reasons)}",
        flush=True,
    )


def _alike(reasons: Mapping[str, int]) -> dict[str, int]:
    """The reasons without the wikis they name."""
    alike: Counter[str] = Counter()
    for reason, count in reasons.items():
        alike[re.sub(r" of \w+wiki\b", "", reason)] += count
    return dict(alike)


def _stop_and_start(set_up: Stage, arguments: argparse.Namespace) -> tuple[float, float]:
    """When the stop began, and when it was done."""
    load, ledger = set_up.load, set_up.load.ledger
    before = write_nine_models(set_up.folder / "before.yaml", set_up.lift_wing.url, without={_COMES})
    after = write_nine_models(set_up.folder / "after.yaml", set_up.lift_wing.url, without={_GOES})
    with set_up.streaming(before) as program:
        for model in (_STAYS, _GOES):
            set_up.lift_wing.control(mode="hang", model=model)
        with ExitStack() as load_goes_on:
            load_goes_on.enter_context(load.sending(arguments.rate))
            load.wait(lambda: ledger.open_of([_STAYS, _GOES]) >= arguments.pending)
            began = time.time()
            program.stop()
            ended = time.time()
            with set_up.stream(after) as successor:
                successor.wait_for("^reading")
                set_up.lift_wing.clear()
                time.sleep(_AFTER_S)
                load_goes_on.close()
                _settle(set_up, arguments.patience)
    return began, ended


def _settle(set_up: Stage, patience: float) -> None:
    """Until what must be scored is, or nothing more comes; then the failures have come too."""
    ledger = set_up.load.ledger
    needed = [name for name in set_up.configuration.models if name not in (_GOES, _COMES)]
    set_up.load.wait(lambda: ledger.open_of(needed) == 0, patience)
    set_up.load.wait(lambda: False, patience_s=10)


def _rows(ledger: Ledger, began: float, ended: float) -> list[list[str | float]]:
    """Who must have a score or a failure. For the events that came during the stop it is open which of the
    two files they met."""
    read = _last_read(ledger, began)
    requests = list(ledger.all())
    kinds: dict[str, Callable[[Request], bool]] = {
        f"{_STAYS}, pending at the stop": lambda request: (
            request.model == _STAYS and request.sent < began and not 0 < request.scored < began
        ),
        "the models in both files": lambda request: request.model not in (_GOES, _COMES),
        f"{_GOES}, read before the stop": lambda request: (
            request.model == _GOES and request.event <= read[request.event % len(read)]
        ),
        f"{_COMES}, sent after the stop": lambda request: request.model == _COMES and request.sent > ended,
    }
    return [[kind, *_fate(filter(belongs, requests))] for kind, belongs in kinds.items()]


def _last_read(ledger: Ledger, began: float) -> list[int]:
    """Of each input topic, the last event that had a score before the stop: it and all before it were read by
    then."""
    read = [-1, -1]
    for request in ledger.all():
        if 0 < request.scored < began:
            read[request.event % len(read)] = request.event
    return read


def _fate(requests: Iterable[Request]) -> list[str | float]:
    fates = [(request.times > 0, request.failures > 0, request.times > 1) for request in requests]
    missing = sum(not scored and not failed for scored, failed, _ in fates)
    return [
        f"{count}"
        for count in (
            len(fates),
            sum(fate[0] for fate in fates),
            sum(fate[1] for fate in fates),
            missing,
            sum(fate[2] for fate in fates),
        )
    ]


if __name__ == "__main__":
    main()
