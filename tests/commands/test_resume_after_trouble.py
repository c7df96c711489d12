"""What `--resume` does after input that cannot be read, damaged journals, and models that refuse."""

from __future__ import annotations

from collections import Counter

import orjson

from tests.support.exports import ALL, HOURS, Export, calls_of


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


def test_when_all_models_refuse_the_run_ends_with_a_line(export: Export) -> None:
    export.lift_wing.control(mode="status", status=403, body={"error": "not for you"})
    done = export.regenerate()
    assert done.code == 1
    assert "\nno model that was asked gave a score, so nothing more was asked: 403" in done.said
    assert "4 partitions are not written" in done.said
    export.lift_wing.clear()
    done = export.regenerate("--resume")
    assert (done.code, set(done.asked)) == (0, ALL)
