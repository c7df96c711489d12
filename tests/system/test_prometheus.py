"""What Prometheus finds at a running stream: what the table of docs/metrics.md says and no more, with the
right counts, and what the dashboard and the alerts ask for; and what the live page finds at its
JobManager."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest
import requests

from pipeline.config.models_file import load
from pipeline.health.diagnosis import Diagnosis
from pipeline.health.flink_monitor import FlinkMonitor
from pipeline.health.stream_monitor import StreamMonitor
from pipeline.process.child_process import free_port
from pipeline.watch.health_poller import HealthPoller
from runners.local_kafka import LocalKafka
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.events import ROOT, edit
from tests.support.monitoring import expressions, selectors, selects
from tests.support.streams import PATIENCE_S, Topics, models_file, stream, wait_until

pytestmark = pytest.mark.flink

PLACES = {"model": "(?:damaging|goodfaith)", "cause": r"\w+", "topic": r"\w+"}
STEPS = "ReadEvents|SelectModels|ScoreWithLiftWing|BuildRevisionScore|WritePerModel|CombineScores"
UNTOLD = {
    "ScoreWithLiftWing_call_ms_<model>",  # a distribution, which Flink's reporter shows as 0, if at all
    "WritePerModel_failing_<topic>",  # of a topic that ever was
    "WritePerModel_refused_<topic>",  # the same
}


def documented_names() -> set[str]:
    """`Step_name`, with <model> and <cause> where they go; a row without a step belongs to the one above
    it."""
    rows = re.findall(
        r"^\| ((?:`[^`]+`[:;,]? ?)+)\|",
        (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    names, step = set(), ""
    for row in rows:
        found = re.findall("`([^`]+)`(:?)", row)
        if found[0][1]:
            step, found = found[0][0], found[1:]
        names |= {f"{step}_{name}" for name, _ in found}
    return names


def scraped(port: int) -> Mapping[str, float]:
    """What our steps tell, by `Step_name`: the sum of what a step's operators tell."""
    found: defaultdict[str, float] = defaultdict(float)
    for one in series(port):
        if name := re.fullmatch(f"flink_taskmanager_job_task_operator_((?:{STEPS})_.+)", one["__name__"]):
            found[name[1]] += float(one["value"])
    return found


