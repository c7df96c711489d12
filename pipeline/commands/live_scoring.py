"""How `live` scores what came together. While no endpoint gives a score it keeps its place; what one endpoint
owes waits, and holds up no other.

An answer that may be another one later (a token that has expired, a Lift Wing that is away) is the end of no
edit.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import orjson

from pipeline.batch import direct_runner
from pipeline.commands.live_waiting import MOST, WaitingEdit, WaitingEdits
from pipeline.graph import score_revisions
from transforms.async_io.bounded import BundleAsync
from transforms.connectors.collected import collecting
from transforms.connectors.console_sink import show
from transforms.elements import Failure, OutputEvent, SourceRecord
from transforms.events.source_events import wiki_of
from transforms.models.model import Configuration

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class Owed(NamedTuple):
    """A failure that is no end of its element."""

    number: int  # of the element
    endpoint: str
    model: str
    event: OutputEvent
    failure: Failure


@dataclass
class Outcome:
    """What a pass through the steps gave."""

    ended: list[OutputEvent] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)  # endpoints

    @property
    def silent(self) -> dict[str, str]:
        """Endpoints that gave nothing, with a reason."""
        return {
            owed.endpoint: owed.failure.reason for owed in self.owed if owed.endpoint not in self.answered
        }


class LiveScoring:
    """Scores, shows and writes. `written`: `meta.id`s of events that were written before."""

    def __init__(
        self,
        configuration: Configuration,
        options: list[str],
        folder: Path | None,
        written: Collection[str],
        stop: threading.Event,
    ) -> None:
        self._configuration, self._options, self._folder, self._written, self._stop = (
            configuration,
            options,
            folder,
            written,
            stop,
        )
        self._waiting = WaitingEdits(folder / "waiting.ndjson" if folder else None)
        self._holds = False

    def score(self, raws: Sequence[SourceRecord]) -> bool:
        """Returns when each is scored, failed or waits for one endpoint; False when told to stop before. Also
        scores what waits, when it is time."""
        todo, pause_s = list(raws), _FIRST_PAUSE_S
        while todo or self._waiting.is_due() or self._is_full():
            if self._stop.is_set() and not todo:
                return True
            count = 1 if self._holds else len(todo)
            part, todo = todo[:count], todo[count:]
            outcome, asked_again = self._pass(part)
            if not part and not asked_again:  # so much waits that nothing more is read
                self._stop.wait(_FIRST_PAUSE_S)
            elif outcome.answered or not outcome.owed:
                self._go_on(bool(outcome.answered))
                pause_s = _FIRST_PAUSE_S
                self._keep(outcome, part, asked_again)
            else:
                todo = self._hold(outcome, part, asked_again) + todo
                if self._stop.wait(pause_s):
                    return False
                pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
        return True

    def close(self) -> None:
        self._waiting.save(whole=True)

    def _is_full(self) -> bool:
        return len(self._waiting) >= MOST and not self._stop.is_set()

    def _pass(self, part: Sequence[SourceRecord]) -> tuple[Outcome, list[WaitingEdit]]:
        """Through the steps, with what waits and is due."""
        again = self._waiting.take()
        numbered = [replace(raw, partition=str(number)) for number, raw in enumerate(part)]
        numbered += [edit.raw(str(len(part) + number)) for number, edit in enumerate(again)]
        if not numbered:
            return Outcome(), []
        with collecting() as (sink, events):
            pipeline = direct_runner.new_pipeline(self._options)
            score_revisions(
                pipeline, self._configuration, beam.Create(numbered, reshuffle=False), sink, BundleAsync()
            )
            direct_runner.run(pipeline)
            return self._outcome(events), again

    def _outcome(self, events: Sequence[OutputEvent]) -> Outcome:
        """Sorts the events of a pass: what is an end, and what another try may give."""
        outcome = Outcome()
        for event in events:
            failure = event.failure
            if failure and failure.retryable and failure.model and event.partition is not None:
                endpoint = self._endpoint(failure.model, wiki_of(orjson.loads(failure.original)))
                outcome.owed.append(Owed(int(event.partition), endpoint, failure.model, event, failure))
                continue
            outcome.ended.append(event)
            if event.request:
                outcome.answered.add(self._endpoint(event.request.model, event.request.wiki))
            elif failure and failure.step == "ScoreWithLiftWing" and failure.model:
                outcome.answered.add(self._endpoint(failure.model, wiki_of(orjson.loads(failure.original))))
        return outcome

    def _endpoint(self, model: str, wiki: Any) -> str:
        endpoint = self._configuration.models[model].endpoint(str(wiki))
        return endpoint.name if endpoint else model

    def _hold(
        self, outcome: Outcome, part: Sequence[SourceRecord], again: Sequence[WaitingEdit]
    ) -> list[SourceRecord]:
        """No model gave anything: what it was asked for is to be asked for again, and the place stays."""
        if not self._holds:
            self._holds = True
            _say(
                f"Lift Wing gives no score: {next(iter(outcome.silent.values()))}; the place is kept "
                "until it does"
            )
        for event in outcome.ended:
            self._show(event)
        numbers = {owed.number for owed in outcome.owed}
        self._waiting.add([edit for number, edit in enumerate(again, len(part)) if number in numbers])
        for endpoint in outcome.silent:
            self._waiting.note(endpoint, is_silent=True)
        return [raw for number, raw in enumerate(part) if number in numbers]

    def _go_on(self, answered: bool) -> None:
        if self._holds and answered:
            self._holds = False
            _say("Lift Wing gives scores again")

    def _keep(self, outcome: Outcome, part: Sequence[SourceRecord], again: Sequence[WaitingEdit]) -> None:
        """Shows what has ended; what a single endpoint owes waits for it."""
        for event in outcome.ended:
            self._show(event)
        waiting = []
        for owed in outcome.owed:
            since = again[owed.number - len(part)].since if owed.number >= len(part) else time.time()
            edit = WaitingEdit(owed.endpoint, owed.model, owed.failure.original, owed.event.datacenter, since)
            if edit.is_too_old:
                self._show(owed.event)
            else:
                waiting.append(edit)
        self._waiting.add(waiting)
        self._tell(outcome)
        self._waiting.save()

    def _tell(self, outcome: Outcome) -> None:
        """One line for each endpoint that has gone silent, or speaks again."""
        for endpoint, reason in outcome.silent.items():
            if self._waiting.note(endpoint, is_silent=True):
                _say(
                    f"{endpoint} gives no score: {reason}; its edits wait, and are asked for again for a day"
                )
        for endpoint in outcome.answered:
            if self._waiting.note(endpoint, is_silent=False):
                _say(f"{endpoint} gives scores again")

    def _show(self, event: OutputEvent) -> None:
        if event.body["meta"]["id"] not in self._written:
            show(event, self._folder)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
