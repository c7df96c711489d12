"""A run of `regenerate` over its units of work: what goes through the steps next, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import apache_beam as beam

from pipeline.batch import direct_runner
from pipeline.batch.chunks import chunks
from pipeline.batch.commit import CommitPartitions, Committer, forget_committed, take_committed
from pipeline.batch.holes import UNKNOWN, UnitKey
from pipeline.batch.outcome import CallTimes, Outcome
from pipeline.batch.plan import Planner
from pipeline.batch.progress import Progress
from pipeline.batch.runner import Runner
from pipeline.batch.tasks import Plan
from pipeline.graph import score_revisions
from transforms.async_io.bounded import BundleAsync
from transforms.datasets.event_files import Files, InputFile
from transforms.datasets.journal_sink import Journals
from transforms.datasets.places import address_of, each_at, remove_tree
from transforms.models.model import Configuration, Model
from transforms.models.scorable import fields_to_read

_UNTOLD = "no worker told what became of it"


@dataclass(frozen=True)
class BatchRun:
    """A run, or the same one gone on with: one that overwrites replaces what others wrote, and keeps what it
    wrote itself."""

    planner: Planner

    def score(self, configuration: Configuration, files: Sequence[InputFile], runner: Runner) -> Outcome:
        """Scores what is not whole. A model that gives no score at all is not asked again in this run."""
        in_places = {file.partition for file in files}
        with Progress(self.planner.journals, 0 if None in in_places else len(in_places)) as progress:
            return self._score(configuration, files, runner, progress)

    def _score(
        self,
        configuration: Configuration,
        files: Sequence[InputFile],
        runner: Runner,
        progress: Progress,
    ) -> Outcome:
        direct_runner.tune_gc()
        outcome, asked = Outcome(), configuration
        for chunk in [files] if runner.is_cluster else chunks(files):
            partitions = list(dict.fromkeys(file.partition for file in chunk if file.partition))
            plan = self.planner.plan(configuration, chunk, partitions)
            open_ = [file for file in chunk if file.partition is None or plan.asks(file.partition)]
            _note(outcome, plan, {partition for partition in partitions if not plan.asks(partition)})
            committer = Committer(
                self.planner, configuration, frozenset(asked.models), plan, is_placed=bool(partitions)
            )
            counters = self._run(asked, open_ if asked.models else [], committer, runner, outcome)
            unfinished = self._take_committed(committer, outcome)
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
        files: Sequence[InputFile],
        committer: Committer,
        runner: Runner,
        outcome: Outcome,
    ) -> Counter[str]:
        """Has the steps ask for what the files' events want, and then commits, in one job."""
        if not (files or committer.partitions()):
            return Counter()
        forget_committed(self.planner)
        pipeline = direct_runner.new_pipeline(runner.options)
        written = [pipeline | "WrittenBefore" >> beam.Create([address_of(self.planner.journals)])]
        if files:
            written += score_revisions(
                pipeline,
                runner.share_of(configuration),
                Files(files, fields_to_read(configuration.models.values())),
                Journals(self.planner.journals),
                BundleAsync(),
                self.planner.done(committer.plan),
            )
        _ = tuple(written) | "CommitPartitions" >> CommitPartitions(committer)
        counters, call_ms = direct_runner.run(pipeline)
        outcome.counters += counters
        for name, (count, total, most) in call_ms.items():
            times = outcome.call_ms.setdefault(name, CallTimes())
            times.count, times.sum, times.max = times.count + count, times.sum + total, max(times.max, most)
        return counters

    def _take_committed(self, committer: Committer, outcome: Outcome) -> dict[UnitKey, Counter[str]]:
        """Adds to the outcome what became of partitions, and removes the journals of those that are whole;
        returns the reasons of those that are not."""
        unfinished = {unit: Counter([reason]) for unit, reason in committer.plan.blocked.items()}
        outcome.unread.update(committer.unread_anywhere.keys())
        over = [self.planner.journals / UNKNOWN]
        untold = dict(committer.planned)
        for committed in take_committed(self.planner):
            untold.pop(committed.partition, None)
            partition, journals = committed.partition, self.planner.journals / committed.partition
            unfinished |= {(model, partition): Counter(why) for model, why in committed.unfinished.items()}
            outcome.failures += Counter(committed.failures)
            outcome.unread.update(committed.unread.keys())
            over += [journals / name for name in committed.over]
        for partition, models in untold.items():
            unfinished |= {(model, partition): Counter([_UNTOLD]) for model in models}
        each_at(self.planner.journals, remove_tree, over)
        return unfinished


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
