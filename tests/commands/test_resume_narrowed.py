"""What `--resume` and `--overwrite` do when less is asked for: other rules, other wikis or other input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.commands import rows
from tests.support.exports import ALL, GOODFAITH, Export, calls_of


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
