"""An export of events, its datasets, and what `regenerate` and `audit` do over both."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

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
Call = tuple[str, str, int]  # model, wiki and revision


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


ALL = calls_of("enwiki", 1, 2, 3, 4, 5, 11, 12, 13)  # what an export asks for
