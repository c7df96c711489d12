"""The graph as a picture, out of the graph itself: `python -m runners.pictures.graph > docs/graph.svg`."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from runners.pictures.graph_steps import Step, steps

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


class _Layout(NamedTuple):
    """Where each step stands."""

    row: list[str]  # the five steps, from the left
    x_of: dict[str, float]
    below: float  # y of what is optional, and of where failures go


def svg() -> str:
    """Returns the picture: the five steps in a row, what beside them is optional and where failures go
    below."""
    found = {step.name: step for step in steps()}
    row = list(_row(found))
    combined = [step for name, step in found.items() if "Combine" in name]
    failing = [
        step
        for name, step in found.items()
        if name.startswith("Write") and any(output == _FAILURES for _, output in step.inputs)
    ]
    x_of: dict[str, float] = {name: _LEFT + index * (_WIDTH + _GAP) for index, name in enumerate(row)}
    x_of |= {step.name: x_of[row[3 + index]] for index, step in enumerate(combined)}
    layout = _Layout(row, x_of, _TOP + _HEIGHT + 74)
    parts = [
        *_head(layout),
        *_steps(layout, found),
        *_combined(layout, combined),
        *_failure_sink(
            [x_of[origin] for step in failing for origin, _ in step.inputs],
            layout.below,
            [step.name for step in failing],
        ),
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _head(layout: _Layout) -> Iterator[str]:
    width, height = layout.x_of[layout.row[-1]] + _WIDTH + _LEFT, layout.below + _HEIGHT + 12
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{" > ".join(layout.row)}">'
    )
    yield f"<style>{_STYLE}</style>"
    yield (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto">'
    )
    yield '<path d="M0 0L8 4L0 8Z" fill="#7a8699"/></marker></defs>'


def _steps(layout: _Layout, found: dict[str, Step]) -> Iterator[str]:
    """Yields the boxes of the row, and the arrows between them."""
    row, x_of = layout.row, layout.x_of
    for name in row:
        yield from _box(x_of[name], _TOP, found[name], "box")
        for index, line in enumerate(_ENDS.get(name, ())):
            yield _text(x_of[name] + _WIDTH / 2, 24 + _LINE * index, line, "soft middle")
    for name, after in zip(row, row[1:], strict=False):
        yield _arrow(f"M{x_of[name] + _WIDTH} {_TOP + 40}H{x_of[after] - 2}")
        yield _text(x_of[name] + _WIDTH + _GAP / 2, _TOP + 33, dict(found[after].inputs)[name], "soft middle")


def _combined(layout: _Layout, combined: list[Step]) -> Iterator[str]:
    """Yields the step that a stream has with --combined."""
    row, x_of, below = layout
    for step in combined:
        yield from _box(x_of[step.name], below, step, "box side")
    yield _arrow(f"M{x_of[row[3]] + _WIDTH / 2} {_TOP + _HEIGHT}V{below - 2}", "side")
    yield _arrow(f"M{x_of[row[3]] + _WIDTH} {below + 40}H{x_of[row[4]] - 2}", "side")
    yield _text(x_of[row[3]] + _WIDTH / 2 + 8, below - 22, "stream --combined", "soft")


def _row(found: dict[str, Step]) -> Iterator[str]:
    """Yields names from the step without input along what is no failure to the one without output."""
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
    """Returns the box of the failure stream, which is one whichever step gives up, and the arrows to it."""
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