def wait_for_counts(port: int, expected: Mapping[str, float]) -> None:
    """Returns when Prometheus would find these; fails with what it finds in their place."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := {name: value for name, value in scraped(port).items() if name in expected}) != expected:
        assert time.monotonic() < deadline, f"expected {expected}, found {found}"
        time.sleep(0.1)


def series(port: int) -> list[dict[str, str]]:
    """The labels of each, its `__name__` and its `value` among them; none before there is a reporter."""
    try:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    except requests.ConnectionError:
        return []
    found = re.findall(r"^(\w+){(.*)} (\S+)$", text, re.MULTILINE)
    return [
        {**dict(re.findall(r'(\w+)="([^"]*)"', labels)), "__name__": name, "value": value}
        for name, labels, value in found
    ]


def test_prometheus_finds_the_metrics_of_the_documents_and_of_the_dashboard_and_the_alerts(
    kafka: LocalKafka, tmp_path: Path
) -> None:
    entry = "  {0}: {{namespace: revscoring-editquality-{0}, wikis: [enwiki]}}\n".format
    models = models_file(tmp_path / "models.yaml", entry("damaging") + entry("goodfaith"))
    topics, port = Topics(kafka, "metrics", load(models)), free_port()
    again = edit(rev_id=4)
    sent = [
        *(edit(rev_id=rev_id) for rev_id in (1, 2, 3)),
        *(again, again),
        edit(rev_id=5, rev_timestamp="never"),
        edit(rev_id=6, page_title="x" * 2_000),
        edit(database="aawiki"),
        edit(database="enwikki"),
        edit(meta={"id": "of no stream"}),
        {"$schema": "/mediawiki/revision/create/2.0.0", "meta": {"domain": "canary"}},
        {},
    ]
    small = "eqiad.mediawiki.revision-score-goodfaith"
    kafka.configure_topic(small, "max.message.bytes", "2000")
    kafka.create_topics(
        *(f"{datacenter}.mediawiki.revision-score" for datacenter in load(models).datacenters)
    )
    options = ["--models", str(models), "--metrics-port", str(port), "--each-event-once", "--combined", "5"]
    with SimulatedLiftWing(latency=0.2) as lift_wing:
        lift_wing.control(mode="hang", model="damaging", rev_id=4)
        lift_wing.control(mode="status", status=503, model="damaging", rev_id=1, times=1)
        lift_wing.control(mode="status", status=400, model="damaging", rev_id=2)
        with stream(kafka, lift_wing, topics, tmp_path, *options) as program:
            topics.send([orjson.dumps(event) for event in sent], topics.inputs[0])
            # goodfaith of 1 to 4, damaging of 1, 3 and 6; of the failures two are of the dt that is none
            topics.wait_for(
                lambda topics: (
                    (
                        len(topics.of_model("goodfaith")),
                        len(topics.of_model("damaging")),
                        len(topics.failures()),
                    )
                    == (4, 3, 5)
                )
            )
            before = {
                "ScoreWithLiftWing_dropped_repeated": 2,
                "CombineScores_events": 5,
                "CombineScores_dropped_invalid": 1,
            }
            wait_for_counts(port, before)
            address = program.wait_for(r"^reading .*; Flink at (\S+),")[1]
            gauges = HealthPoller(
                StreamMonitor(FlinkMonitor(lambda: address, "revision-scores")),
                Diagnosis(["damaging", "goodfaith"]),
            )

            def shown(model: str, gauge: str) -> float:
                return gauges.by_model.get(model, {}).get(gauge, -1)

            wait_until(
                lambda: shown("damaging", "in_flight") == 1 and shown("damaging", "call_ms_p50") >= 200
            )
            wait_until(lambda: shown("goodfaith", "broken") == 0)
            assert gauges.trouble == ""
            lift_wing.clear()
            counts = {
                **{
                    "ReadEvents_events": 9,
                    "ReadEvents_dropped_canary": 1,
                    "ReadEvents_dropped_no_stream": 1,
                    "ReadEvents_failures": 1,
                },
                **{
                    "SelectModels_requests_damaging": 6,
                    "SelectModels_dropped_no_model": 2,
                    "SelectModels_failures": 2,
                },
                **{
                    "ScoreWithLiftWing_calls_damaging": 6,
                    "ScoreWithLiftWing_calls_goodfaith": 5,
                    "ScoreWithLiftWing_retries_damaging_503": 1,
                },
                **{
                    "ScoreWithLiftWing_failures_damaging": 1,
                    "ScoreWithLiftWing_failures_damaging_400": 1,
                    "ScoreWithLiftWing_dropped_repeated": 2,
                },
                **{
                    "BuildRevisionScore_scores_damaging": 4,
                    "BuildRevisionScore_failures": 0,
                    "WritePerModel_failures": 1,
                },
                **{"WritePerModel_events_damaging": 4, "WritePerModel_events_goodfaith": 4},
                **{"WritePerModel_waiting_deliveries_eqiad_mediawiki_revision_score_goodfaith": 0},
                **{"ScoreWithLiftWing_in_flight_damaging": 0, "ScoreWithLiftWing_broken_goodfaith": 0},
            }
            wait_for_counts(port, counts)
            wait_until(lambda: "CombineScores_dropped_late" in scraped(port))
            found, told = scraped(port), series(port)
            assert program.stop() == 0
    wait_until(lambda: gauges.trouble == f"no JobManager answers at {address}")
    assert gauges.by_model == {}
    topics.close()
    kafka.configure_topic(small, "max.message.bytes", "1000000")
    patterns = {name: re.sub("<(.+?)>", lambda place: PLACES[place[1]], name) for name in documented_names()}
    assert len(patterns) > 20
    assert {
        name
        for name, pattern in patterns.items()
        if not any(re.fullmatch(pattern, metric) for metric in found)
    } <= UNTOLD
    assert [
        metric for metric in found if not any(re.fullmatch(pattern, metric) for pattern in patterns.values())
    ] == []
    asked = [selector for expression in expressions() for selector in selectors(expression)]
    assert len(asked) > 40
    unreported_retries = [
        str(selector) for selector in asked if not any(selects(selector, one) for one in told)
    ]
    assert [
        text
        for text in unreported_retries
        if not re.search("_unforeseen|lost_expired|waiting_deliveries_|^revision_scores_", text)
    ] == [], "these are of a bad day, or of the page"
    assert 200 <= found["ScoreWithLiftWing_call_ms_p50_damaging"] < 10_000
    assert found["WritePerModel_lag_ms_p50_damaging"] > 3 * 365 * 86_400_000, "the event is of 2021"
