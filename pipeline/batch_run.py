"""A run of `regenerate` over its units of work: what is whole already, what goes through the steps next, and what became of it."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from pipeline import bounded_run
from pipeline.alone import alone_in
from pipeline.audit import Missing
from pipeline.graph import score_revisions
from pipeline.progress import Progress
from pipeline.wrong_use import WrongUse
from transforms.event_files import Files, InputFile
from transforms.failures import alike
from transforms.journals import DoneBefore, Journals, entries, forget_failures, journals
from transforms.models import Configuration
from transforms.rules import fields_of
from transforms.score_events import NEEDED
from transforms.units import MANIFEST, Tables, Unfinished, add_failures, manifest_of, settle
from transforms.wait_in_bundle import InBundle

_NOTE = "run.json"
_CHUNK_BYTES = 64_000_000  # of input files that go through the steps together: some 200,000 events in Parquet


@dataclass
class CallTimes:
    """How long the calls of a model took, in milliseconds."""

    count: int = 0
    sum: int = 0
    max: int = 0

    @property
    def mean(self) -> float:
        return self.sum / self.count


@dataclass
class Outcome:
    """What became of a run."""

    counters: Counter[str] = field(default_factory=Counter)  # by step and name
    failures: Counter[str] = field(default_factory=Counter)  # by reason, of what no other try can mend
    unfinished: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)  # by model and partition, the reasons
    call_ms: dict[str, CallTimes] = field(default_factory=dict)  # by model


@dataclass(frozen=True)
class BatchRun:
    """A run, or the same one gone on with: `overwrite` has it replace what others wrote, and keep what it wrote itself."""

    tables: Tables
    name: str
    overwrite: bool
    missing: Missing | None = None  # the only work, if given

    @property
    def _journals(self) -> Path:
        return self.tables.working / "journals"

    def score(self, configuration: Configuration, files: Sequence[InputFile], options: Sequence[str]) -> Outcome:
        """Scores what is not whole. A model that gives no score at all is not asked again in this run."""
        in_places = {file.partition for file in files}
        with Progress(self._journals, 0 if None in in_places else len(in_places)) as progress:
            return self._score(configuration, files, options, progress)

    def _score(self, configuration: Configuration, files: Sequence[InputFile], options: Sequence[str], progress: Progress) -> Outcome:
        bounded_run.keep_what_is_there()
        outcome, asked = Outcome(), configuration
        for chunk in chunks(files):
            partitions = list(dict.fromkeys(file.partition for file in chunk if file.partition))
            done = self.done(configuration, partitions)
            if partitions and len(done.whole) == len(partitions) * len(configuration.models):
                progress.done += len(partitions)
                continue
            counters = self._run(asked, chunk, done, options, outcome)
            outcome.counters += counters
            unfinished = self._settle(asked, chunk, partitions, done.whole, outcome)
            for name in configuration.models.keys() - asked.models.keys():
                unfinished |= {(name, partition): Counter(["not asked any more"]) for partition in partitions if (name, partition) not in done.whole}
            outcome.unfinished |= unfinished
            progress.done += len(partitions)
            silent = {name for name in asked.models if counters[f"ScoreWithLiftWing/failures_{name}"] and not counters[f"BuildRevisionScore/scores_{name}"]}
            silent &= {model for model, _ in unfinished}
            asked = replace(asked, models={name: model for name, model in asked.models.items() if name not in silent})
        return outcome

    def _whole(self, configuration: Configuration, partitions: Sequence[str]) -> frozenset[tuple[str, str]]:
        """The units, of these partitions if there are any, that need no work."""
        whole = set()
        for model in configuration.models:
            table = self.tables.partition(model, "")
            for partition in partitions or [str(path.parent.relative_to(table)) for path in table.rglob(MANIFEST)]:
                manifest = manifest_of(table / partition)
                if manifest and (not self.overwrite or manifest["run"] == self.name):
                    whole.add((model, partition))
        return frozenset(whole)

    def done(self, configuration: Configuration, partitions: Sequence[str] = ()) -> DoneBefore:
        """Tells which scores are there, of these partitions if there are any."""
        if self.missing:
            places = partitions or {partition for _, partition in self.missing.units}
            untouched = {(model, partition) for model in configuration.models for partition in places} - self.missing.units
            return DoneBefore(self._journals, self.tables.streams, frozenset(untouched), self.missing.ids)
        return DoneBefore(self._journals, self.tables.streams, self._whole(configuration, partitions))

    def _run(self, configuration: Configuration, chunk: Sequence[InputFile], done: DoneBefore, options: Sequence[str], outcome: Outcome) -> Counter[str]:
        pipeline = bounded_run.new_pipeline(options)
        models = configuration.models.values()
        fields = frozenset().union(*(NEEDED[model.source] | fields_of(model.match, model.match_not) for model in models))
        score_revisions(pipeline, configuration, Files(chunk, fields), Journals(self._journals), InBundle(), done)
        counters, call_ms = bounded_run.run(pipeline)
        for name, (count, total, most) in call_ms.items():
            times = outcome.call_ms.setdefault(name, CallTimes())
            times.count, times.sum, times.max = times.count + count, times.sum + total, max(times.max, most)
        return counters

    def _settle(
        self, configuration: Configuration, chunk: Sequence[InputFile], partitions: Sequence[str], whole: frozenset[tuple[str, str]], outcome: Outcome
    ) -> dict[tuple[str, str], Counter[str]]:
        """Makes partitions of what is whole; gives the reasons of what is not."""
        unreadable = self._settle_unread(outcome)
        unfinished = {}
        if partitions:
            units = {(model, partition): self._journals / partition / model for model in configuration.models for partition in partitions}
        else:
            units = {(model, partition): journal for partition, model, journal in journals(self._journals) if model}
        for (model, partition), journal in sorted(units.items()):
            if (model, partition) in whole:
                shutil.rmtree(journal, ignore_errors=True)
                continue
            try:
                if reasons := unreadable.get(partition, unreadable.get("_")):
                    raise Unfinished(reasons)
                about = self._about(configuration, model, partition, chunk)
                outcome.failures += settle(self.tables, configuration.models[model], partition, journal, about, added=self.missing is not None)
            except Unfinished as error:
                unfinished[model, partition] = error.reasons
        return unfinished

    def _settle_unread(self, outcome: Outcome) -> dict[str, Counter[str]]:
        """Writes the failures of events for which there was no model; gives the files that could not be read, by partition ("_" where that is unknown)."""
        unreadable = {}
        for partition, model, journal in list(journals(self._journals)):
            if model is None:
                failed = list(entries(journal))
                if reasons := Counter(alike(entry.body) for entry in failed if entry.passing):
                    unreadable[partition] = reasons
                failures = {entry.body["meta"]["id"]: entry.body for entry in failed if not entry.passing}
                if failures:
                    add_failures(self.tables, partition, failures)
                outcome.failures += Counter(map(alike, failures.values()))
                shutil.rmtree(journal)
        return unreadable

    def _about(self, configuration: Configuration, model: str, partition: str, chunk: Sequence[InputFile]) -> Mapping[str, Any]:
        of_model = configuration.models[model]
        return {
            "run": self.name,
            "input": [{"path": file.path, "bytes": file.size} for file in chunk if file.partition in (None, partition)],
            "stream": of_model.stream,
            "rule": {"match": of_model.match, "match_not": of_model.match_not},
            "lift_wing": configuration.lift_wing.url,
            "revision_scores": version("revision-scores"),
        }


def chunks(files: Sequence[InputFile]) -> Iterator[list[InputFile]]:
    """Input files that go through the steps together: whole partitions, as many as make a good load; all, where a place does not tell the partition."""
    if any(file.partition is None for file in files):
        yield list(files)
        return
    chunk: list[InputFile] = []
    size = 0
    by_partition = sorted(files, key=lambda file: (file.partition or "", file.path))
    for before, file in zip([None, *by_partition], by_partition, strict=False):
        if before and before.partition != file.partition and size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(file)
        size += file.size
    yield chunk


def noted(tables: Tables, *, overwrite: bool, missing: Missing | None = None) -> BatchRun:
    """The run that broke off in `tables`, or a new one."""
    try:
        return BatchRun(tables, **orjson.loads((tables.working / _NOTE).read_bytes()), missing=missing)
    except FileNotFoundError:
        return BatchRun(tables, str(uuid.uuid4()), overwrite, missing)


@contextmanager
def opened(tables: Tables, *, resume: bool, overwrite: bool, missing: Missing | None = None) -> Iterator[BatchRun]:
    """A run of its own in `tables`, or the one that broke off there. Raises WrongUse when another one works there."""
    try:
        tables.root.mkdir(parents=True, exist_ok=True)
        tables.working.mkdir(exist_ok=True)
    except OSError as error:
        raise WrongUse(f"--output: {tables.root} cannot be made: {error.strerror}") from error
    with alone_in(tables.working, f"--output: another run writes to {tables.root}; wait for it, or stop it"):
        tables.tidy()
        if not resume:
            shutil.rmtree(tables.working / "journals", ignore_errors=True)
            (tables.working / _NOTE).unlink(missing_ok=True)
        batch = noted(tables, overwrite=overwrite, missing=missing)
        (tables.working / _NOTE).write_bytes(orjson.dumps({"name": batch.name, "overwrite": batch.overwrite}))
        forget_failures(tables.working / "journals")
        yield batch
    if not any((tables.working / "journals").rglob("*.jsonl")):
        shutil.rmtree(tables.working)
