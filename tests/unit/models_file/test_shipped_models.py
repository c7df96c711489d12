"""The shipped models file against the tables of Lift Wing and ORES."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import yaml

from pipeline.config.models_file import load
from tests.support.events import ROOT
from tests.support.models_files import SHIPPED
from transforms.models.model import Configuration, Endpoint, LiftWingSettings
from transforms.models.wikis import shipped_wikis

DATA = ROOT / "tests" / "data"


@pytest.fixture(scope="module")
def shipped() -> Configuration:
    return load(SHIPPED)


def endpoints(configuration: Configuration) -> list[Endpoint]:
    return [endpoint for model in configuration.models.values() for endpoint in model.endpoints.values()]


def test_the_shipped_file_has_the_endpoints_of_lift_wing(shipped):
    table = yaml.safe_load((DATA / "lift_wing_endpoints.yaml").read_text())
    assert {(e.model, e.namespace, e.wiki) for e in endpoints(shipped)} == {
        (name, row["namespace"], wiki) for name, row in table.items() for wiki in row["wikis"]
    }
    assert len(endpoints(shipped)) == 109
    assert Counter(e.model for e in endpoints(shipped)) == {
        "damaging": 35,
        "goodfaith": 35,
        "articlequality": 13,
        "articletopic": 10,
        "reverted": 9,
        "draftquality": 4,
        "drafttopic": 1,
        "itemquality": 1,
        "itemtopic": 1,
    }


def test_the_shipped_file_scores_what_ores_precached(shipped):
    ores = {
        (wiki, model): kind
        for wiki, row in yaml.safe_load((DATA / "ores_precache.yaml").read_text()).items()
        for model, kind in row.items()
    }
    not_on_lift_wing = {
        ("eswikibooks", "reverted"),
        ("frwikisource", "pagelevel"),
        ("simplewiki", "articletopic"),
        ("testwiki", "articletopic"),
    }
    active = {(e.wiki, e.model): e.on for e in endpoints(shipped) if e.enabled}
    assert active == {pair: kind for pair, kind in ores.items() if pair not in not_on_lift_wing}
    assert len(ores) == 96
    assert len(active) == 92
    assert Counter(e.model for e in endpoints(shipped) if not e.enabled) == {
        "articlequality": 9,
        "draftquality": 4,
        "damaging": 2,
        "goodfaith": 2,
    }


def test_the_shipped_file_names_streams_and_lift_wing(shipped):
    assert shipped.lift_wing == LiftWingSettings(
        "https://inference.discovery.wmnet:30443", 30.0, 3600.0, 2000, None
    )
    assert {name: model.stream for name, model in shipped.models.items()} == {
        name: f"mediawiki.revision-score-{name}" for name in shipped.models
    }
    assert shipped.failure_stream == "mediawiki.revision-score.error"
    assert shipped.datacenters == ("eqiad", "codfw")


def test_the_shipped_file_gives_more_calls_to_endpoints_with_more_replicas(shipped):
    usual = {"damaging": 12, "goodfaith": 11}
    assert {
        (e.wiki, e.model): e.concurrency for e in endpoints(shipped) if e.concurrency != usual.get(e.model, 5)
    } == {
        ("enwiki", "damaging"): 48,
        ("ruwiki", "damaging"): 48,
        ("wikidatawiki", "damaging"): 48,
        ("enwiki", "goodfaith"): 44,
        ("ruwiki", "goodfaith"): 22,
        ("wikidatawiki", "goodfaith"): 44,
        ("enwiki", "articlequality"): 10,
        ("wikidatawiki", "itemquality"): 17,
    }


def test_the_shipped_file_is_sorted(shipped):
    assert all(list(model.endpoints) == sorted(model.endpoints) for model in shipped.models.values())


def test_an_endpoint_is_called_as_lift_wing_wants(shipped):
    endpoint = shipped.models["itemquality"].endpoints["wikidatawiki"]
    assert endpoint.path == "/v1/models/wikidatawiki-itemquality:predict"
    assert endpoint.host == "wikidatawiki-itemquality.revscoring-articlequality.wikimedia.org"


def test_all_wikis_are_safe_in_a_url():
    assert len(shipped_wikis()) == 1073
    assert not [wiki for wiki in shipped_wikis().names if not re.fullmatch("[a-z0-9_]+", wiki)]
