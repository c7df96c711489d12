"""A run of `regenerate` over its units of work: what goes through the steps next, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.batch import direct_runner
from pipeline.batch.chunks import chunks
from pipeline.batch.holes import UNKNOWN, UnitKey
from pipeline.batch.outcome import CallTimes, Outcome
from pipeline.batch.plan import Planner
from pipeline.batch.progress import Progress
from pipeline.batch.tasks import Plan
from pipeline.graph import score_revisions
from transforms.async_io.bounded import BundleAsync
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.event_files import Files, InputFile
from transforms.datasets.journal import ScoredBefore, entries, journals
from transforms.datasets.journal_sink import Journals
from transforms.datasets.places import remove_tree
from transforms.datasets.units import UnitIncompleteError, add_failures, commit_unit
from transforms.events.error_events import alike
from transforms.events.parsing import NotAnEventError
from transforms.models.model import Configuration, Model
from transforms.models.scorable import fields_to_read

_COMMITTED_AT_ONCE = 16  # partitions in another file system, each of which waits for its answers


@dataclass(frozen=True)
class BatchRun:
    """A run, or the same one gone on with: one that overwrites replaces what others wrote, and keeps what it
    wrote itself."""

    planner: Planner

    @property
    def _writer(self) -> DatasetWriter:
        return self.planner.writer

    def score(
        self, configuration: Configuration, files: Sequence[InputFile], options: Sequence[str]
    ) -> Outcome:
        """Scores what is not whole. A model that gives no score at all is not asked again in this run."""
        in_places = {file.partition for file in files}
        with Progress(self.planner.journals, 0 if None in in_places else len(in_places)) as progress:
            return self._score(configuration, files, options, progress)

    def _score(
        self,
        configuration: Configuration,
        files: Sequence[InputFile],
        options: Sequence[str],
        progress: Progress,
    ) -> Outcome:
        direct_runner.tune_gc()
        outcome, asked = Outcome(), configuration
        for chunk in chunks(files):
            partitions = list(dict.fromkeys(file.partition for file in chunk if file.partition))
            plan = self.planner.plan(configuration, chunk, partitions)
            open_ = [file for file in chunk if file.partition is None or plan.asks(file.partition)]
            _note(outcome, plan, {partition for partition in partitions if not plan.asks(partition)})
            counters = (
                self._run(asked, open_, self.planner.done(plan), options, outcome)
                if open_ and asked.models
                else Counter[str]()
            )
            unfinished = self._commit(configuration, set(asked.models), plan, partitions, outcome)
            outcome.unfinished |= unfinished
            progress.done += len(partitions)
            asked = replace(asked, models=_answering(asked, counters, unfinished))
            if not asked.models:
                outcome.ended = outcome.ended or next(
                    (reason for reasons in unfinished.values() for reason in reasons), ""
                )
        return outcome

    def _run(
        self,
        configuration: Configuration,
        chunk: Sequence[InputFile],
        done: ScoredBefore,
        options: Sequence[str],
        outcome: Outcome,
    ) -> Counter[str]:
        pipeline = direct_runner.new_pipeline(options)
        models = configuration.models.values()
        fields = fields_to_read(models)
        score_revisions(
            pipeline,
            configuration,
            Files(chunk, fields),
            Journals(self.planner.journals),
            BundleAsync(),
            done,
        )
        counters, call_ms = direct_runner.run(pipeline)
        outcome.counters += counters
        for name, (count, total, most) in call_ms.items():
            times = outcome.call_ms.setdefault(name, CallTimes())
            times.count, times.sum, times.max = times.count + count, times.sum + total, max(times.max, most)
        return counters

    def _commit(
        self,
        configuration: Configuration,
        asked: set[str],
        plan: Plan,
        partitions: Sequence[str],
        outcome: Outcome,
    ) -> dict[UnitKey, Counter[str]]:
        """Makes partitions of what is whole; returns the reasons of what is not."""
        unreadable, unusable = self._take_failures_of_events(outcome)
        unfinished = {unit: Counter([reason]) for unit, reason in plan.blocked.items()}
        together: dict[str, list[UnitKey]] = {}  # by partition, as its models share a failure table
        for unit in self._units(plan, configuration, partitions):
            together.setdefault(unit[1], []).append(unit)

        def commit(units: list[UnitKey]) -> dict[UnitKey, Counter[str] | UnitIncompleteError]:
            return {
                unit: self._commit_unit(configuration, asked, plan, unit, unreadable, unusable)
                for unit in units
            }

        with ThreadPoolExecutor(_COMMITTED_AT_ONCE) as pool:
            each = map if isinstance(self._writer.root, Path) else pool.map
            for committed in each(commit, together.values()):
                for unit, result in committed.items():
                    if isinstance(result, UnitIncompleteError):
                        unfinished[unit] = result.reasons
                    else:
                        outcome.failures += result
        return unfinished

    def _commit_unit(
        self,
        configuration: Configuration,
        asked: set[str],
        plan: Plan,
        unit: UnitKey,
        unreadable: Mapping[str, Counter[str]],
        unusable: Mapping[str, Counter[str]],
    ) -> Counter[str] | UnitIncompleteError:
        """Returns its failures by reason."""
        name, partition = unit
        model = configuration.models[name]
        task = self.planner.task(plan, model, partition)
        if name not in asked and (task.ids != frozenset() or plan.asks(partition)):
            return UnitIncompleteError(Counter(["not asked any more"]))
        of_events = unusable.get(partition) or plan.failures.get(partition, Counter())
        about = self._about(configuration, model, of_events)
        about["unread"] = list(unreadable.get(partition, Counter()) + unreadable.get(UNKNOWN, Counter()))
        try:
            return commit_unit(self._writer, self.planner.unit(task, model, partition, about))
        except UnitIncompleteError as error:
            return error

    def _units(self, plan: Plan, configuration: Configuration, partitions: Sequence[str]) -> list[UnitKey]:
        """The units to commit: those with a task; where places do not tell partitions, those of the journals
        and those to which nothing was added."""
        units = set(plan.tasks)
        if not partitions:
            units = {unit for unit, task in plan.tasks.items() if task.ids is not None}
            units |= {
                (model, partition)
                for partition, model, _ in journals(self.planner.journals)
                if model and model in configuration.models
            }
        return sorted(units - plan.whole - plan.blocked.keys())

    def _take_failures_of_events(
        self, outcome: Outcome
    ) -> tuple[dict[str, Counter[str]], dict[str, Counter[str]]]:
        """Writes the failures of events for which there was no model. Returns the reasons of files that could
        not be read, by partition (UNKNOWN where that is not known), and those of the events that were
        written."""
        unreadable, unusable = {}, {}
        for partition, model, journal in list(journals(self.planner.journals)):
            if model is not None:
                continue
            failed = list(entries(journal))
            if reasons := Counter(alike(entry.body) for entry in failed if entry.retryable):
                unreadable[partition] = reasons
                outcome.unread.update(reasons.keys())
            failures = {entry.body["meta"]["id"]: entry.body for entry in failed if not entry.retryable}
            try:
                if failures:
                    add_failures(self._writer, partition, failures)
            except (NotAnEventError, OSError) as error:
                outcome.unread[f"the failure table cannot be written: {error}"] += 1
                continue
            unusable[partition] = Counter(map(alike, failures.values()))
            outcome.failures += unusable[partition]
            remove_tree(journal)
        return unreadable, unusable

    def _about(self, configuration: Configuration, model: Model, unusable: Counter[str]) -> dict[str, Any]:
        return {
            "stream": model.stream,
            "lift_wing": configuration.lift_wing.url,
            "revision_scores": version("revision-scores"),
            "unusable_events": unusable,
        }


def _answering(
    asked: Configuration, counters: Counter[str], unfinished: Mapping[UnitKey, object]
) -> Mapping[str, Model]:
    """The models to ask on: not one that gave no score at all, and none when all that were asked gave
    none."""
    silent = {
        name
        for name in asked.models
        if counters[f"ScoreWithLiftWing/failures_{name}"]
        and not counters[f"BuildRevisionScore/scores_{name}"]
    }
    silent &= {model for model, _ in unfinished}
    if silent and silent >= {name for name in asked.models if counters[f"SelectModels/requests_{name}"]}:
        return {}
    return {name: model for name, model in asked.models.items() if name not in silent}


def _note(outcome: Outcome, plan: Plan, skipped: set[str]) -> None:
    """Notes what is known of partitions before anything is asked, and says what is not as it was written."""
    for remark in plan.remarks:
        print(remark)
    outcome.unwanted += plan.unwanted
    for partition, reasons in plan.failures.items():
        if partition in skipped:
            outcome.failures += reasons
