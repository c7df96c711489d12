"""Which models an event asks for."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from tests.support.events import ABSENT, edit
from transforms.elements import ScoreRequest
from transforms.events.source_events import event_of
from transforms.models.model import Configuration, Endpoint, Model
from transforms.models.selection import Selection
from transforms.select_models import SelectModels

BOT = {"user_text": "B", "user_groups": ["bot", "*"], "user_is_bot": True}


def model(name: str, on: str = "edit", enabled: bool = True, **rule: Any) -> Model:
    endpoint = Endpoint("enwiki", name, "namespace", on, 5, enabled)
    return Model(name, f"stream-{name}", {"enwiki": endpoint}, **rule)


def chosen(models: list[Model], raw: dict[str, Any]) -> list[str]:
    return [endpoint.model for endpoint in Selection({model.name: model for model in models}).endpoints(raw)]


@pytest.mark.parametrize(
    ("changes", "models"),
    [
        ({}, ["damaging", "goodfaith", "articletopic"]),
        ({"page_namespace": 1}, ["damaging", "goodfaith"]),
        ({"rev_parent_id": ABSENT}, ["damaging", "goodfaith", "articletopic", "drafttopic"]),
        ({"rev_parent_id": 0, "page_namespace": 2}, ["damaging", "goodfaith", "drafttopic"]),
        ({"database": "wikidatawiki"}, ["damaging", "goodfaith", "itemquality", "itemtopic"]),
        ({"database": "viwiki"}, ["articletopic", "reverted"]),
        ({"database": "viwiki", "performer": BOT, "page_namespace": 1}, ["reverted"]),
        ({"database": "bnwiki"}, ["reverted"]),
        ({"database": "commonswiki"}, []),
        ({"database": "nowiki2"}, []),
        ({"database": ["enwiki"]}, []),
        ({"database": ABSENT}, []),
    ],
)
def test_the_shipped_models_of_an_event(
    shipped: Configuration, changes: dict[str, Any], models: list[str]
) -> None:
    assert sorted(
        endpoint.model for endpoint in Selection(shipped.models).endpoints(edit(**changes))
    ) == sorted(models)


@pytest.mark.parametrize("namespace", [0, 1])
@pytest.mark.parametrize("rev_id", [1, 7])
def test_the_kind_of_event_and_the_rule_must_both_hold(namespace: int, rev_id: int) -> None:
    wanted = [model("m", on="main_edit", match={"rev_id": 7})]
    assert chosen(wanted, edit(page_namespace=namespace, rev_id=rev_id)) == (
        ["m"] if (namespace, rev_id) == (0, 7) else []
    )


def test_what_a_model_does_not_want_it_does_not_get() -> None:
    models = [
        model("all"),
        model("people", match_not=({"performer": {"user_groups": ["bot"]}}, {"page_namespace": 2})),
    ]
    assert chosen(models, edit()) == ["all", "people"]
    assert chosen(models, edit(performer=BOT)) == chosen(models, edit(page_namespace=2)) == ["all"]


def test_an_endpoint_that_is_off_is_never_chosen() -> None:
    assert chosen([model("off", enabled=False), model("on")], edit()) == ["on"]


def test_no_model_answers_for_a_wiki_it_does_not_serve(shipped: Configuration) -> None:
    selection = Selection(shipped.models)
    wikis = {wiki for model in shipped.models.values() for wiki in model.endpoints}
    for wiki in wikis:
        for endpoint in selection.endpoints(edit(database=wiki)):
            assert endpoint == shipped.models[endpoint.model].endpoints[wiki]
            assert (endpoint.wiki, endpoint.enabled) == (wiki, True)


def test_the_step_gives_requests_and_counts_the_rest(shipped: Configuration) -> None:
    event, elsewhere, nowhere = (
        event_of(edit(page_namespace=1), "eqiad"),
        event_of(edit(database="commonswiki"), "codfw"),
        event_of(edit(database="nowiki2"), "codfw", "p"),
    )
    p = TestPipeline(FnApiRunner())
    selected = p | beam.Create([event, elsewhere, nowhere]) | SelectModels(shipped.models)
    requests = tuple(ScoreRequest(event, name) for name in ("damaging", "goodfaith"))
    assert_that(selected.requests, equal_to([requests]), label="requests")
    assert_that(selected.failures, equal_to([]), label="failures")
    result = p.run()
    result.wait_until_finish()
    counted = {
        counter.key.metric.name: counter.committed
        for counter in result.metrics().query()["counters"]
        if counter.key.metric.namespace == "SelectModels"
    }
    assert counted == {
        "requests_damaging": 1,
        "requests_goodfaith": 1,
        "dropped_no_model": 2,
        "dropped_unknown_wiki": 0,
        "failures": 0,
        "unforeseen": 0,
    }
