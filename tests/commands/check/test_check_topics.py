"""What `check` looks at in topics: their settings, replicas and rights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation

from pipeline.checks.topics import _of_description, _of_settings


def setting(**settings: str) -> dict[str, Any]:
    return {name.replace("_", "."): SimpleNamespace(value=value) for name, value in settings.items()}


@pytest.mark.parametrize(
    ("settings", "is_read", "problems"),
    [
        ({"cleanup_policy": "delete", "max_message_bytes": "1048588", "retention_ms": "604800000"}, True, []),
        ({"cleanup_policy": "delete", "retention_ms": "-1"}, True, []),
        (
            {"cleanup_policy": "compact,delete"},
            False,
            ["cleanup.policy: expected delete, got compact,delete, which takes no messages without a key"],
        ),
        (
            {"max_message_bytes": "2000"},
            False,
            ["max.message.bytes: expected at least 1000000, got 2000; larger scores become failures"],
        ),
        (
            {"retention_ms": "1800000"},
            True,
            [
                "retention.ms: expected at least 24 hours, got 0.5; a stream that is off for longer "
                "loses events"
            ],
        ),
        ({"retention_ms": "1800000"}, False, []),
    ],
)
def test_settings_of_a_topic_that_would_hurt(
    settings: dict[str, str], is_read: bool, problems: list[str]
) -> None:
    found = list(_of_settings(setting(**settings), is_read, not is_read))
    assert len(found) == len(problems)
    assert all(problem.startswith(start) for problem, start in zip(found, problems, strict=True))


def described(in_sync: int, leader: int = 1, operations: list[AclOperation] | None = None) -> Any:
    partition = SimpleNamespace(id=0, leader=SimpleNamespace(id=leader), isr=[1, 2, 3][:in_sync])
    return SimpleNamespace(partitions=[partition], authorized_operations=operations)


def test_replicas_and_rights_of_a_topic_that_would_hurt() -> None:
    assert list(_of_description(described(2), False, True, 2)) == []
    assert list(_of_description(described(1, operations=[AclOperation.WRITE]), False, True, 1)) == []
    (few,) = _of_description(described(1), False, True, 2)
    assert (
        few == "min.insync.replicas is 2, and partitions 0 have fewer replicas in sync, so that nothing can "
        "be written"
    )
    (leaderless,) = _of_description(described(1, leader=-1), True, False, 0)
    assert leaderless == "partitions 0 have no leader; see the brokers"
    (denied,) = _of_description(
        described(1, operations=[AclOperation.DESCRIBE, AclOperation.READ]), False, True, 1
    )
    assert denied == "expected to be allowed to WRITE, and are not; add an ACL with kafka-acls.sh"
