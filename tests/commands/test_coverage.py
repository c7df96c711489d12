"""What ORES precached beside what is scored now."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import orjson
import pytest

from pipeline.commands.coverage import pairs
from pipeline.main import main
from transforms.models.model import Configuration

GONE = [
    ("eswikibooks", "reverted"),
    ("frwikisource", "pagelevel"),
    ("simplewiki", "articletopic"),
    ("testwiki", "articletopic"),
]


def test_what_the_switch_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage"]) == 1
    *lines, empty, sums = capsys.readouterr().out.splitlines()
    assert (lines[0].split(), len(lines), empty) == (["wiki", "model", "ORES", "scored", "here"], 97, "")
    assert [tuple(line.split()[:2]) for line in lines if line.endswith("not on Lift Wing")] == GONE
    assert sums == "96 pairs of ORES; not on Lift Wing: 4, served: 92"


def test_the_same_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", "--json"]) == 1
    told = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert Counter(each["verdict"] for each in told) == {"served": 92, "not on Lift Wing": 4}
    assert {
        "wiki": "wikidatawiki",
        "model": "damaging",
        "ores": "nonbot_edit",
        "here": "nonbot_edit",
        "verdict": "served",
    } in told


def test_what_somebody_changed_is_told(shipped: Configuration) -> None:
    of_models = {
        "damaging": shipped.models["damaging"].with_endpoints(
            lambda endpoint: replace(endpoint, on="main_edit")
        ),
        "goodfaith": shipped.models["goodfaith"].with_endpoints(
            lambda endpoint: replace(endpoint, enabled=False)
        ),
        "draftquality": shipped.models["draftquality"].with_endpoints(
            lambda endpoint: replace(endpoint, enabled=True)
        ),
        "reverted": replace(shipped.models["reverted"], match={"page_namespace": 0}),
    }
    found = {
        (pair.wiki, pair.model): pair.verdict
        for pair in pairs(replace(shipped, models={**shipped.models, **of_models}))
    }
    assert found["enwiki", "damaging"] == "another kind of event"
    assert found["enwiki", "goodfaith"] == "switched off"
    assert found["enwiki", "draftquality"] == "new"
    assert found["bnwiki", "reverted"] == "served, by a rule of its own"
