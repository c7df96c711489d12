"""What is kept of the datasets for good, by allowlists in refinery's format."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import schemas
from pipeline.main import main
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import DAMAGING, command, events_file, wrong_use
from tests.support.events import edit
from transforms.datasets.row_masks import mask_of_table

COLUMNS = schemas.arrow_schema(schemas.REVISION_SCORE)
ROW: dict[str, Any] = {
    "$schema": schemas.REVISION_SCORE,
    "meta": {"id": "1", "domain": "en.wikipedia.org"},
    "database": "enwiki",
    "rev_id": 7,
    "performer": {"user_text": "Simurghistan", "user_groups": ["user"], "user_id": 5},
    "scores": {
        "damaging": {
            "model_name": "damaging",
            "model_version": "1",
            "prediction": ["true"],
            "probability": {"true": 0.75, "false": 0.25},
        },
    },
}


def kept(told: Any, salt: bytes | None = None, **more: Any) -> Any:
    mask = mask_of_table({"scores_of_a_model": told, **more}, "scores_of_a_model", COLUMNS, salt)
    return mask(ROW) if mask else None


def test_a_table_that_is_not_listed_is_not_kept() -> None:
    assert mask_of_table({"another": "keep_all"}, "scores_of_a_model", COLUMNS, None) is None


def test_a_table_is_kept_whole_or_by_its_columns() -> None:
    assert kept("keep_all") == ROW
    assert kept({"rev_id": "keep", "_schema": "keep", "page_id": "keep"}) == {
        "rev_id": 7,
        "$schema": schemas.REVISION_SCORE,
    }
    assert kept({"performer": "keep_all"}) == {"performer": ROW["performer"]}


def test_structs_and_maps_are_kept_by_their_fields() -> None:
    assert kept({"performer": {"user_id": "keep", "user_groups": "keep"}}) == {
        "performer": {"user_id": 5, "user_groups": ["user"]}
    }
    assert kept({"scores": {"damaging": {"probability": {"true": "keep"}}, "goodfaith": "keep_all"}}) == {
        "scores": {"damaging": {"probability": {"true": 0.75}}}
    }


def test_a_hash_is_as_refinery_writes_it() -> None:
    expected = hmac.new(b"salt", b"Simurghistan", hashlib.sha256).hexdigest().upper()
    assert kept({"performer": {"user_text": "hash"}}, b"salt") == {"performer": {"user_text": expected}}


def test_defaults_hold_where_a_listed_table_says_nothing_else() -> None:
    defaults = {"rev_id": "keep", "meta": {"id": "keep"}, "recvFrom": "keep"}
    assert kept({"database": "keep", "meta": {"domain": "keep"}}, __defaults__=defaults) == {
        "database": "enwiki",
        "rev_id": 7,
        "meta": {"id": "1", "domain": "en.wikipedia.org"},
    }
    assert kept({"meta": "keep_all"}, __defaults__=defaults) == {"meta": ROW["meta"], "rev_id": 7}


def test_what_does_not_fit_the_columns_is_named_all_at_once() -> None:
    wrong = {
        "performer": "keep",
        "rev_id": "hash",
        "database": "hash",
        "dt": "keep_all",
        "scores": {"damaging": "keep"},
        "page_id": {"a": "keep"},
    }
    with pytest.raises(ValueError, match="performer") as error:
        kept(wrong)
    assert sorted(str(error.value).splitlines()) == [
        "scores_of_a_model.database: hash needs a salt; say --salt FILE",
        "scores_of_a_model.dt: it is string; expected keep or hash, got 'keep_all'",
        "scores_of_a_model.page_id: it is bigint; expected keep, got {'a': 'keep'}",
        "scores_of_a_model.performer: it is a struct; expected keep_all or a mapping, got 'keep'",
        "scores_of_a_model.rev_id: it is bigint; expected keep, got 'hash'",
        "scores_of_a_model.scores.damaging: it is a struct; expected keep_all or a mapping, got 'keep'",
    ]


@pytest.fixture
def root(lift_wing: SimulatedLiftWing, tmp_path: Path) -> Path:
    source = events_file(tmp_path / "in.jsonl", *(edit(rev_id=rev_id) for rev_id in range(5)))
    done = command(
        "regenerate",
        "--input",
        source,
        "--output",
        tmp_path / "event",
        "--lift-wing",
        lift_wing.url,
        "--only",
        "damaging,goodfaith",
    )
    assert done.returncode == 0
    return tmp_path / "event"


def test_the_shipped_list_keeps_the_tables_and_a_second_run_has_nothing_to_do(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sanitized = tmp_path / "event_sanitized"
    assert main(["sanitize", str(root), "--output", str(sanitized), "--only", "damaging"]) == 0
    assert capsys.readouterr().out == f"{DAMAGING}: 1 partition written, 1 in all\n"
    (before,), (after,) = (list((place / DAMAGING).rglob("part-*")) for place in (root, sanitized))
    assert before.parent.relative_to(root) == after.parent.relative_to(sanitized)
    assert pq.read_table(before) == pq.read_table(after)
    assert main(["sanitize", str(root), "--output", str(sanitized), "--only", "damaging"]) == 0
    assert capsys.readouterr().out == f"{DAMAGING}: 0 partitions written, 1 in all\n"
    assert not list(tmp_path.glob(".event_sanitized*"))


def test_a_list_of_ones_own_leaves_nulls_in_the_columns_of_the_table(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    allowlist = tmp_path / "allowlist.yaml"
    allowlist.write_text(f"{DAMAGING}:\n  rev_id: keep\n  performer: {{user_text: hash}}\n", encoding="utf-8")
    (tmp_path / "salt").write_text("salt\n", encoding="utf-8")
    sanitized = tmp_path / "event_sanitized"
    where = [
        "sanitize",
        str(root),
        "--output",
        str(sanitized),
        "--allowlist",
        str(allowlist),
        "--only",
        "damaging,goodfaith",
    ]
    assert main([*where, "--salt", str(tmp_path / "salt")]) == 0
    assert (
        "mediawiki_revision_score_goodfaith: not in the allowlist, so nothing of it is kept\n"
        in capsys.readouterr().out
    )
    assert [path.name for path in sanitized.iterdir()] == [DAMAGING]
    table = pq.read_table(sanitized / DAMAGING, partitioning=None)
    assert table.schema == COLUMNS
    assert table["rev_id"].to_pylist() == list(range(5))
    assert {len(row["user_text"]) for row in table["performer"].to_pylist()} == {64}
    assert all(
        column.null_count == 5
        for name, column in zip(COLUMNS.names, table.columns, strict=True)
        if name not in ("rev_id", "performer")
    )
    allowlist.write_text(f"{DAMAGING}:\n  rev_id: keep\n", encoding="utf-8")
    assert main(where) == 0
    assert f"{DAMAGING}: 1 partition written" in capsys.readouterr().out


def test_wrong_lists_are_told(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    allowlist = tmp_path / "allowlist.yaml"
    allowlist.write_text(f"{DAMAGING}: keep\nanother:\n  a: throw_away\n", encoding="utf-8")
    assert wrong_use("sanitize", root, "--output", tmp_path / "out", "--allowlist", allowlist) == 2
    assert capsys.readouterr().err == (
        f"revision-scores sanitize: --allowlist: {allowlist}: {DAMAGING}: expected keep_all or a mapping "
        "of its columns, got 'keep'\n"
        "another.a: expected keep, keep_all, hash or a mapping, got 'throw_away'\n"
    )
    assert wrong_use("sanitize", root, "--output", root) == 2
    assert "is where the datasets are; name another directory" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_written(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (part,) = (root / DAMAGING).rglob("part-*")
    whole = part.stat().st_size
    part.write_bytes(part.read_bytes()[:100])
    assert (
        main(["sanitize", str(root), "--output", str(tmp_path / "out"), "--only", "damaging,goodfaith"]) == 1
    )
    said = capsys.readouterr().out
    assert (
        f"{DAMAGING}: {part}: expected {whole} bytes, as _manifest.json says, got 100 bytes; repair it and "
        "run this again" in said
    )
    assert "mediawiki_revision_score_goodfaith: 1 partition written, 1 in all" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mediawiki_revision_score_goodfaith"]
