"""Finds what is wrong with where scores go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.health.facts import Facts, FlinkFacts
from pipeline.health.history import History
from pipeline.health.problems import ILL, STOPPED, Problem


def sink_problems(facts: Facts, history: History, topics: Mapping[str, str]) -> Iterator[Problem]:
    """Yields what is wrong with where scores go, by a stream's facts, which are in its history already.

    `topics`: by how the name of a metric ends, the topic that it is of.
    """
    flink = facts.flink
    if flink is None or flink.state != "RUNNING":
        return
    yield from _not_taken(flink, history, topics)
    yield from _refused(flink, history, topics)
    yield from _not_written(flink, history)


def _not_taken(flink: FlinkFacts, history: History, topics: Mapping[str, str]) -> Iterator[Problem]:
    for name, metric in flink.metrics.items():
        if name.startswith("WritePerModel_waiting_deliveries_") and metric.total and history.lasts(name):
            failing = flink.metrics.get(name.replace("waiting_deliveries", "failing", 1))
            if failing and not failing.total:
                continue  # it is taken, and what waited is being delivered
            stream = _topic_of(name, "waiting_deliveries", topics)
            events = "1 event waits" if metric.total == 1 else f"{round(metric.total):,} events wait"
            text = f"the output stream {stream} is not taken: {events} for it, none is lost"
            yield Problem(("stream", stream), ILL, text, f"the output stream {stream} is taken again")


def _refused(flink: FlinkFacts, history: History, topics: Mapping[str, str]) -> Iterator[Problem]:
    if refused := history.grown("WritePerModel_failures"):
        where = [
            _topic_of(name, "refused", topics)
            for name in flink.metrics
            if name.startswith("WritePerModel_refused_") and history.grown(name)
        ]
        text = (
            f"{refused:,} scores of the last minute were refused by "
            f"{_some(where) or 'their topics'}, for good, and became failures"
        )
        yield Problem(("refused",), ILL, text, "no more scores are refused where they go")


def _not_written(flink: FlinkFacts, history: History) -> Iterator[Problem]:
    scored, written = (
        sum(history.grown(name) for name in flink.metrics if name.startswith(kind))
        for kind in ("BuildRevisionScore_scores_", "WritePerModel_events_")
    )
    if scored and not written and history.spans_half_a_minute():
        text = f"no score is written: {scored:,} wait for Kafka or EventGate"
        yield Problem(("written",), STOPPED, text, "scores are written again")


def _topic_of(name: str, kind: str, topics: Mapping[str, str]) -> str:
    """Returns the topic of a metric; as the metric has it where the topic is not known."""
    of_metric = name.removeprefix(f"WritePerModel_{kind}")
    return topics.get(of_metric, of_metric[1:])


def _some(names: Sequence[str]) -> str:
    """Returns the first, and how many more there are."""
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)
