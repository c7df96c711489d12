"""The graph: the same five steps in both modes. Source, sink and the way of waiting are values given to
it."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from transforms.async_io.bundle_async import BundleAsync
from transforms.async_io.stateful_async import StatefulAsync
from transforms.build_revision_score import BuildRevisionScore
from transforms.combine_scores import CombineInState
from transforms.models.model import Configuration
from transforms.read_events import ReadEvents
from transforms.score_with_lift_wing import ScoreWithLiftWing
from transforms.select_models import AlreadyScored, SelectModels
from transforms.write_per_model import WriteFailures, WritePerModel


def score_revisions(
    p: beam.Pipeline,
    configuration: Configuration,
    source: beam.PTransform,
    sink: beam.PTransform,
    waiting: BundleAsync | StatefulAsync,
    done: AlreadyScored | None = None,
    combine: CombineInState | None = None,
) -> tuple[Any, ...]:
    """Applies ReadEvents > SelectModels > ScoreWithLiftWing > BuildRevisionScore > WritePerModel, and beside
    the last, if wanted, makes the legacy event of all models.

    `done`: which scores are there already; none where it is None. Returns what comes out of the sink, for
    each place where it is applied.
    """
    # a stream's step whose fuse is blown holds its place; a bounded run ends
    holds = isinstance(waiting, StatefulAsync)
    read = p | "ReadEvents" >> ReadEvents(source, holds)
    selected = read.events | "SelectModels" >> SelectModels(
        configuration.models, done, holds, configuration.wikis
    )
    scored = selected.requests | "ScoreWithLiftWing" >> ScoreWithLiftWing(configuration, waiting)
    built = scored.responses | "BuildRevisionScore" >> BuildRevisionScore(configuration.models, holds=holds)
    written = [built.scores | "WritePerModel" >> WritePerModel(sink)]
    if combine:
        written += [
            (built.scores, (scored.failures, built.failures, selected.failures))
            | "CombineScores" >> combine
            | "WriteCombined" >> WritePerModel(sink)
        ]
    # Not flattened: the DirectRunner would hold all that goes through a Flatten in memory.
    for step, failures in {
        "Read": read.failures,
        "Select": selected.failures,
        "Score": scored.failures,
        "Build": built.failures,
    }.items():
        written += [failures | f"Write{step}Failures" >> WriteFailures(sink, configuration.failure_stream)]
    return tuple(written)
