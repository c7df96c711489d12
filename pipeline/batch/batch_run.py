"""A run of `regenerate` over its units of work: what goes through the steps next, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import apache_beam as beam

from pipeline.batch import direct_runner
from pipeline.batch.chunks import chunks, partitions_of
from pipeline.batch.commit_step import CommitPartitions, forget_committed, take_committed
from pipeline.batch.committer import Committer
from pipeline.batch.missing_scores import UnitKey
from pipeline.batch.plan import Planner
from pipeline.batch.progress import Progress
from pipeline.batch.run_outcome import Outcome
from pipeline.batch.runner import Runner
from pipeline.batch.tasks import Plan
from pipeline.graph import score_revisions
from transforms.async_io.bundle_async import BundleAsync
from transforms.datasets.event_files import Files, InputFile
from transforms.datasets.journal import UNKNOWN
from transforms.datasets.journal_sink import Journals
from transforms.datasets.storage_paths import address_of, each_at, remove_tree
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
        scoring = _Scoring(self.planner, configuration, runner, asked=configuration)
        with Progress(self.planner.journals, 0 if None in in_places else len(in_places)) as progress:
            direct_runner.tune_gc()
            for chunk in [files] if runner.is_cluster else chunks(files):
                scoring.score(chunk)
                progress.done += len(partitions_of(chunk))
        return scoring.outcome


@dataclass
class _Scoring:
    """A run while it goes on."""

    planner: Planner
    configuration: Configuration
    runner: Runner
    asked: Configuration  # with the models alone that are asked still
    outcome: Outcome = field(default_factory=Outcome)

    def score(self, files: Sequence[InputFile]) -> None:
        """Scores what is not whole of some files' partitions, and notes what became of it."""
        partitions = partitions_of(files)
        plan = self.planner.plan(self.configuration, files, partitions)
        open_ = [file for file in files if file.partition is None or plan.asks(file.partition)]
        _note(self.outcome, plan, {partition for partition in partitions if not plan.asks(partition)})
        models = frozenset(self.asked.models)
        committer = Committer(self.planner, self.configuration, models, plan, is_placed=bool(partitions))
        counters = self._run(open_ if models else [], committer)
        unfinished = self._take_committed(committer)
        self.outcome.unfinished |= unfinished
        self.asked = replace(self.asked, models=_answering(self.asked, counters, unfinished))
        if not self.asked.models:
            self.outcome.ended = self.outcome.ended or next(
                (reason for reasons in unfinished.values() for reason in reasons), ""
            )

    def _run(self, files: Sequence[InputFile], committer: Committer) -> Counter[str]:
        """Has the steps ask for what the files' events want, and then commits, in one job; returns its
        counters."""
        if not (files or committer.partitions()):
            return Counter()
        forget_committed(self.planner)
        pipeline = direct_runner.new_pipeline(self.runner.options)
        written = [pipeline | "WrittenBefore" >> beam.Create([address_of(self.planner.journals)])]
        if files:
            written += score_revisions(
                pipeline,
                self.runner.share_of(self.asked),
                Files(files, fields_to_read(self.asked.models.values())),
                Journals(self.planner.journals),
                BundleAsync(),
                self.planner.done(committer.plan),
            )
        _ = tuple(written) | "CommitPartitions" >> CommitPartitions(committer)
        counters, call_ms = direct_runner.run(pipeline)
        self.outcome.add_job(counters, call_ms)
        return counters

    def _take_committed(self, committer: Committer) -> dict[UnitKey, Counter[str]]:
        """Adds to the outcome what became of partitions, and removes the journals of those that are whole;
        returns the reasons of those that are not."""
        unfinished = {unit: Counter([reason]) for unit, reason in committer.plan.blocked.items()}
        self.outcome.unread.update(committer.unread_anywhere.keys())
        over = [self.planner.journals / UNKNOWN]
        untold = dict(committer.planned)
        for committed in take_committed(self.planner):
            untold.pop(committed.partition, None)
            partition, journals = committed.partition, self.planner.journals / committed.partition
            unfinished |= {(model, partition): Counter(why) for model, why in committed.unfinished.items()}
            self.outcome.failures += Counter(committed.failures)
            self.outcome.unread.update(committed.unread.keys())
            over += [journals / name for name in committed.over]
        for partition, models in untold.items():
            unfinished |= {(model, partition): Counter([_UNTOLD]) for model in models}
        each_at(self.planner.journals, remove_tree, over)
        return unfinished


def _answering(
    asked: Configuration, counters: Counter[str], unfinished: Mapping[UnitKey, object]
) -> Mapping[str, Model]:
    """Returns the models to ask on: not one that gave no score at all, and none when all that were asked gave
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
