"""The report of a batch run: what lies in the datasets, by their manifests, and how the run went; one HTML
file without links to anything outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from pipeline.batch.run_outcome import Outcome
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.durable_files import replace_file
from transforms.datasets.manifests import find_partition, now, partitions_in
from transforms.datasets.storage_paths import Place, each_at
from transforms.models.model import Configuration

NAME = "_report.html"  # readers of Hive tables pass over names that begin with _


def write(configuration: Configuration, writer: DatasetWriter, outcome: Outcome) -> Place:
    """Writes the report below the root of the tables; returns where. Raises OSError."""
    found = [manifest for model in configuration.models for manifest in _manifests(writer.table(model))]
    models = {name: _OfModel(each) for name, each in _by("model", found).items()}
    text = _template().render(
        root=writer.root.name,
        lift_wing=configuration.lift_wing.url,
        now=now(),
        manifests=len(found),
        scores=sum(each.scores for each in models.values()),
        wikis=_counted(each.wikis for each in models.values()),
        failures=_counted(each.failures for each in models.values()),
        models={name: each for name, each in models.items() if each.scores or each.failures},
        call_ms=outcome.call_ms,
        unread=outcome.unread,
        unfinished=sorted(outcome.unfinished.items()),
        unfinished_by_model=Counter(model for model, _ in outcome.unfinished),
        partitions=[_row(name, each) for name, each in sorted(_by("partition", found).items())],
    )
    file = writer.root / NAME
    replace_file(file, text.encode("utf-8", "backslashreplace"))
    return file


def _template() -> Template:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: f"{value:,}" if isinstance(value, int) else value,
    )
    return templates.get_template("report.html")


def _manifests(table: Place) -> Iterator[Mapping[str, Any]]:
    """Yields those of a table, but for those that cannot be read: `audit` names them."""
    for found in each_at(table, lambda partition: find_partition(table / partition), partitions_in(table)):
        if found and found.manifest and "model" in found.manifest:
            yield found.manifest


def _by(key: str, manifests: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for manifest in manifests:
        groups.setdefault(manifest[key], []).append(manifest)
    return groups


class _OfModel:
    """What the manifests of a model say together."""

    def __init__(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        self.scores = sum(manifest["rows"] for manifest in manifests)
        self.failures = _counted(manifest["failures"] for manifest in manifests)
        # manifests of 0.1 have another name for the rows of each wiki
        self.wikis = _counted(
            manifest["rows_by_wiki" if "v" in manifest else "wikis"] for manifest in manifests
        )
        self.versions = sorted(_counted(manifest["model_versions"] for manifest in manifests))
        self.predictions = _counted(manifest["predictions"] for manifest in manifests)
        self.tenths = [sum(manifest["probability"][tenth] for manifest in manifests) for tenth in range(10)]


def _row(partition: str, manifests: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
    """Returns the cells of a partition, all models together."""
    scores = sum(manifest["rows"] for manifest in manifests)
    failures = sum(sum(manifest["failures"].values()) for manifest in manifests)
    size = sum(file["bytes"] for manifest in manifests for file in manifest["files"])
    return partition, scores, failures, f"{size / 1e6:,.1f}", max(each["written"] for each in manifests)


def _counted(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total
