"""The report of a batch run: what lies in the datasets, by their manifests, and how the run went; one HTML
file without links to anything outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from pipeline.batch.outcome import Outcome
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.durable_files import replace_file
from transforms.datasets.manifests import find_partition, partitions_in
from transforms.datasets.places import Place, each_at
from transforms.datasets.units import now
from transforms.models.model import Configuration

NAME = "_report.html"  # readers of Hive tables pass over names that begin with _
_MOST_BARS = 15
_STYLE = """
:root { color-scheme: light dark; --bar: #3366cc; --soft: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h3 { margin: 1.5rem 0 .3rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td, th { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--soft); }
td:first-child, th:first-child { text-align: left; }
.bars td:last-child { width: 60%; text-align: left; }
.bar { display: inline-block; height: .9em; background: var(--bar); min-width: 1px; vertical-align: middle; }
.columns { display: flex; align-items: flex-end; gap: 2px; height: 7rem; }
.columns div { flex: 1; background: var(--bar); min-height: 1px; }
.labels { display: flex; justify-content: space-between; font-size: .8rem; opacity: .8; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.5rem; }
.wide { grid-column: 1 / -1; }
.wrap { overflow-x: auto; }
"""


def write(configuration: Configuration, writer: DatasetWriter, outcome: Outcome) -> Place:
    """Writes the report below the root of the tables; gives where."""
    found = [manifest for model in configuration.models for manifest in _manifests(writer.table(model))]
    by_model = {
        name: [manifest for manifest in found if manifest["model"] == name] for name in configuration.models
    }
    by_model = {
        name: manifests
        for name, manifests in by_model.items()
        if any(manifest["rows"] or manifest["failures"] for manifest in manifests)
    }
    parts = [
        f"<h1>Scores in {escape(writer.root.name)}</h1>",
        f"<p>{sum(manifest['rows'] for manifest in found):,} scores in {len(found):,} partitions, as of "
        f"{now()}. "
        f"Asked at {escape(configuration.lift_wing.url)}.</p>",
        _models(by_model, outcome),
        "<h2>Wikis</h2>",
        _bars(_sum(_wikis(manifest) for manifest in found)),
        "<h2>What the models said</h2><div class=grid>",
        *(_distribution(name, manifests) for name, manifests in by_model.items()),
        "</div><h2>Failures</h2>",
        _bars(_sum(manifest["failures"] for manifest in found))
        if any(manifest["failures"] for manifest in found)
        else "<p>None.</p>",
        _unfinished(outcome),
        "<h2>Partitions</h2><div class=wrap>",
        _partitions(found),
        "</div>",
    ]
    head = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
        f"content='width=device-width'><title>Scores</title><style>{_STYLE}</style>"
    )
    file = writer.root / NAME
    replace_file(file, "\n".join([head, *parts]).encode("utf-8", "backslashreplace"))
    return file


def _manifests(table: Place) -> Iterator[Mapping[str, Any]]:
    """Of the partitions of a table, but for those that cannot be read: `audit` names them."""
    for found in each_at(table, lambda partition: find_partition(table / partition), partitions_in(table)):
        if found and found.manifest and "model" in found.manifest:
            yield found.manifest


def _wikis(manifest: Mapping[str, Any]) -> Mapping[str, int]:
    """The rows of each wiki; manifests of 0.1 have another name for them."""
    rows: Mapping[str, int] = manifest["rows_by_wiki"] if "v" in manifest else manifest["wikis"]
    return rows


def _models(by_model: Mapping[str, list[Mapping[str, Any]]], outcome: Outcome) -> str:
    rows = []
    for name, manifests in by_model.items():
        calls = outcome.call_ms.get(name)
        unfinished = sum(model == name for model, _ in outcome.unfinished)
        rows.append(
            [
                name,
                f"{sum(manifest['rows'] for manifest in manifests):,}",
                f"{sum(sum(manifest['failures'].values()) for manifest in manifests):,}",
                f"{len(_sum(map(_wikis, manifests))):,}",
                ", ".join(sorted(_sum(manifest["model_versions"] for manifest in manifests))),
                f"{calls.mean:,.0f}" if calls else "",
                f"{calls.max:,}" if calls else "",
                f"{unfinished:,}",
            ]
        )
    header = [
        "model",
        "scores",
        "failures",
        "wikis",
        "versions",
        "mean call, ms",
        "longest, ms",
        "unfinished partitions",
    ]
    return "<h2>Models</h2><div class=wrap>" + _table(header, rows) + "</div>"


def _sum(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["<table><tr>" + "".join(f"<th>{escape(cell)}" for cell in header)]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows]
    return "\n".join([*lines, "</table>"])


def _bars(counts: Counter[str]) -> str:
    most = max(counts.values(), default=1)
    shown = counts.most_common(_MOST_BARS)
    lines = [
        f"<tr><td>{escape(name)}<td>{count:,}<td><span class=bar "
        f"style='width:{100 * count / most:.1f}%'></span>"
        for name, count in shown
    ]
    if len(counts) > len(shown):
        lines.append(
            f"<tr><td>{len(counts) - len(shown)} "
            f"others<td>{counts.total() - sum(count for _, count in shown):,}<td>"
        )
    return "\n".join(["<table class=bars>", *lines, "</table>"])


def _distribution(name: str, manifests: list[Mapping[str, Any]]) -> str:
    tenths = [sum(manifest["probability"][tenth] for manifest in manifests) for tenth in range(10)]
    if not any(tenths):
        predictions = _sum(manifest["predictions"] for manifest in manifests)
        return f"<section class=wide><h3>{escape(name)}</h3>{_bars(predictions)}</section>"
    title = f"<section><h3>{escape(name)}</h3>"
    most = max(tenths)
    columns = "".join(
        f"<div style='height:{100 * count / most:.1f}%' title='{tenth / 10} to {(tenth + 1) / 10}: "
        f"{count:,}'></div>"
        for tenth, count in enumerate(tenths)
    )
    return (
        f"{title}<div class=columns>{columns}</div><div class=labels><span>0</span><span>probability of "
        "true</span><span>1</span></div></section>"
    )


def _unfinished(outcome: Outcome) -> str:
    if not outcome.unfinished and not outcome.unread:
        return ""
    rows = [["all", "of which a file could not be read", reason] for reason in outcome.unread]
    rows += [
        [model, partition, ", ".join(reasons)]
        for (model, partition), reasons in sorted(outcome.unfinished.items())
    ]
    return (
        "<h2>Unfinished</h2><p><code>--resume</code> goes on with these.</p><div class=wrap>"
        + _table(["model", "partition", "why"], rows)
        + "</div>"
    )


def _partitions(found: Iterable[Mapping[str, Any]]) -> str:
    """A line for each partition, all models together."""
    by_partition: dict[str, list[Mapping[str, Any]]] = {}
    for manifest in found:
        by_partition.setdefault(manifest["partition"], []).append(manifest)
    rows = []
    for partition, manifests in sorted(by_partition.items()):
        size = sum(file["bytes"] for manifest in manifests for file in manifest["files"])
        counts = [
            sum(manifest["rows"] for manifest in manifests),
            sum(sum(manifest["failures"].values()) for manifest in manifests),
        ]
        rows.append(
            [
                partition,
                *(f"{count:,}" for count in counts),
                f"{size / 1e6:,.1f}",
                max(manifest["written"] for manifest in manifests),
            ]
        )
    return _table(["partition", "scores", "failures", "MB", "written"], rows)
