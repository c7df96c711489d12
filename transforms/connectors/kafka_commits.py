"""Writes places of a source to its consumer group when a checkpoint has them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import apache_beam as beam
import orjson
from apache_beam.utils.shared import Shared
from confluent_kafka import Consumer, KafkaException, TopicPartition

_FORGOTTEN_S = 60.0  # a checkpoint that takes longer is not waited for
_LOGGER = logging.getLogger(__name__)


class CommitFn(beam.DoFn):
    """Writes a place to the group when a checkpoint is complete that has it. In a stage of its own, as a
    bundle that waits for that keeps its DoFns."""

    # since when a place of a partition waits for a checkpoint, in this process
    _waiting: ClassVar[dict[str, float]] = {}

    def __init__(self, settings: Callable[[], Mapping[str, str]], group: str) -> None:
        self._settings, self._group, self._shared = settings, group, Shared()

    def process(self, element: bytes, finalizer: Any = beam.DoFn.BundleFinalizerParam) -> None:
        topic, number, offset = orjson.loads(element)
        key = f"{self._group} {topic}/{number}"
        if time.monotonic() - self._waiting.get(key, -_FORGOTTEN_S) >= _FORGOTTEN_S:
            self._waiting[key] = time.monotonic()
            finalizer.register(partial(self._commit, key, TopicPartition(topic, number, offset)))

    def _commit(self, key: str, place: TopicPartition) -> None:
        self._waiting.pop(key, None)
        self._shared.acquire(lambda: _Committer(self._settings(), self._group)).commit(place)


class _Committer:
    """A client that only writes places; one for all DoFns of a process."""

    def __init__(self, settings: Mapping[str, str], group: str) -> None:
        self._consumer = Consumer(
            {**settings, "group.id": group, "enable.auto.commit": False, "log_level": 0}
        )

    def commit(self, place: TopicPartition) -> None:
        try:
            self._consumer.commit(offsets=[place], asynchronous=True)
        except KafkaException as error:
            _LOGGER.warning(
                "the group's place in %s/%d cannot be written: %s",
                place.topic,
                place.partition,
                error.args[0].str(),
            )
