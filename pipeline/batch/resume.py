"""Begins a run of `regenerate`, or goes on with the one that broke off."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson

from pipeline.batch.batch_run import BatchRun
from pipeline.batch.missing_scores import BackfillList
from pipeline.batch.plan import Planner
from pipeline.batch.provenance import program_of
from pipeline.console.columns import counted
from pipeline.process.directory_lock import locked_dataset
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.durable_files import replace_file
from transforms.datasets.journal import drop_failures
from transforms.datasets.storage_paths import remove_tree
from transforms.models.model import Configuration

_NOTE = "run.json"


def load_or_create(planner: Planner) -> Planner:
    """Returns the planner of the run that broke off in the working folder, or the given one."""
    try:
        note = orjson.loads((planner.writer.working / _NOTE).read_bytes())
        return replace(planner, run=str(note["name"]), overwrite=bool(note["overwrite"]))
    except FileNotFoundError:
        return planner
    except (ValueError, TypeError, KeyError):
        print(
            f"{planner.writer.working / _NOTE} cannot be read: what an --overwrite that broke off replaced "
            "is not known; it is taken for whole"
        )
        return planner


def new_planner(
    writer: DatasetWriter,
    configuration: Configuration,
    *,
    overwrite: bool,
    scope: frozenset[str] | None,
    backfill: BackfillList | None,
) -> Planner:
    """Returns the planner of a new run. `scope`: the wikis that it is about; None: all. `backfill`: the only
    work, if given."""
    return Planner(writer, str(uuid.uuid4()), overwrite, program_of(configuration), scope, backfill)


@contextmanager
def open_run(planner: Planner, *, resume: bool) -> Iterator[BatchRun]:
    """Yields a new run, or with `resume` the one that broke off there. Raises UsageError when another one
    works there."""
    writer = planner.writer
    with locked_dataset(writer, "--output: "):
        if isinstance(writer.root, Path):
            _adopt(writer.root, writer.root / writer.working.name)
        writer.recover()
        if not resume:
            remove_tree(planner.journals)
            (writer.working / _NOTE).unlink(missing_ok=True)
        planner = load_or_create(planner)
        replace_file(
            writer.working / _NOTE, orjson.dumps({"name": planner.run, "overwrite": planner.overwrite})
        )
        if damaged := drop_failures(planner.journals):
            print(
                f"{counted(damaged, 'line')} of what was answered before cannot be read, and is asked "
                "for again"
            )
        yield BatchRun(planner)


def working_before(root: Path) -> Path:
    """Returns where 0.1 had what is not whole yet: beside the root."""
    return root.with_name(f".{root.name}.working")


def _adopt(root: Path, working: Path) -> None:
    """Goes on with what a run of 0.1 left."""
    before = working_before(root)
    for old, new in (("journals", "journals"), (_NOTE, _NOTE), ("replaced", "backup")):
        if (before / old).exists() and not (working / new).exists():
            shutil.move(before / old, working / new)
    shutil.rmtree(before, ignore_errors=True)
