"""Whether topics are made for what a stream does with them: settings, replicas and rights, as far as the
broker tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, ResourceType

from pipeline.checks.findings import Finding, unseen, wrong
from pipeline.config.kafka import Kafka

_THING = "topics"
_PATIENCE_S = 5.0
_LARGEST_MESSAGE = 1_000_000  # bytes; what an event of the largest size that is read may become
_SHORTEST_RETENTION_MS = 24 * 3_600_000  # that a stream may be off without losing events
_NAMED = 3


def look(kafka: Kafka, read: Sequence[str], written: Sequence[str]) -> Iterator[Finding]:
    """Yields what is wrong with topics that are there, a line for each problem. Raises KafkaException."""
    admin = AdminClient({**kafka.client, "log_level": 0})
    known = admin.list_topics(timeout=_PATIENCE_S).topics
    there = [topic for topic in dict.fromkeys((*read, *written)) if topic in known]
    settings = _settings(admin, there)
    hidden = [topic for topic in there if topic not in settings]
    problems: dict[str, list[str]] = {}
    for topic, found in settings.items():
        for problem in _of_settings(found, topic in read, topic in written):
            problems.setdefault(problem, []).append(topic)
    for topic, description in _descriptions(admin, there).items():
        least = _number(settings.get(topic, {}), "min.insync.replicas", 1) if topic in written else 0
        for problem in _of_description(description, topic in read, topic in written, least):
            problems.setdefault(problem, []).append(topic)
    for problem, topics in problems.items():
        yield wrong(_THING, f"{_named(topics)}: {problem}")
    if hidden:
        yield unseen(_THING, f"the broker does not let us read the settings of {_named(hidden)}")


def _of_settings(found: Mapping[str, Any], is_read: bool, is_written: bool) -> Iterator[str]:
    policy = found["cleanup.policy"].value if "cleanup.policy" in found else "delete"
    if is_written and "compact" in policy:
        yield (
            f"cleanup.policy: expected delete, got {policy}, which takes no messages without a key, as "
            "scores are; change it with kafka-configs.sh --alter"
        )
    size = _number(found, "max.message.bytes", _LARGEST_MESSAGE)
    if is_written and size < _LARGEST_MESSAGE:
        yield (
            f"max.message.bytes: expected at least {_LARGEST_MESSAGE}, got {size}; larger scores become "
            "failures"
        )
    retention = _number(found, "retention.ms", -1)
    if is_read and 0 <= retention < _SHORTEST_RETENTION_MS and "delete" in policy:
        hours = _SHORTEST_RETENTION_MS // 3_600_000
        yield (
            f"retention.ms: expected at least {hours} hours, got {retention / 3_600_000:.1f}; a stream "
            "that is off for longer loses events"
        )


def _of_description(found: Any, is_read: bool, is_written: bool, least_in_sync: int) -> Iterator[str]:
    without = [
        partition.id for partition in found.partitions if partition.leader is None or partition.leader.id < 0
    ]
    if without:
        yield f"partitions {', '.join(map(str, without))} have no leader; see the brokers"
    elif is_written and (
        few := [partition.id for partition in found.partitions if len(partition.isr) < least_in_sync]
    ):
        yield (
            f"min.insync.replicas is {least_in_sync}, and partitions {', '.join(map(str, few))} have "
            "fewer replicas in sync, so that nothing can be written"
        )
    if found.authorized_operations is not None:
        wanted = {AclOperation.READ: is_read, AclOperation.WRITE: is_written}
        allowed = {*found.authorized_operations}
        for operation in (
            each for each, is_wanted in wanted.items() if is_wanted and not {each, AclOperation.ALL} & allowed
        ):
            yield f"expected to be allowed to {operation.name}, and are not; add an ACL with kafka-acls.sh"


def _descriptions(admin: AdminClient, topics: Sequence[str]) -> dict[str, Any]:
    asked = (
        admin.describe_topics(
            TopicCollection(list(topics)), include_authorized_operations=True, request_timeout=_PATIENCE_S
        )
        if topics
        else {}
    )
    found = {}
    for topic, future in asked.items():
        try:
            found[topic] = future.result()
        except KafkaException:  # nobody may describe it, which other lines tell
            continue
    return found


def _settings(admin: AdminClient, topics: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Returns the settings of the topics whose settings we may read."""
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    found = {}
    for resource, future in (
        admin.describe_configs(resources, request_timeout=_PATIENCE_S).items() if resources else ()
    ):
        try:
            found[resource.name] = future.result()
        except KafkaException:
            continue
    return found


def _number(settings: Mapping[str, Any], name: str, otherwise: int) -> int:
    return int(settings[name].value) if name in settings and settings[name].value is not None else otherwise


def _named(topics: Sequence[str]) -> str:
    return ", ".join(topics[:_NAMED]) + (f" and {len(topics) - _NAMED} more" if len(topics) > _NAMED else "")
