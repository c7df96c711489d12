"""The whole graph on bounded input: every line ends as a score or a failure, each call is made once, and a
second run gives the same."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import orjson
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

import schemas
from pipeline.graph import score_revisions
from runners.simulated_lift_wing import scores as simulated_scores
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.events import ABSENT, ROOT, at, edit
from transforms.async_io.bundle_async import BundleAsync
from transforms.datasets.event_files import Files, find_files
from transforms.datasets.journal import entries, journals
from transforms.datasets.journal_sink import Journals
from transforms.models.model import Configuration
from transforms.models.selection import Selection

PAIRS = ROOT / "tests" / "data" / "real_pairs.jsonl"
EDITS = ROOT / "runners" / "data" / "edits_2023-01.jsonl.gz"

Call = tuple[str, str, int]  # model, wiki, revision

NO_REVISION = {"error": "no such revision"}


@dataclass
class Run:
    """What a run left behind."""

    scores: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    partitions: list[str]
    counters: dict[str, int]

    def scored(self) -> Counter[Call]:
        return Counter(
            (model, event["database"], event["rev_id"]) for event in self.scores for model in event["scores"]
        )


def run(configuration: Configuration, source: Path, folder: Path) -> Run:
    p = beam.Pipeline(FnApiRunner())
    score_revisions(
        p,
        configuration,
        Files(find_files(str(source), "eqiad").files),
        Journals(folder / "journals"),
        BundleAsync(),
    )
    result = p.run()
    result.wait_until_finish()
    failures, scores, partitions = [], [], []
    for partition, model, journal in journals(folder / "journals"):
        partitions.append(f"{partition}/{model}")
        for entry in entries(journal):
            schemas.validator(entry.body["$schema"])(entry.body)
            assert entry.failure or list(entry.body["scores"]) == [model]
            (failures if entry.failure else scores).append(dict(entry.body))
    counters = {
        f"{each.key.metric.namespace}/{each.key.metric.name}": each.committed
        for each in result.metrics().query()["counters"]
    }
    return Run(scores, failures, partitions, counters)


def lines(path: Path, content: Iterable[dict[str, Any] | bytes]) -> Path:
    path.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in content) + b"\n"
    )
    return path


def wanted(configuration: Configuration, events: Iterable[dict[str, Any]]) -> Counter[Call]:
    selection = Selection(configuration.models)
    return Counter(
        (endpoint.model, raw["database"], raw["rev_id"])
        for raw in events
        for endpoint in selection.endpoints(raw)
    )


def test_real_events_become_the_scores_that_ores_made_of_them(
    configuration: Configuration, lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    pairs = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    events = [pair["event"] for pair in pairs]
    found = run(configuration, lines(tmp_path / "in.jsonl", events), tmp_path)
    assert found.scored() == lift_wing.calls() == wanted(configuration, events)
    of_ores = Counter(
        (model, pair["score"]["database"], pair["score"]["rev_id"])
        for pair in pairs
        for model in pair["score"]["scores"]
    )
    # not on Lift Wing
    assert found.scored() == Counter(
        {call: count for call, count in of_ores.items() if call[0] != "pagelevel"}
    )
    assert found.failures == []
    by_revision = {(raw["database"], raw["rev_id"]): raw for raw in events}
    for event in found.scores:
        raw = by_revision[event["database"], event["rev_id"]]
        ((model, score),) = event["scores"].items()
        assert (event["dt"], event["page_title"], event["meta"]["stream"]) == (
            raw["rev_timestamp"],
            raw["page_title"],
            f"mediawiki.revision-score-{model}",
        )
        assert (
            score["probability"]
            == simulated_scores.score(event["database"], model, event["rev_id"])["probability"]
        )


def test_two_runs_give_the_same_but_for_the_time_of_writing(
    configuration: Configuration, lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    with gzip.open(EDITS) as edits:
        source = lines(
            tmp_path / "in.jsonl",
            [*(next(edits).rstrip() for _ in range(400)), b"nonsense", edit(database="nowiki2")],
        )
    lift_wing.control(mode="status", status=404, model="goodfaith", wiki="enwiki", body=NO_REVISION)
    first, second = (run(configuration, source, tmp_path / name) for name in ("first", "second"))
    assert set(lift_wing.calls().values()) == {2}
    assert len(first.failures) > 2
    assert timeless(first.scores) == timeless(second.scores)
    assert timeless(first.failures) == timeless(second.failures)


def timeless(events: list[dict[str, Any]]) -> list[bytes]:
    """All but `meta.dt`, and the `dt` of a failure, which is when it was noticed; sorted, as the order is
    Lift Wing's."""
    for event in events:
        del event["meta"]["dt"]
        if "message" in event:
            del event["dt"]
    return sorted(orjson.dumps(event) for event in events)


