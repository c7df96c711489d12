"""The job of `stream`: what it reads, where it writes, and its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.commands.stream_options import Options, start_of
from pipeline.config.kafka import Kafka, input_topics, output_topics
from pipeline.flink.component_ids import LabelIds
from pipeline.flink.state_identity import Identity
from pipeline.graph import score_revisions
from schemas import ERROR
from transforms.async_io.stateful import StatefulAsync
from transforms.combine_scores import CombineInState
from transforms.connectors.eventgate_sink import EventGate
from transforms.connectors.kafka_sink import WriteToKafka
from transforms.connectors.kafka_source import KafkaTopics
from transforms.delivery.retry_deliveries import RetryDeliveries
from transforms.events.combined_events import SCHEMAS, STREAM
from transforms.models.model import Configuration


def identity_of(options: Options, kafka: Kafka, topics: Sequence[str]) -> Identity:
    """What the state of such a run belongs to. Raises UsageError."""
    cluster_id, topic_ids = kafka.topic_ids(topics)
    return Identity(cluster_id, options.group, topic_ids, options.combined is not None)


def topics_of(configuration: Configuration, options: Options) -> tuple[list[str], list[str]]:
    """What a stream reads of Kafka and writes there; it writes nothing when EventGate does. Raises
    UsageError."""
    read = input_topics(configuration, options.input_topics)
    return read, written_topics(configuration, read, options) if options.output == "kafka" else []


def written_topics(configuration: Configuration, read: Sequence[str], options: Options) -> list[str]:
    """The topics of what is written, whether by Kafka or by EventGate."""
    return output_topics(configuration, read, [STREAM] if options.combined else [])


def _streams(configuration: Configuration, combine: CombineInState | None) -> frozenset[str]:
    """All that the job writes to."""
    return frozenset(
        [
            *(model.stream for model in configuration.models.values()),
            configuration.failure_stream,
            *([STREAM] if combine else []),
        ]
    )


def sink_of(
    configuration: Configuration, kafka: Kafka, gates: Mapping[str, str] | None
) -> EventGate | WriteToKafka:
    if gates:
        return EventGate(gates, configuration.failure_stream, waits_in_state=True)
    return WriteToKafka(kafka.address, configuration.failure_stream, kafka.properties, waits_in_state=True)


def written_streams(configuration: Configuration, options: Options) -> dict[str, str]:
    """All that are written, and the schema of each."""
    streams = {configuration.failure_stream: ERROR} | (
        {STREAM: SCHEMAS[options.combined_schema]} if options.combined else {}
    )
    return streams | {model.stream: model.schema for model in configuration.models.values() if model.active}


def build_pipeline(
    configuration: Configuration,
    options: Options,
    kafka: Kafka,
    topics: Sequence[str],
    sink: EventGate | WriteToKafka,
    settings: PipelineOptions,
) -> beam.Pipeline:
    pipeline = beam.Pipeline(options=settings)
    pipeline.component_id_map = LabelIds()
    source = KafkaTopics(
        topics, kafka.address, options.group, start_of(options.start), kafka.properties, options.adopt_state
    )
    combine = (
        CombineInState(configuration.models, SCHEMAS[options.combined_schema], options.combined)
        if options.combined
        else None
    )
    written = score_revisions(
        pipeline, configuration, source, sink, StatefulAsync(options.each_event_once), combine=combine
    )
    _ = written | "RetryDeliveries" >> RetryDeliveries(sink.writing, _streams(configuration, combine))
    return pipeline
