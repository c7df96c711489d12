"""How `live` scores what came together. While no endpoint gives a score it keeps its place; what one endpoint
owes waits, and holds up no other.

An answer that may be another one later (a token that has expired, a Lift Wing that is away) is the end of no
edit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import apache_beam as beam
import orjson

from pipeline.batch import direct_runner
from pipeline.commands.live_position import LiveOutput, say
from pipeline.commands.live_waiting import MOST, WaitingEdit, WaitingEdits
from pipeline.graph import score_revisions
from transforms.async_io.bundle_async import BundleAsync
from transforms.connectors.collected import collecting
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
    """What came of a pass through the steps."""

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
    """Scores events, and gives what came of them to the output."""

    def __init__(
        self,
        configuration: Configuration,
        beam_options: Sequence[str],
        output: LiveOutput,
        stop: threading.Event,
    ) -> None:
        self._configuration, self._beam_options = configuration, beam_options
        self._output, self._stop = output, stop
        self._waiting = WaitingEdits(output.folder / "waiting.ndjson" if output.folder else None)
        self._holds = False

    def score(self, raws: Sequence[SourceRecord]) -> bool:
        """Scores events, and what waits and is due. Returns True when each event is scored, failed or waits
        for one endpoint; False when told to stop before."""
        todo, pause_s = list(raws), _FIRST_PAUSE_S
        while todo or self._waiting.is_due() or self._is_full():
            if self._stop.is_set() and not todo:
                return True
            count = 1 if self._holds else len(todo)
            part, todo = todo[:count], todo[count:]
            outcome, asked_again = self._score_once(part)
            if not part and not asked_again:  # so much waits that nothing more is read
                self._stop.wait(_FIRST_PAUSE_S)
            elif outcome.answered or not outcome.owed:
                self._stop_holding(bool(outcome.answered))
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

    def _score_once(self, part: Sequence[SourceRecord]) -> tuple[Outcome, list[WaitingEdit]]:
        """Sends events through the steps, with what waits and is due; returns what came of it, and what
        waited."""
        again = self._waiting.take()
        numbered = [replace(raw, partition=str(number)) for number, raw in enumerate(part)]
        numbered += [edit.raw(str(len(part) + number)) for number, edit in enumerate(again)]
        if not numbered:
            return Outcome(), []
        with collecting() as (sink, events):
            pipeline = direct_runner.new_pipeline(self._beam_options)
            score_revisions(
                pipeline, self._configuration, beam.Create(numbered, reshuffle=False), sink, BundleAsync()
            )
            direct_runner.run(pipeline)
            return self._outcome(events), again

    def _outcome(self, events: Sequence[OutputEvent]) -> Outcome:
        """Returns the events of a pass sorted: what is an end, and what another try may give."""
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
        """Returns the events that are to be scored again, as no model gave anything; what waited waits on."""
        if not self._holds:
            self._holds = True
            say(
                f"Lift Wing gives no score: {next(iter(outcome.silent.values()))}; the place is kept "
                "until it does"
            )
        for event in outcome.ended:
            self._output.show(event)
        numbers = {owed.number for owed in outcome.owed}
        self._waiting.add([edit for number, edit in enumerate(again, len(part)) if number in numbers])
        for endpoint in outcome.silent:
            self._waiting.note(endpoint, is_silent=True)
        return [raw for number, raw in enumerate(part) if number in numbers]

    def _stop_holding(self, answered: bool) -> None:
        if self._holds and answered:
            self._holds = False
            say("Lift Wing gives scores again")

    def _keep(self, outcome: Outcome, part: Sequence[SourceRecord], again: Sequence[WaitingEdit]) -> None:
        """Shows what has ended, and lets what a single endpoint owes wait for it."""
        for event in outcome.ended:
            self._output.show(event)
        waiting = []
        for owed in outcome.owed:
            since = again[owed.number - len(part)].since if owed.number >= len(part) else time.time()
            edit = WaitingEdit(owed.endpoint, owed.model, owed.failure.original, owed.event.datacenter, since)
            if edit.is_too_old:
                self._output.show(owed.event)
            else:
                waiting.append(edit)
        self._waiting.add(waiting)
        self._note_silence(outcome)
        self._waiting.save()

    def _note_silence(self, outcome: Outcome) -> None:
        """Notes, with a line for each, which endpoints have gone silent, or answer again."""
        for endpoint, reason in outcome.silent.items():
            if self._waiting.note(endpoint, is_silent=True):
                say(f"{endpoint} gives no score: {reason}; its edits wait, and are asked for again for a day")
        for endpoint in outcome.answered:
            if self._waiting.note(endpoint, is_silent=False):
                say(f"{endpoint} gives scores again")
