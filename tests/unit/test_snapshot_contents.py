"""What a snapshot remembers of the graph: a version that says any of it otherwise loses what waits. A row
here may be added, and none changed or removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline.flink.component_ids import LabelIds
from pipeline.graph import score_revisions
from transforms.async_io.stateful_async import StatefulAsync
from transforms.combine_scores import CombineInState
from transforms.connectors.kafka_sink import WriteToKafka
from transforms.connectors.kafka_source import KafkaTopics
from transforms.delivery.retry_deliveries import RetryDeliveries
from transforms.elements import SourceRecord
from transforms.events.combined_events import SCHEMAS
from transforms.models.model import Configuration


class Remembered(NamedTuple):
    """Of one stage: by what Flink finds its state, the states, by what it finds its timers, the timers."""

    input_name: str
    states: tuple[str, ...]
    transform_id: str
    timers: tuple[str, ...]


DISCOVER = Remembered("22ReadEvents/Source/Seed.None", ("begun",), "ReadEvents-Source-Discover", ())
READ = Remembered(
    "26ReadEvents/Source/Discover.None", ("place",), "ReadEvents-Source-Read-Read", ("ts-poll",)
)
ASK = Remembered(
    "29ScoreWithLiftWing/Ask/Key/Key.None",
    ("pending", "seen"),
    "ScoreWithLiftWing-Ask-AskInState-AskInState",
    ("ts-forget", "ts-look"),
)
COMBINE = Remembered(
    "25CombineScores/AllOutcomes.None", ("done", "parts"), "CombineScores-Combine", ("ts-forget", "ts-limit")
)
RETRY = Remembered(
    "30RetryDeliveries/AllUndelivered.None", ("undelivered",), "RetryDeliveries-Retry", ("ts-retry",)
)


class Sources(beam.PTransform):
    """As many sources as are wanted, merged."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[SourceRecord]:
        sources = [
            pbegin | f"Source{number}" >> beam.Create([SourceRecord(b"{}", "eqiad")])
            for number in range(self._count)
        ]
        return sources | "All" >> beam.Flatten() if self._count > 1 else sources[0]


def remembered(
    configuration: Configuration,
    source: beam.PTransform,
    each_event_once: bool = False,
    combined: bool = True,
) -> list[Remembered]:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pipeline.component_id_map = LabelIds()
    combine = CombineInState(configuration.models, SCHEMAS["3.0.0"], 60) if combined else None
    sink = WriteToKafka("localhost:9", configuration.failure_stream, waits_in_state=True)
    written = score_revisions(
        pipeline, configuration, source, sink, StatefulAsync(each_event_once), combine=combine
    )
    _ = written | "RetryDeliveries" >> RetryDeliveries(sink.writing)
    return sorted(_stages(pipeline.to_runner_api().components))


def _stages(components: beam_runner_api_pb2.Components) -> Iterator[Remembered]:
    for transform_id, transform in components.transforms.items():
        if transform.spec.urn != common_urns.primitives.PAR_DO.urn:
            continue
        payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
        if payload.state_specs or payload.timer_family_specs:
            (collection,) = transform.inputs.values()
            name = components.pcollections[collection].unique_name
            yield Remembered(
                name,
                tuple(sorted(payload.state_specs)),
                transform_id,
                tuple(sorted(payload.timer_family_specs)),
            )


@pytest.mark.parametrize("sources", [1, 3])
@pytest.mark.parametrize("each_event_once", [False, True])
def test_a_snapshot_goes_on_under_another_source_and_other_options(
    shipped: Configuration, sources: int, each_event_once: bool
) -> None:
    assert remembered(shipped, Sources(sources), each_event_once, combined=True) == [COMBINE, ASK, RETRY]
    assert remembered(shipped, Sources(sources), each_event_once, combined=False) == [ASK, RETRY]


@pytest.mark.parametrize("topics", [["eqiad.a"], ["codfw.a", "eqiad.b", "eqiad.c"]])
def test_the_places_in_kafka_go_on_under_other_topics(shipped: Configuration, topics: list[str]) -> None:
    source = KafkaTopics(topics, "localhost:9", "a group", "latest")
    assert [each for each in remembered(shipped, source) if each.transform_id.startswith("ReadEvents")] == [
        DISCOVER,
        READ,
    ]


def test_two_labels_that_make_one_id_are_refused() -> None:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pipeline.component_id_map = LabelIds()
    _ = pipeline | "A/B" >> beam.Impulse(), pipeline | "A-B" >> beam.Impulse()
    with pytest.raises(ValueError, match="expected labels that differ in letters and digits, got 'A-B'"):
        pipeline.to_runner_api()
