"""What `--resume` and `--overwrite` do after each thing that can have changed: what is asked is exactly what
is missing, by the count of Lift Wing itself."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from pipeline.main import main
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import DAMAGING, ERRORS, events_file, rows
from tests.support.events import edit
from transforms.datasets.manifests import MANIFEST

GOODFAITH = "mediawiki_revision_score_goodfaith"
HOURS = [f"datacenter=eqiad/year=2024/month=2/day=5/hour={hour}" for hour in range(2)]
MODELS = """\
lift_wing: {{url: "{url}", timeout_s: 60, max_age_s: {max_age}}}
streams: {{score: "mediawiki.revision-score-{{model}}", failure: mediawiki.revision-score.error}}
models:
  damaging: {{namespace: revscoring-editquality-damaging, wikis: {wikis}{match}}}
  goodfaith: {{namespace: revscoring-editquality-goodfaith, wikis: [enwiki]}}
"""
Call = tuple[str, str, int]


def calls_of(wiki: str, *rev_ids: int, models: tuple[str, ...] = ("damaging", "goodfaith")) -> set[Call]:
    return {(model, wiki, rev_id) for model in models for rev_id in rev_ids}


class Ran(NamedTuple):
    code: int
    said: str
    asked: Counter[Call]


class Export:
    """An export of two hours, its datasets, and the commands over both."""

    def __init__(
        self, folder: Path, lift_wing: SimulatedLiftWing, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.lift_wing, self._capsys = folder, lift_wing, capsys
        self.source, self.out = folder / "in", folder / "out"
        self.write(0, *range(1, 6))
        self.write(1, *range(11, 14))
        self.set_models()

    def write(self, hour: int, *rev_ids: int, name: str = "part-0.jsonl", **changes: Any) -> Path:
        (self.source / HOURS[hour]).mkdir(parents=True, exist_ok=True)
        events = [
            edit(rev_id=rev_id, dt=f"2024-02-05T0{hour}:30:00Z", page_namespace=rev_id % 2, **changes)
            for rev_id in rev_ids
        ]
        return events_file(self.source / HOURS[hour] / name, *events)

    def set_models(self, wikis: str = "[enwiki]", match: str = "", max_age: int = 300) -> None:
        (self.folder / "models.yaml").write_text(
            MODELS.format(
                url=self.lift_wing.url, wikis=wikis, match=match and f", match: {match}", max_age=max_age
            ),
            encoding="utf-8",
        )

    def regenerate(self, *options: str) -> Ran:
        before = Counter(self.lift_wing.calls())
        code = self._main("regenerate", "--input", str(self.source), "--output", str(self.out), *options)
        return Ran(code, self._capsys.readouterr().out, Counter(self.lift_wing.calls()) - before)

    def audit(self, *options: str) -> tuple[int, str]:
        code = self._main("audit", "--input", str(self.source), "--scores", str(self.out), *options)
        return code, self._capsys.readouterr().out

    def _main(self, command: str, *arguments: str) -> int:
        return main([command, "--models", str(self.folder / "models.yaml"), *arguments])

    def scores(self) -> set[Call]:
        found = Counter(
            (place.split("/")[0].rpartition("_")[2], row["database"], row["rev_id"])
            for place, of_place in rows(self.out).items()
            for row in of_place
            if not place.startswith(ERRORS)
        )
        assert set(found.values()) <= {1}
        return set(found)

    def manifest(self, table: str = DAMAGING, hour: int = 0) -> Path:
        return self.out / table / HOURS[hour] / MANIFEST

    def part(self, table: str = DAMAGING, hour: int = 0) -> Path:
        (part,) = (self.out / table / HOURS[hour]).glob("part-*")
        return part


@pytest.fixture
def export(lift_wing: SimulatedLiftWing, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Export:
    return Export(tmp_path, lift_wing, capsys)


ALL = calls_of("enwiki", 1, 2, 3, 4, 5, 11, 12, 13)


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


def narrow_rule(export: Export) -> dict[str, int]:
    export.set_models(match="{page_namespace: 0}")
    return {"damaging": 5}


def narrow_wikis(export: Export) -> dict[str, int]:
    export.set_models(wikis="[frwiki]")
    return {"damaging": 8}


def narrow_input(export: Export) -> dict[str, int]:
    export.write(0, 1, 2)
    return {"damaging": 3, "goodfaith": 3}


@pytest.mark.parametrize("change", [narrow_rule, narrow_wikis, narrow_input])
def test_what_nothing_asks_for_any_more_stays_and_is_named_until_it_is_overwritten(
    export: Export, change: Callable[[Export], dict[str, int]]
) -> None:
    assert export.regenerate().code == 0
    unwanted = change(export)
    for _ in range(2):
        done = export.regenerate("--resume")
        assert (done.code, done.asked) == (0, Counter())
        assert export.scores() == ALL
        _, _, named = done.said.partition(
            "kept that the input, the rules and the wikis do not ask for any more; --overwrite "
            "removes them:\n"
        )
        assert {
            line.split()[1]: int(line.split()[0]) for line in named.splitlines()[: len(unwanted)]
        } == unwanted
    code, said = export.audit()
    assert (
        code,
        *(
            f"{count} rows of {model} that nothing asks for any more" in said
            for model, count in unwanted.items()
        ),
    ) == (0, *(True for _ in unwanted))
    done = export.regenerate("--overwrite")
    assert export.scores() == set(done.asked)
    assert "kept that" not in done.said


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


def test_wikis_one_after_the_other_and_one_again(export: Export) -> None:
    export.set_models(wikis="[enwiki, frwiki]")
    export.write(0, 101, 102, 103, name="part-fr.jsonl", database="frwiki")
    export.lift_wing.control(
        mode="status", status=404, rev_id=5, body={"error": "Missing resource for rev-id 5: RevisionNotFound"}
    )
    export.lift_wing.control(
        mode="status",
        status=404,
        rev_id=103,
        body={"error": "Missing resource for rev-id 103: RevisionNotFound"},
    )
    fr = calls_of("frwiki", 101, 102, 103, models=("damaging",))
    failed = calls_of("enwiki", 5) | calls_of("frwiki", 103, models=("damaging",))
    assert set(export.regenerate("--wikis", "enwiki").asked) == ALL
    assert set(export.regenerate("--wikis", "frwiki", "--resume").asked) == fr
    assert set(export.regenerate("--resume").asked) == failed
    before = {
        place: [row for row in of_place if row.get("database") != "frwiki"]
        for place, of_place in rows(export.out).items()
        if place.startswith("mediawiki")
    }
    assert export.scores() == (ALL | fr) - failed
    assert set(export.regenerate("--overwrite", "--wikis", "frwiki").asked) == fr
    assert {
        place: [row for row in of_place if row.get("database") != "frwiki"]
        for place, of_place in rows(export.out).items()
    } == before
    assert export.scores() == (ALL | fr) - failed
    files = {path: path.read_bytes() for path in (export.out / GOODFAITH).rglob("*") if path.is_file()}
    assert set(export.regenerate("--overwrite", "--only", "damaging").asked) == {
        call for call in ALL | fr if call[0] == "damaging"
    }
    assert {
        path: path.read_bytes() for path in (export.out / GOODFAITH).rglob("*") if path.is_file()
    } == files
    assert set(export.regenerate("--resume").asked) == failed


def test_another_input_under_some_wikis_is_no_claim_for_the_others(export: Export) -> None:
    export.set_models(wikis="[enwiki, frwiki]")
    export.write(0, 101, name="part-fr.jsonl", database="frwiki")
    export.regenerate()
    export.write(0, 6, name="part-1.jsonl")
    export.write(0, 102, name="part-fr-1.jsonl", database="frwiki")
    assert set(export.regenerate("--resume", "--wikis", "frwiki").asked) == calls_of(
        "frwiki", 102, models=("damaging",)
    )
    assert set(export.regenerate("--resume").asked) == calls_of("enwiki", 6)


def test_a_file_that_cannot_be_read_is_named_until_it_can_and_what_others_hold_is_scored(
    export: Export,
) -> None:
    cut = export.source / HOURS[0] / "part-1.parquet"
    cut.write_bytes(b"PAR1 and no more")
    done = export.regenerate()
    assert (done.code, set(done.asked), export.scores()) == (1, ALL, ALL)
    assert (
        "1 file could not be read; the partitions have what the others hold, and --resume tries again:\n  "
        f"        {cut}: cannot be read" in done.said
    )
    for _ in range(2):
        done = export.regenerate("--resume")
        assert (done.code, done.asked) == (1, Counter())
        assert f"{cut}: cannot be read" in done.said
    code, said = export.audit()
    assert (code, f"{cut}: cannot be read" in said) == (1, True)
    cut.unlink()
    export.write(0, 6, name="part-1.jsonl")
    done = export.regenerate("--resume")
    assert (done.code, set(done.asked)) == (0, calls_of("enwiki", 6))
    assert export.audit()[0] == 0


def test_rows_that_are_no_events_are_failures_of_every_run(export: Export) -> None:
    (export.source / HOURS[0] / "part-1.jsonl").write_bytes(b"no event\n")
    for options in ([], ["--resume"], ["--resume"]):
        done = export.regenerate(*options)
        assert (
            done.code,
            "\n1 failure, with its" in done.said or "\n1 failure, with their" in done.said,
        ) == (1, True)
    assert export.audit()[0] == 1


def test_journals_and_notes_that_are_damaged_cost_only_what_they_said(export: Export) -> None:
    export.set_models(max_age=5)
    export.lift_wing.control(mode="status", status=503, model="goodfaith", rev_id=13)
    assert export.regenerate().code == 1
    for journal in (export.out / ".working" / "journals").rglob("goodfaith/*.jsonl"):
        if scores := [
            line
            for line in journal.read_bytes().splitlines(keepends=True)
            if line.endswith(b",false,false]\n")
        ]:
            break
    assert len(scores) == 2
    journal.write_bytes(scores[0] + b"\0" * 40 + scores[1] + b"[]\n" + b'{"a": 1}\n' + b"\xff\n" + b"\0" * 40)
    (export.out / ".working" / "run.json").write_bytes(b"")
    export.lift_wing.clear()
    done = export.regenerate("--resume")
    assert done.code == 0
    assert "5 lines of what was answered before cannot be read, and is asked for again\n" in done.said
    lost = orjson.loads(scores[1])[0]["rev_id"]
    assert done.asked == Counter(calls_of("enwiki", lost, 13, models=("goodfaith",)))
    assert export.scores() == ALL


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


def test_when_all_models_refuse_the_run_ends_with_a_line(export: Export) -> None:
    export.lift_wing.control(mode="status", status=403, body={"error": "not for you"})
    done = export.regenerate()
    assert done.code == 1
    assert "\nno model that was asked gave a score, so nothing more was asked: 403" in done.said
    assert "4 partitions are not written" in done.said
    export.lift_wing.clear()
    done = export.regenerate("--resume")
    assert (done.code, set(done.asked)) == (0, ALL)
