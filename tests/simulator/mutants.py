"""Plants faults in copies of this code, one at a time, and tells which seed finds each.

python -m tests.simulator.mutants [--seeds 200] [--processes 1] [--only WORD]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.support.copied_code import DoesNotApplyError, copy_code


class Mutant(NamedTuple):
    """A fault: in this file of `transforms` the first text becomes the second."""

    name: str
    file: str
    text: str
    becomes: str

    @property
    def path(self) -> str:
        """The file, named from the top."""
        return f"transforms/{self.file}.py"


MUTANTS = (
    Mutant(
        "requests are not written to state",
        "async_io/stateful_async",
        "            pending.add(encoded)\n",
        "",
    ),
    Mutant(
        "state is cleared before a request has ended",
        "async_io/in_flight",
        "            if self.open:\n                bag.add",
        "            if False:\n                bag.add",
    ),
    Mutant(
        "nobody looks for the answers of a key",
        "async_io/stateful_async",
        "        if state.called:\n",
        "        if state.called and len(self._in_flight.keys) > 1:\n",
    ),
    Mutant(
        "who found no room is not woken",
        "async_io/stateful_async",
        "    look.set(Timestamp.of(tag.due), dynamic",
        "    tag.rests[0].requests > 1 or look.set(Timestamp.of(tag.due), dynamic",
    ),
    Mutant(
        "an ended request stays in state",
        "async_io/in_flight",
        "        del self.open[name]\n        self.dirty = True",
        "        del self.open[name]",
    ),
    Mutant(
        "subtasks of a process share their answers",
        "async_io/in_flight",
        "        self.keys: dict[str, KeyState] = {}\n        self._answered: queue.SimpleQueue[tuple[str, "
        "PendingRequest, CallResult]] = queue.SimpleQueue()",
        "        InFlight.of_all = getattr(InFlight, 'of_all', ({}, queue.SimpleQueue()))\n        "
        "self.keys, self._answered = InFlight.of_all",
    ),
    Mutant("a repeated event is asked again", "async_io/stateful_async", '            seen.add(b"")\n', ""),
    Mutant(
        "an event that is alone in a bundle is dropped",
        "async_io/keying",
        "        if self._together:\n",
        "        if len(self._together) > 1:\n",
    ),
    Mutant(
        "a bundle is emitted twice",
        "async_io/keying",
        "        together, self._together = self._together, []\n",
        "        together = [*self._together]\n",
    ),
    Mutant(
        "the format loses the second event of a key",
        "async_io/state_codec",
        '"events": list(events.values())}',
        '"events": list(events.values())[:9]}',
    ),
    Mutant(
        "counts of a process before are believed",
        "async_io/timer_tag",
        "            else Tag(process, [rest._replace(counted=0) for rest in self.rests])",
        "            else Tag(process, self.rests)",
    ),
    Mutant(
        "a request is given up at its third failure",
        "lift_wing/retry_policy",
        "    if isinstance(error, Rejected)",
        "    if tries >= 3 or isinstance(error, Rejected)",
    ),
    Mutant(
        "a request is given up two seconds after it came",
        "lift_wing/retry_policy",
        "if left_s > 0 else None",
        "if left_s > limits.max_age_s - 2 else None",
    ),
    Mutant(
        "calls that are sent away are forgotten",
        "lift_wing/client",
        "            self._finish(call, CallNotPermitted(bulkhead.last_error), 0.0)\n",
        "            bulkhead.last_error = bulkhead.last_error\n",
    ),
    Mutant(
        "an answer frees no place",
        "lift_wing/client",
        "        bulkhead.in_flight -= 1\n",
        "        bulkhead.in_flight -= answer.status == 200\n",
    ),
    Mutant(
        "an answer starts no other call",
        "lift_wing/client",
        "                self._finish(call, result, answer.seconds)\n        self._schedule(bulkhead)\n",
        "                self._finish(call, result, answer.seconds)\n",
    ),
    Mutant(
        "who came back is counted still",
        "lift_wing/admission",
        "            bulkhead.waitlist.remove(waiter.entered_at, waiter.counted)\n",
        "",
    ),
    Mutant(
        "every place is for who is new",
        "lift_wing/bulkhead",
        "self.late and (self._late_is_next or not self.new)",
        "self.late and not self.new",
    ),
    Mutant(
        "one of several that are asked again alone is lost",
        "lift_wing/bulkhead",
        "        self.late.extendleft(reversed(calls))",
        "        self.late.extendleft(reversed(calls[1:]))",
    ),
    Mutant(
        "the limit is one too high",
        "lift_wing/concurrency_limit",
        "        return in_flight < int(self._limit)\n",
        "        return in_flight <= int(self._limit)\n",
    ),
    Mutant(
        "a limit never grows again",
        "lift_wing/concurrency_limit",
        "        elif self._limit < self.most:\n",
        "        elif self._limit > self.most:\n",
    ),
    Mutant(
        "a breaker never opens",
        "lift_wing/circuit_breaker",
        "        if self._consecutive_failures < _OPENS_AFTER:\n",
        "        if self._consecutive_failures:\n",
    ),
    Mutant(
        "a breaker never closes",
        "lift_wing/circuit_breaker",
        "self._open_until, self._half_open, self._times_opened, self.is_refusing = None, False, 0, False",
        "self._half_open, self._times_opened, self.is_refusing = False, 0, False",
    ),
    Mutant(
        "a probe that is lost is the last",
        "lift_wing/circuit_breaker",
        "                self._pause(now, retry_after_s)\n            return False",
        "                self._times_opened += 1\n            return False",
    ),
    Mutant(
        "sleeps grow with the square of who waits",
        "lift_wing/waitlist",
        "        return max(_SHORTEST_S, in_line / (_MARGIN * per_s))",
        "        return max(_SHORTEST_S, in_line**2 / (_MARGIN * per_s))",
    ),
    Mutant(
        "an id says when it was made",
        "events/score_events",
        '    return str(uuid.uuid5(_IDS, f"{stream} {wiki_of(raw)}',
        '    return str(uuid.uuid5(_IDS, f"{utc_now()} {stream} {wiki_of(raw)}',
    ),
    Mutant(
        "what Kafka refuses is taken for written",
        "connectors/kafka_producers",
        "        if error is not None:\n",
        "        if error is not None and self._producers is None:\n",
    ),
    Mutant(
        "what Kafka did not take is dropped",
        "delivery/write_streams",
        "        for key, events in self._keys.under_keys(self._left):\n",
        "        for key, events in self._keys.under_keys([]):\n",
    ),
    Mutant(
        "a delivery that fails leaves the state",
        "delivery/retry_deliveries",
        "        if not outcome.is_fruitless:\n",
        "        if True:\n            left = []\n",
    ),
    Mutant(
        "nobody tries a delivery again",
        "delivery/retry_deliveries",
        "            self._sleep(key, waiting, retry)\n\n    @on_timer",
        "            pass\n\n    @on_timer",
    ),
)


def seed_that_finds(mutant: Mutant, seeds: int) -> str:
    """Returns what the first seed that fails says; empty when none does."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            copy_code(Path(folder), mutant.path, {mutant.text: mutant.becomes})
        except DoesNotApplyError as error:
            return f"does not apply: {error}"
        command = [sys.executable, "-m", "tests.simulator", "--seeds", str(seeds), "--stop"]
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True
        )
        return next(
            (line for line in done.stdout.splitlines() if line.startswith("seed ")),
            "" if done.returncode == 0 else done.stderr[-300:],
        )


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(
        prog="python -m tests.simulator.mutants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--seeds", type=int, default=200)
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--only", default="")
    parsed = options.parse_args(arguments)
    mutants = [mutant for mutant in MUTANTS if parsed.only in mutant.name]
    with ThreadPoolExecutor(parsed.processes) as pool:
        found = 0
        for mutant, said in zip(
            mutants, pool.map(partial(seed_that_finds, seeds=parsed.seeds), mutants), strict=True
        ):
            found += said.startswith("seed ")
            print(f"{mutant.name}: {said or 'NOT FOUND'}", flush=True)
    print(f"{found} of {len(mutants)} found within {parsed.seeds} seeds")
    return found < len(mutants)


if __name__ == "__main__":
    sys.exit(main())
