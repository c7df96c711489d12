"""The report of a batch run: it says what the datasets hold, and needs nothing but itself."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import HOURS, hourly, run


class Cells(HTMLParser):
    """The cells of all rows, and what every attribute says."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.rows.append([])

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


@pytest.mark.parametrize("resumed", [False, True])
def test_the_report_says_what_the_datasets_hold(
    lift_wing: SimulatedLiftWing, tmp_path: Path, resumed: bool
) -> None:
    hourly(tmp_path / "in")
    lift_wing.control(
        mode="status",
        status=400,
        model="goodfaith",
        wiki="frwiki",
        body={"error": "no <b>revision</b> 1234567"},
    )
    done = run(lift_wing, tmp_path)
    if resumed:
        done = run(lift_wing, tmp_path, "--resume")
    assert done.stdout.splitlines()[-1] == f"report: {tmp_path}/out/_report.html"
    text = (tmp_path / "out" / "_report.html").read_text(encoding="utf-8")
    page = Cells()
    page.feed(text)
    calls = Counter((model, wiki) for model, wiki, _ in lift_wing.calls())
    failed = calls["goodfaith", "frwiki"]
    of_models = {row[0]: row[1:4] for row in page.rows if len(row) == 8 and row[0] != "model"}
    for model in {model for model, _ in calls}:
        wikis = [wiki for of_model, wiki in calls if of_model == model]
        here = sum(calls[model, wiki] for wiki in wikis)
        wanted = [here - failed, failed, len(wikis) - 1] if model == "goodfaith" else [here, 0, len(wikis)]
        assert of_models[model] == [f"{count:,}" for count in wanted]
    by_wiki: Counter[str] = Counter()
    for (_, wiki), count in calls.items():
        by_wiki[wiki] += count
    (most, count), *_ = by_wiki.most_common(1)
    assert [most, f"{count:,}", ""] in page.rows
    assert ["400: no <b>revision</b> N", str(failed), ""] in page.rows
    assert [row[0] for row in page.rows if row and row[0].startswith("datacenter=")] == HOURS
    assert not re.search(r"https?://(?!127\.0\.0\.1)|<script|<link|@import", text), "nothing from outside"
    assert not [value for name, value in page.attributes if name in ("src", "href")]


def test_what_is_unfinished_is_in_it(lift_wing: SimulatedLiftWing, tmp_path: Path) -> None:
    source = hourly(tmp_path / "in")
    (source / HOURS[1] / "part-1.parquet").write_bytes(b"this is none")
    assert run(lift_wing, tmp_path, "--only", "damaging").returncode == 1
    page = Cells()
    page.feed((tmp_path / "out" / "_report.html").read_text(encoding="utf-8"))
    (row,) = [
        row for row in page.rows if len(row) == 3 and row[:2] == ["all", "of which a file could not be read"]
    ]
    assert row[2].startswith(f"{source}/{HOURS[1]}/part-1.parquet: cannot be read after 0 events: ")
