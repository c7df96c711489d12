"""Whether the demo's stream and its files have the same scores, each asked of Lift Wing once by each way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import requests

from runners.played_edits import Key


@dataclass(frozen=True)
class Comparison:
    """What is wanted, what each way gave, and how often Lift Wing was asked for each score."""

    wanted: frozenset[Key]
    streamed: Mapping[Key, bytes]
    regenerated: Mapping[Key, bytes]
    calls: Mapping[Key, int]

    def problems(self) -> list[str]:
        """Returns what is not as it should be, each as a line."""
        return [*self._missing(), *self._too_many(), *self._different(), *self._calls()]

    def _ways(self) -> Iterator[tuple[str, Mapping[Key, bytes]]]:
        yield "the stream", self.streamed
        yield "the files", self.regenerated

    def _missing(self) -> Iterator[str]:
        for way, scores in self._ways():
            if missing := self.wanted - scores.keys():
                yield f"{len(missing)} scores are missing in {way}"

    def _too_many(self) -> Iterator[str]:
        for way, scores in self._ways():
            if too_many := scores.keys() - self.wanted:
                yield f"{len(too_many)} scores too many in {way}"

    def _different(self) -> Iterator[str]:
        different = [
            key
            for key in self.wanted & self.streamed.keys() & self.regenerated.keys()
            if self.streamed[key] != self.regenerated[key]
        ]
        if different:
            yield f"{len(different)} scores differ, the first: {different[0]}"

    def _calls(self) -> Iterator[str]:
        if self.calls.keys() != self.wanted or set(self.calls.values()) != {2}:
            yield (
                "Lift Wing was not asked exactly once by each way: "
                f"{Counter(self.calls.values())} calls a score"
            )


def calls_by_score(lift_wing: str) -> dict[Key, int]:
    """Returns how often the simulated Lift Wing at this address was asked for each score."""
    calls = requests.get(f"{lift_wing}/stats/revisions", timeout=30).json()
    return {
        (model, *_wiki_and_revision(revision)): count
        for model, of_model in calls.items()
        for revision, count in of_model.items()
    }


def _wiki_and_revision(revision: str) -> tuple[str, int]:
    wiki, _, rev_id = revision.partition(":")
    return wiki, int(rev_id)
