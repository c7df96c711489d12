"""Third step, and the only one that waits: each request becomes a response or a failure.

All requests of one event travel together as a batch: a batch waits for nothing, the event is written once for
all its models, and each answer still leaves as it comes. How a worker waits for the answers is a value given
to the step: `StatefulAsync` for streams, `BundleAsync` for bounded input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam

from transforms.async_io.bundle_async import BundleAsync
from transforms.async_io.stateful_async import StatefulAsync
from transforms.elements import Failure, ScoreRequests, ScoreResponse
from transforms.models.model import Configuration


class Scored(NamedTuple):
    """What comes out: of each request, one of both."""

    responses: beam.PCollection[ScoreResponse]
    failures: beam.PCollection[Failure]


@dataclass
class ScoreWithLiftWing(beam.PTransform):
    """Asks Lift Wing for each request, in the order in which there is room.

    In: ScoreRequests, all of one event.
    Out: Scored: a ScoreResponse or a Failure for each request, as answers come.
    Bounded: either, by the `waiting` that it is given.
    Guarantee: each request ends once; it may be asked again after a crash.
    """

    configuration: Configuration
    waiting: BundleAsync | StatefulAsync

    def expand(self, requests: beam.PCollection[ScoreRequests]) -> Scored:
        scored = requests | "Ask" >> self.waiting.asking(self.configuration)
        return Scored(scored.responses, scored.failures)
