"""The job of `stream`: what it reads, where it writes, and its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.commands.stream_options import Options, start_of
from pipeline.config.kafka import Kafka
from pipeline.config.topics import input_topics, output_topics
from pipeline.flink.component_ids import LabelIds
from pipeline.flink.state_identity import Identity
from pipeline.graph import score_revisions
from schemas import ERROR
from transforms.async_io.stateful_async import StatefulAsync
from transforms.combine_scores import CombineInState
from transforms.connectors.eventgate_sink import EventGate
from transforms.connectors.kafka_sink import WriteToKafka
from transforms.connectors.kafka_source import KafkaTopics
from transforms.delivery.retry_deliveries import RetryDeliveries
from transforms.events.combined_events import SCHEMAS, STREAM
from transforms.models.model import Configuration


def identity_of(options: Options, kafka: Kafka, topics: Sequence[str]) -> Identity:
    """Returns what the state of such a run belongs to. Raises UsageError."""
    cluster_id, topic_ids = kafka.topic_ids(topics)
    return Identity(cluster_id, options.group, topic_ids, options.combined is not None)


def topics_of(configuration: Configuration, options: Options) -> tuple[list[str], list[str]]:
    """Returns the topics that a stream reads and those that it produces to; of these there are none when
    EventGate produces. Raises UsageError."""
    read = input_topics(configuration, options.input_topics)
    return read, written_topics(configuration, read, options) if options.output == "kafka" else []


def written_topics(configuration: Configuration, read: Sequence[str], options: Options) -> list[str]:
    """Returns the topics of scores and failures, whether this stream or EventGate produces to them."""
    return output_topics(configuration, read, [STREAM] if options.combined else [])


def written_streams(configuration: Configuration, options: Options) -> dict[str, str]:
    """Returns the streams that are written, each with the URI of its schema."""
    streams = {configuration.failure_stream: ERROR} | (
        {STREAM: SCHEMAS[options.combined_schema]} if options.combined else {}
    )
    return streams | {model.stream: model.schema for model in configuration.models.values() if model.active}


@dataclass(frozen=True)
class StreamJob:
    """What a run of `stream` reads, where it writes, and its graph."""

    configuration: Configuration
    options: Options
    kafka: Kafka
    read: Sequence[str]  # topics
    gates: Mapping[str, str] | None  # the EventGate of each datacenter; None: scores go to Kafka

    @property
    def written(self) -> list[str]:
        """The topics of scores and failures, whoever produces to them."""
        return written_topics(self.configuration, self.read, self.options)

    def build(self, settings: PipelineOptions) -> beam.Pipeline:
        """Returns the pipeline that Flink runs."""
        pipeline = beam.Pipeline(options=settings)
        pipeline.component_id_map = LabelIds()
        sink, waiting = self._sink(), StatefulAsync(self.options.each_event_once)
        undelivered = score_revisions(
            pipeline, self.configuration, self._source(), sink, waiting, combine=self._combine()
        )
        _ = undelivered | "RetryDeliveries" >> RetryDeliveries(sink.writing, self._streams())
        return pipeline

    def _source(self) -> KafkaTopics:
        kafka, options = self.kafka, self.options
        return KafkaTopics(
            self.read,
            kafka.address,
            options.group,
            start_of(options.start),
            kafka.properties,
            options.adopt_state,
        )

    def _sink(self) -> EventGate | WriteToKafka:
        failures, kafka = self.configuration.failure_stream, self.kafka
        if self.gates:
            return EventGate(self.gates, failures, waits_in_state=True)
        return WriteToKafka(kafka.address, failures, kafka.properties, waits_in_state=True)

    def _streams(self) -> frozenset[str]:
        """Those of all models, as what waits for a model that is off by now is still written."""
        models = self.configuration.models.values()
        more = [STREAM] if self.options.combined else []
        return frozenset([*(model.stream for model in models), self.configuration.failure_stream, *more])

    def _combine(self) -> CombineInState | None:
        options = self.options
        if not options.combined:
            return None
        return CombineInState(self.configuration.models, SCHEMAS[options.combined_schema], options.combined)