def test_every_line_has_its_fate(
    configuration: Configuration, lift_wing: SimulatedLiftWing, tmp_path: Path
) -> None:
    lift_wing.control(mode="status", status=400, rev_id=2, model="damaging")
    content: list[dict[str, Any] | bytes] = [
        edit(rev_id=1),  # three scores
        edit(rev_id=2),  # two, and a failure
        edit(rev_id=3, page_title=7),  # three failures
        edit(rev_id=4, database="commonswiki"),  # no model
        edit(rev_id=5, database="nowiki2"),  # nor here
        edit(rev_id="6"),
        edit(rev_id=7, **{"$schema": ABSENT, "meta": ABSENT}),
        edit(rev_id=7, meta={"id": "of no stream"}),
        edit(rev_id=8, **{"$schema": "/mediawiki/page/change/1.2.0"}),
        edit(rev_id=9, database=ABSENT),
        edit(rev_id=10, meta={"domain": "canary"}),
        b"[]",
        b"nonsense",
        b'{"$schema": "/mediawiki/revision/create/2.0.0", "rev_id": 11, "data',
    ]
    folder = tmp_path / "in" / "datacenter=codfw" / "year=2021" / "month=08" / "day=27" / "hour=13"
    folder.mkdir(parents=True)
    lines(folder / "a.jsonl", content)
    (folder / "b.jsonl").touch()  # the lister leaves it out
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(orjson.dumps(edit(rev_id=12)) + b"\n" * 99_999)[:-20])
    (folder / "d.parquet").write_bytes(b"PAR1, but no more")
    found = run(configuration, tmp_path / "in", tmp_path)
    partition = "datacenter=codfw/year=2021/month=8/day=27/hour=13"
    assert found.partitions == [
        f"{partition}/{model}" for model in (None, "articletopic", "damaging", "goodfaith")
    ]
    three = [("damaging", "enwiki"), ("goodfaith", "enwiki"), ("articletopic", "enwiki")]
    assert found.scored() == Counter(
        [
            *((*each, 1) for each in three),
            *((*each, 2) for each in three[1:]),
            *((*each, 12) for each in three),
        ]
    )
    assert Counter(event["error_type"] for event in found.failures) == {
        "ReadEvents": 7 + 2,
        "ScoreWithLiftWing/damaging": 1,
        "SelectModels/damaging": 1,
        "SelectModels/goodfaith": 1,
        "SelectModels/articletopic": 1,
    }
    originals = {event["raw_event"] for event in found.failures}
    assert originals >= {line.decode() for line in content if isinstance(line, bytes)}
    assert originals >= {str(folder / name) for name in ("c.jsonl.gz", "d.parquet")}
    assert {
        "ReadEvents/dropped_canary": 1,
        "ReadEvents/dropped_no_stream": 1,
        "SelectModels/dropped_no_model": 2,
    }.items() <= found.counters.items()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_requests_are_scores_and_failures(
    shipped: Configuration, lift_wing: SimulatedLiftWing, tmp_path: Path, seed: int
) -> None:
    """Whatever the events are and whatever Lift Wing does."""
    seeded = random.Random(seed)
    wikis = ["enwiki", "wikidatawiki", "viwiki", "frwiki", "commonswiki", "nowiki2"]
    good = [
        edit(
            rev_id=rev_id,
            database=seeded.choice(wikis),
            page_namespace=seeded.choice([0, 1]),
            rev_parent_id=seeded.choice([0, 1]),
            page_id=seeded.randrange(9),
        )
        for rev_id in range(200)
    ]
    bad = [
        seeded.choice([b"", b"{", b"[1]", b"7", b'{"rev_id": 1}', orjson.dumps(edit(rev_id=None))]) + b" "
        for _ in range(60)
    ]
    content: list[Any] = [*good, *bad]
    seeded.shuffle(content)
    for status in (400, 404, 422, 503, 500):
        body = {"body": NO_REVISION} if status == 404 else {}  # by itself it says that there is no such model
        lift_wing.control(
            mode="status", status=status, rev_id=seeded.randrange(200), times=seeded.choice([1, None]), **body
        )
    for mode in ("garbage", "empty", "other_revision", "drop"):
        lift_wing.control(mode=mode, rev_id=seeded.randrange(200), model=seeded.choice(["damaging", None]))
    found = run(
        at(shipped, lift_wing.url, timeout_s=1, max_age_s=1), lines(tmp_path / "in.jsonl", content), tmp_path
    )
    requests = wanted(shipped, good)
    assert set(lift_wing.calls()) == set(wanted(shipped, [event for event in good if event["page_id"]])), (
        "no score can say that a page is number 0"
    )
    failed: Counter[Call] = Counter()
    for failure in found.failures:
        if model := failure["error_type"].partition("/")[2]:
            original = orjson.loads(failure["raw_event"])
            failed[model, original["database"], original["rev_id"]] += 1
    assert found.scored() + failed == requests
    without_model = [failure["error_type"] for failure in found.failures if "/" not in failure["error_type"]]
    not_blank = [line for line in bad if not line.isspace()]
    assert Counter(without_model) == {"ReadEvents": len(not_blank)}
