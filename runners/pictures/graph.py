"""The graph as a picture, out of the graph itself: `python -m runners.pictures.graph > docs/graph.svg`."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from pipeline.config.models_file import load
from pipeline.graph import score_revisions
from transforms.async_io.stateful import StatefulAsync
from transforms.combine_scores import CombineInState
from transforms.connectors.collected import Collected
from transforms.events.combined_events import SCHEMAS

_MODELS = Path(__file__).parents[2] / "pipeline" / "models.yaml"
_ENDS = {
    "ReadEvents": ("events of Kafka topics,", "or of files"),
    "WritePerModel": ("a topic or dataset", "for each model"),
}
_FAILURES = "failures"

_WIDTH, _HEIGHT, _GAP, _LINE = 176, 108, 72, 17  # of a box, between boxes, of text
_TOP, _LEFT = 62, 14
_STYLE = """
svg { font: 13px system-ui, "DejaVu Sans", sans-serif; }
.box { fill: #fff; stroke: #3056a9; stroke-width: 1.5; }
.side { stroke-dasharray: 5 4; } .fails { stroke: #b32424; }
.arrow { fill: none; stroke: #3056a9; stroke-width: 1.5; } .arrow.fails { stroke: #b32424; }
.arrow.fails, .arrow.side { stroke-width: 1.2; } .arrow.side { stroke-dasharray: 5 4; }
text { fill: #202122; } .name { font-weight: 600; }
.soft { fill: #54595d; font-size: 12px; } .middle { text-anchor: middle; }
@media (prefers-color-scheme: dark) {
  .box { fill: #1c2025; stroke: #88a3e8; } .arrow { stroke: #88a3e8; }
  .fails, .arrow.fails { stroke: #ff8f85; }
  text { fill: #eaecf0; } .soft { fill: #a7adb5; } }
"""


class Step(NamedTuple):
    """A step of the graph: what it is made of, its inputs as (step, output), and its outputs."""

    name: str
    parts: list[str]
    inputs: list[tuple[str, str]]


def steps() -> list[Step]:
    """Those of the stream with combined scores, as Beam has them once the graph is built."""
    configuration = load(_MODELS)
    pipeline = beam.Pipeline()
    combine = CombineInState(configuration.models, SCHEMAS["3.0.0"], 60.0)
    score_revisions(pipeline, configuration, beam.Create([]), Collected(""), StatefulAsync(), combine=combine)
    top = _Top()
    pipeline.visit(top)
    made_by = {
        output: (node.full_label, str(name)) for node in top.found for name, output in node.outputs.items()
    }
    return [
        Step(
            node.full_label,
            [part.full_label.rpartition("/")[2] for part in node.parts],
            [made_by[each] for each in node.inputs if each in made_by],
        )
        for node in top.found
    ]


class _Top(PipelineVisitor):
    def __init__(self) -> None:
        self.found: list[AppliedPTransform] = []

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        if node.parent is not None and node.parent.parent is None:
            self.found.append(node)


def svg() -> str:
    """The five steps in a row, what beside them is optional and where failures go below."""
    found = {step.name: step for step in steps()}
    row = list(_row(found))
    combined = [step for name, step in found.items() if "Combine" in name]
    x_of = {name: _LEFT + index * (_WIDTH + _GAP) for index, name in enumerate(row)}
    x_of |= {step.name: x_of[row[3 + index]] for index, step in enumerate(combined)}
    width, below = x_of[row[-1]] + _WIDTH + _LEFT, _TOP + _HEIGHT + 74
    failing = [
        step
        for name, step in found.items()
        if name.startswith("Write") and any(output == _FAILURES for _, output in step.inputs)
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {below + _HEIGHT + 12}" role="img" '
        f'aria-label="{" > ".join(row)}">',
        f"<style>{_STYLE}</style>",
    ]
    parts.append(
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
    )
    parts.append('<path d="M0 0L8 4L0 8Z" fill="#7a8699"/></marker></defs>')
    for name in row:
        parts += _box(x_of[name], _TOP, found[name], "box")
        parts += [
            _text(x_of[name] + _WIDTH / 2, 24 + _LINE * index, line, "soft middle")
            for index, line in enumerate(_ENDS.get(name, ()))
        ]
    for name, after in zip(row, row[1:], strict=False):
        parts.append(_arrow(f"M{x_of[name] + _WIDTH} {_TOP + 40}H{x_of[after] - 2}"))
        parts.append(
            _text(x_of[name] + _WIDTH + _GAP / 2, _TOP + 33, dict(found[after].inputs)[name], "soft middle")
        )
    for step in combined:
        parts += _box(x_of[step.name], below, step, "box side")
    parts.append(_arrow(f"M{x_of[row[3]] + _WIDTH / 2} {_TOP + _HEIGHT}V{below - 2}", "side"))
    parts.append(_arrow(f"M{x_of[row[3]] + _WIDTH} {below + 40}H{x_of[row[4]] - 2}", "side"))
    parts.append(_text(x_of[row[3]] + _WIDTH / 2 + 8, below - 22, "stream --combined", "soft"))
    parts += _failure_sink(
        [x_of[origin] for step in failing for origin, _ in step.inputs],
        below,
        [step.name for step in failing],
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(found: dict[str, Step]) -> Iterator[str]:
    """From the step without input along what is no failure to the one without output."""
    name = next(step.name for step in found.values() if not step.inputs)
    while name:
        yield name
        name = next(
            (
                step.name
                for step in found.values()
                if len(step.inputs) == 1 and step.inputs[0][0] == name and step.inputs[0][1] != _FAILURES
            ),
            "",
        )


def _box(x: float, y: float, step: Step, kind: str) -> list[str]:
    lines = [part for part in step.parts if part != step.name][:3]
    return [
        f'<rect class="{kind}" x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7"/>',
        _text(x + _WIDTH / 2, y + 25, step.name, "name middle"),
        *(
            _text(x + _WIDTH / 2, y + 55 + _LINE * index, line, "soft middle")
            for index, line in enumerate(lines)
        ),
    ]


def _failure_sink(from_x: list[float], y: float, names: list[str]) -> list[str]:
    """Failures have one stream, whichever step gives up."""
    x, width = from_x[0], from_x[2] + _WIDTH - from_x[0]
    arrows = [_arrow(f"M{each + 40} {_TOP + _HEIGHT}V{y - 2}", "fails") for each in from_x[:3]]
    last = from_x[3] + 40
    arrows.append(_arrow(f"M{last} {_TOP + _HEIGHT}V{_TOP + _HEIGHT + 34}H{x + width - 30}V{y - 2}", "fails"))
    return [
        *arrows,
        f'<rect class="box fails" x="{x}" y="{y}" width="{width}" height="74" rx="7"/>',
        _text(x + width / 2, y + 25, ", ".join(names), "name middle"),
        _text(
            x + width / 2,
            y + 50,
            "to mediawiki.revision-score.error: step, reason, the original",
            "soft middle",
        ),
        _text(from_x[0] + 48, _TOP + _HEIGHT + 24, _FAILURES, "soft"),
    ]


def _arrow(path: str, kind: str = "") -> str:
    return f'<path class="arrow {kind}" d="{path}" marker-end="url(#tip)"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


if __name__ == "__main__":
    print(svg(), end="")
