"""The dashboard and the alerts as files: what they ask can be parsed, and a reader finds what each is
about."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import orjson
import pytest
import yaml

from pipeline.health.facts import Facts, FlinkFacts, KafkaFacts, Partition
from pipeline.process.disk import Room
from pipeline.watch.exposition import exposition
from tests.support.events import ROOT
from tests.support.monitoring import ALERTS, DASHBOARD, MONITORING, PANELS, expressions, selectors, selects


def causes() -> set[str]:
    """What the errors of Lift Wing are called in metrics, but for the statuses."""
    found: set[str] = set()
    for file in (ROOT / "transforms").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(call, ast.Call)
                and len(call.args) > 1
                and ast.unparse(call.func) in ("Rejected", "Unavailable", "Unexpected", "super().__init__")
            ):
                found |= {
                    node.value
                    for node in ast.walk(call.args[1])
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                }
    return found


@pytest.mark.parametrize("expression", list(expressions()))
def test_each_expression_is_promql(expression: str) -> None:
    assert selectors(expression)
    assert "$" not in re.sub(r'"\$\d"', "", expression)


def test_a_selector_asks_as_prometheus_does() -> None:
    (selector,) = selectors(
        'sum(rate(label_replace({__name__=~"a_(b|c)", __name__!~".+_c", d="", e!="x"}, "m", "$1", '
        '"__name__", "a_(.+)")[5m:15s]))'
    )
    assert selects(selector, {"__name__": "a_b"})
    others = [
        {"__name__": "a_b_"},
        {"__name__": "a_c"},
        {"__name__": "a_b", "d": "1"},
        {"__name__": "a_b", "e": "x"},
    ]
    assert [series for series in others if selects(selector, series)] == []
    assert [
        each.name for each in selectors('a{b="c"} > 1 unless max by (d) (increase(e[5m])) or absent(f)')
    ] == ["a", "e", "f"]


def test_the_dashboard_can_be_imported_anywhere() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {
            panel["datasource"]["uid"],
            *(target["datasource"]["uid"] for target in panel["targets"]),
        } == {"${datasource}"}
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {
        "datasource",
        "job_name",
        "model",
    }
    assert not re.search("https?://", orjson.dumps(DASHBOARD).decode())


def test_each_cause_has_its_place_in_the_dashboard() -> None:
    assert causes() > {"timeout", "not_called"}
    patterns = set(re.findall(r"_\(\$model\)_\((.+?)\)", orjson.dumps(DASHBOARD).decode()))
    assert [set(pattern.split("|")) for pattern in patterns] == [causes() | {"[0-9]{3}"}]


def test_each_alert_says_what_it_means_and_what_to_do() -> None:
    page = (
        (ROOT / "docs" / "operate.md")
        .read_text(encoding="utf-8")
        .partition("## What each alert means")[2]
        .partition("\n## ")[0]
    )
    assert re.findall("^### (.+)$", page, re.MULTILINE) == [alert["alert"] for alert in ALERTS]
    for alert in ALERTS:
        assert alert["for"]
        assert alert["labels"]["severity"] in ("warning", "critical")
        assert alert["annotations"]["summary"]
        assert alert["annotations"]["description"].endswith(".")
        assert (
            alert["annotations"]["runbook_url"]
            == f"{{{{ $externalLabels.revision_scores_docs }}}}/operate.md#{alert['alert'].lower()}"
        )
        assert alert["annotations"]["dashboard"] == "{{ $externalLabels.revision_scores_dashboard }}"
        assert alert["labels"]["team"] == "machine-learning"


def test_where_alerts_lead_is_said_once() -> None:
    settings = yaml.safe_load((MONITORING / "prometheus.yaml").read_text(encoding="utf-8"))["global"][
        "external_labels"
    ]
    assert set(
        re.findall(r"\$externalLabels\.(\w+)", (MONITORING / "alerts.yaml").read_text(encoding="utf-8"))
    ) == set(settings)


def test_each_alert_fires_when_it_should_and_is_quiet_before() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", str(MONITORING / "alerts_test.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tests = yaml.safe_load((MONITORING / "alerts_test.yaml").read_text(encoding="utf-8"))["tests"]
    for alert in ALERTS:
        checks = [
            check
            for test in tests
            for check in test["alert_rule_test"]
            if check["alertname"] == alert["alert"]
        ]
        before, then, *quiet = [bool(check.get("exp_alerts")) for check in checks]
        assert (before, then, set(quiet)) == (False, True, {False}), alert["alert"]
        assert len(quiet) >= 2, alert["alert"]  # twice on a good day


def test_what_only_the_page_tells_is_what_the_page_tells() -> None:
    facts = Facts(
        100.0,
        FlinkFacts(job_id="7", state="RUNNING", task_managers=2, last_checkpoint=96.5),
        KafkaFacts(lag={Partition('a"b', 0): 12, Partition("c", 1): 1_234_567}),
        Room(Path("/s"), 25, 100, 0, 0),
    )
    told = [line for line in exposition(facts, "g", 100.0).decode().splitlines() if not line.startswith("#")]
    assert told == [
        'revision_scores_kafka_up{group="g"} 1',
        'revision_scores_consumer_lag{group="g",topic="a\\"b",partition="0"} 12',
        'revision_scores_consumer_lag{group="g",topic="c",partition="1"} 1234567',
        'revision_scores_flink_up{group="g"} 1',
        'revision_scores_task_managers{group="g"} 2',
        'revision_scores_last_checkpoint_age_seconds{group="g"} 3.5',
        'revision_scores_state_free_bytes{group="g"} 25',
        'revision_scores_state_free_ratio{group="g"} 0.25',
    ]
    names = {line.partition("{")[0] for line in told}
    assert {
        selector.name
        for expression in expressions()
        for selector in selectors(expression)
        if (selector.name or "").startswith("revision_scores_")
    } <= names
    assert (
        exposition(Facts(100.0, FlinkFacts("gone"), KafkaFacts("away")), "g", 100.0).decode().count(" 0\n")
        == 2
    )
