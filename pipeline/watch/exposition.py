"""The metrics at /metrics of the page: what only somebody beside the job can tell of it."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.health.facts import Facts

_HELP = {
    "kafka_up": "1 when a broker answers",
    "consumer_lag": "messages that the group has not read as of its last checkpoint",
    "flink_up": "1 when the JobManager answers and has the job",
    "task_managers": "TaskManagers that the JobManager has let in",
    "last_checkpoint_age_seconds": "since the last completed checkpoint",
    "state_free_bytes": "of the disk of --state, where the page sees it",
    "state_free_ratio": "of the disk of --state, where the page sees it",
}


def exposition(facts: Facts, group: str, now: float) -> bytes:
    """Returns the facts of a group in Prometheus' text format."""
    lines: list[str] = []
    told = ""
    for name, labels, value in _series(facts, now):
        if name != told:
            told = name
            lines += [f"# HELP revision_scores_{name} {_HELP[name]}", f"# TYPE revision_scores_{name} gauge"]
        text = ",".join(
            f'{label}="{_escaped(of_label)}"' for label, of_label in {"group": group, **labels}.items()
        )
        lines.append(f"revision_scores_{name}{{{text}}} {value:.15g}")
    return "".join(f"{line}\n" for line in lines).encode()


def _series(facts: Facts, now: float) -> Iterator[tuple[str, dict[str, str], float]]:
    if facts.kafka:
        yield "kafka_up", {}, float(not facts.kafka.trouble)
        for (topic, number), lag in facts.kafka.lag.items():
            yield "consumer_lag", {"topic": topic, "partition": str(number)}, lag
    if facts.flink:
        yield "flink_up", {}, float(not facts.flink.trouble)
        if not facts.flink.trouble:
            yield "task_managers", {}, facts.flink.task_managers
            if facts.flink.last_checkpoint:
                yield "last_checkpoint_age_seconds", {}, max(0.0, now - facts.flink.last_checkpoint)
    if facts.room:
        yield "state_free_bytes", {}, facts.room.free_bytes
        yield "state_free_ratio", {}, facts.room.free_bytes / max(1, facts.room.bytes)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
