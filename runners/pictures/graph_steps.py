"""The steps of the graph, read off the graph itself."""

from __future__ import annotations

from typing import NamedTuple

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from pipeline.config.models_file import load
from pipeline.graph import score_revisions
from runners.programs import SHIPPED_MODELS
from transforms.async_io.stateful_async import StatefulAsync
from transforms.combine_scores import CombineInState
from transforms.connectors.collected import Collected
from transforms.events.combined_events import SCHEMAS


class Step(NamedTuple):
    """A step of the graph."""

    name: str
    parts: list[str]  # labels of the transforms that it is made of
    inputs: list[tuple[str, str]]  # the steps it reads from, and which of their outputs


def steps() -> list[Step]:
    """Returns those of the stream with combined scores, as Beam has them once the graph is built."""
    configuration = load(SHIPPED_MODELS)
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
