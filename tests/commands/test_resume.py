"""What `--resume` and `--overwrite` do after each thing that can have changed: what is asked is exactly what
is missing, by the count of Lift Wing itself."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.support.commands import DAMAGING, ERRORS, events_file, rows
from tests.support.events import edit
from tests.support.exports import ALL, GOODFAITH, HOURS, Call, Export, calls_of


def replace_input(export: Export) -> set[Call]:
    export.write(0, 1, 2, 3, 4, 5, 6, 7)
    return calls_of("enwiki", 6, 7)


def add_input(export: Export) -> set[Call]:
    export.write(0, 8, 9, name="part-1.jsonl")
    return calls_of("enwiki", 8, 9)


def add_wiki(export: Export) -> set[Call]:
    """The events of the other wiki were there from the beginning."""
    export.set_models(wikis="[enwiki, frwiki]")
    return calls_of("frwiki", 101, 102, models=("damaging",))


def switch_on(export: Export) -> set[Call]:
    export.set_models(wikis="{enwiki: {}, frwiki: {enabled: true}}")
    return calls_of("frwiki", 101, 102, models=("damaging",))


def widen_rule(export: Export) -> set[Call]:
    export.set_models()
    return calls_of("enwiki", 1, 3, 5, 11, 13, models=("damaging",))


def answer(export: Export) -> set[Call]:
    export.lift_wing.clear()
    return calls_of("enwiki", 1, 2, 3, 4, 5, 11, 12, 13, models=("goodfaith",))


def empty_manifest(export: Export) -> set[Call]:
    export.manifest().write_bytes(b"")
    return set()


def remove_manifest(export: Export) -> set[Call]:
    export.manifest().unlink()
    return set()


def manifest_of_before(export: Export) -> set[Call]:
    """As 0.1 wrote it."""
    told = orjson.loads(export.manifest().read_bytes())
    old = {
        name: told[name]
        for name in (
            "model",
            "partition",
            "run",
            "files",
            "rows",
            "failures",
            "rule",
            "model_versions",
            "predictions",
            "probability",
            "written",
        )
    }
    export.manifest().write_bytes(
        orjson.dumps({**old, "wikis": told["rows_by_wiki"], "input": told["inputs"]})
    )
    return set()


def cut_part(export: Export) -> set[Call]:
    part = export.part()
    part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    return calls_of("enwiki", 1, 2, 3, 4, 5, models=("damaging",))


def remove_part(export: Export) -> set[Call]:
    export.part().unlink()
    return calls_of("enwiki", 1, 2, 3, 4, 5, models=("damaging",))


def remove_partition(export: Export) -> set[Call]:
    shutil.rmtree(export.out / GOODFAITH / HOURS[1])
    return calls_of("enwiki", 11, 12, 13, models=("goodfaith",))


def change_nothing(export: Export) -> set[Call]:
    return set()


@pytest.mark.parametrize(
    ("change", "before"),
    [
        (change_nothing, {}),
        (replace_input, {}),
        (add_input, {}),
        (add_wiki, {}),
        (switch_on, {"wikis": "{enwiki: {}, frwiki: {enabled: false}}"}),
        (widen_rule, {"match": "{page_namespace: 0}"}),
        (
            answer,
            {
                "fault": {
                    "mode": "status",
                    "status": 404,
                    "model": "goodfaith",
                    "body": {"error": "Missing resource for rev-id 1: RevisionNotFound"},
                }
            },
        ),
        (empty_manifest, {}),
        (remove_manifest, {}),
        (manifest_of_before, {}),
        (cut_part, {}),
        (remove_part, {}),
        (remove_partition, {}),
    ],
)
def test_resume_asks_for_exactly_what_is_missing(
    export: Export, change: Callable[[Export], set[Call]], before: dict[str, Any]
) -> None:
    export.write(0, 101, 102, name="part-fr.jsonl", database="frwiki")
    if fault := before.pop("fault", None):
        export.lift_wing.control(**fault)
    export.set_models(**before)
    first = export.regenerate()
    assert set(first.asked.values()) == {1}, first.said
    missing = change(export)
    code, said = export.audit()
    again = export.regenerate("--resume")
    assert again.asked == Counter(missing)
    assert again.code == 0
    assert export.scores() == set(first.asked) | missing
    assert export.audit()[0] == 0
    assert code == (
        1 if missing or "manifest" in change.__name__ and "before" not in change.__name__ else 0
    ), said
    assert export.regenerate("--resume").asked == Counter()


def test_a_new_version_of_a_model_asks_for_nothing_until_an_audit_finds_what_is_older(export: Export) -> None:
    assert export.regenerate().code == 0
    for rev_id in (*range(1, 7), 11, 12, 13):
        scored = {
            str(rev_id): {
                "damaging": {"score": {"prediction": False, "probability": {"true": 0.25, "false": 0.75}}}
            }
        }
        body = {"enwiki": {"models": {"damaging": {"version": "9.9.9"}}, "scores": scored}}
        export.lift_wing.control(mode="status", status=200, model="damaging", rev_id=rev_id, body=body)
    assert export.regenerate("--resume").asked == Counter()
    export.write(0, 6, name="part-1.jsonl")
    assert export.regenerate("--resume").asked == Counter(calls_of("enwiki", 6))
    holes = str(export.folder / "holes.jsonl")
    code, said = export.audit("--list", holes)
    assert (
        code,
        [line.split()[2:6] for line in said.splitlines() if line.split()[:2] == ["damaging", "enwiki"]],
    ) == (1, [["9", "0", "0", "8"]]), said
    assert export.regenerate("--missing", holes).asked == Counter(
        calls_of("enwiki", 1, 2, 3, 4, 5, 11, 12, 13, models=("damaging",))
    )
    assert export.audit()[0] == 0
    assert export.regenerate("--resume").asked == Counter()


def test_what_failed_for_good_is_asked_again_each_time_and_nothing_else(export: Export) -> None:
    gone = calls_of("enwiki", 3, 12)
    export.lift_wing.control(
        mode="status", status=404, rev_id=3, body={"error": "Missing resource for rev-id 3: RevisionNotFound"}
    )
    export.lift_wing.control(
        mode="status",
        status=404,
        rev_id=12,
        body={"error": "Missing resource for rev-id 12: RevisionNotFound"},
    )
    assert export.regenerate().code == 1
    for _ in range(2):
        done = export.regenerate("--resume")
        assert (done.code, done.asked) == (1, Counter(gone))
        failures = [
            row["raw_event"]
            for place, of_place in rows(export.out).items()
            if place.startswith(ERRORS)
            for row in of_place
        ]
        assert Counter(orjson.loads(text)["rev_id"] for text in failures) == {3: 2, 12: 2}
    assert export.regenerate("--resume", "--wikis", "frwiki", "--only", "damaging").asked == Counter(), (
        "they are of another wiki"
    )
    manifest = orjson.loads(export.manifest().read_bytes())
    assert [(score["wiki"], score["rev_id"]) for score in manifest["missing"]] == [("enwiki", 3)]
    assert [line.split()[2:6] for line in export.audit()[1].splitlines() if " enwiki " in line] == [
        ["8", "0", "2", "0"]
    ] * 2


def test_a_table_keeps_its_format(export: Export, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.regenerate("--format", "avro", "--only", "damaging").code == 0
    assert set(export.regenerate("--resume").asked) == {call for call in ALL if call[0] == "goodfaith"}
    export.write(0, 6, name="part-1.jsonl")
    export.regenerate("--resume")
    assert {path.suffix for path in (export.out / DAMAGING).rglob("part-*")} == {".avro"}
    assert export.scores() == ALL | calls_of("enwiki", 6)
    assert export.regenerate("--resume", "--format", "parquet").code == 2


def test_without_hive_layout_other_models_and_hours_are_left_alone(export: Export) -> None:
    heap = events_file(
        export.folder / "heap.jsonl",
        *(edit(rev_id=rev_id) for rev_id in (1, 2)),
        edit(rev_id=3, dt="2022-01-01T00:00:00Z"),
    )
    export.source = heap
    export.set_models(max_age=5)
    export.lift_wing.control(mode="status", status=503, model="damaging", rev_id=2)
    export.lift_wing.control(mode="status", status=503, model="goodfaith", rev_id=3)
    assert export.regenerate().code == 1
    export.lift_wing.clear()
    assert export.regenerate("--resume", "--only", "damaging").asked == Counter(
        {("damaging", "enwiki", 2): 1}
    )
    assert export.regenerate("--resume", "--only", "goodfaith").asked == Counter(
        {("goodfaith", "enwiki", 3): 1}
    )
    assert export.regenerate("--resume").asked == Counter()
    assert export.scores() == calls_of("enwiki", 1, 2, 3)
