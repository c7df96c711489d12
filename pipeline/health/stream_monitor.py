"""Looks at all that a stream needs: Flink, Kafka, and the disk of its state."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipeline.health.facts import Facts
from pipeline.health.flink_monitor import FlinkMonitor
from pipeline.health.kafka_monitor import KafkaMonitor
from pipeline.process.disk import Room


class StreamMonitor:
    """Asks each of them anew at each look; raises nothing for what they answer."""

    def __init__(
        self,
        flink: FlinkMonitor,
        kafka: KafkaMonitor | None = None,
        room: Callable[[], Room | None] = lambda: None,
    ) -> None:
        """`room` returns how much room the disk of --state has, nothing where that cannot be seen."""
        self.flink, self._kafka, self._room = flink, kafka, room

    def facts(self, with_kafka: bool = True) -> Facts:
        """Returns what is so now, within seconds."""
        flink = self.flink.facts()
        kafka = self._kafka.facts() if self._kafka and with_kafka else None
        return Facts(time.time(), flink, kafka, self._room())
