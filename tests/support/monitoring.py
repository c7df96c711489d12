"""What the dashboard and the alerts ask Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import orjson
import promql_parser
import yaml

from tests.support.events import ROOT

MONITORING = ROOT / "runners" / "monitoring"
DASHBOARD = orjson.loads((MONITORING / "dashboard.json").read_bytes())
ALERTS = [
    rule
    for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# what Grafana puts in their places
GRAFANA = {"$__rate_interval": "5m", "$job_name": "revision_scores", "$model": "(damaging|goodfaith)"}


def filled(text: str) -> str:
    for variable, value in GRAFANA.items():
        text = text.replace(variable, value)
    return text


def expressions() -> Iterator[str]:
    """Whatever is asked of Prometheus, by a panel, a variable of the dashboard or an alert."""
    yield from (filled(target["expr"]) for panel in PANELS for target in panel["targets"])
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), \w+\)", variable["query"]["query"])
            assert found
            yield filled(found[1])
    yield from (alert["expr"] for alert in ALERTS)


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


def selects(selector: promql_parser.VectorSelector, series: Mapping[str, str]) -> bool:
    """Whether these labels, the name among them as `__name__`, are what it asks for."""
    return selector.name in (None, series["__name__"]) and all(
        fits(matcher, series.get(matcher.name, "")) for matcher in selector.matchers.matchers
    )


def fits(matcher: promql_parser.Matcher, value: str) -> bool:
    """Prometheus takes a label that is not there for an empty one, and a regular expression for one of all of
    it."""
    of_text = matcher.op in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.NotEqual)
    is_that = value == matcher.value if of_text else bool(re.fullmatch(matcher.value, value))
    return is_that == (matcher.op in (promql_parser.MatchOp.Equal, promql_parser.MatchOp.Re))
