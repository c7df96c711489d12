"""Whatever a message holds, it ends once, and no step ends with it."""

from __future__ import annotations

import pytest

from tests.fuzz.events import Fuzzer
from tests.fuzz.steps import run


def test_the_same_seed_gives_the_same_messages() -> None:
    assert list(Fuzzer(7).messages(50)) == list(Fuzzer(7).messages(50)) != list(Fuzzer(8).messages(50))


@pytest.mark.parametrize("seed", [1, 2])
def test_each_message_ends_once(seed: int) -> None:
    ended = run(1_000, seed)
    assert ended["unforeseen"] == 0
    kinds = (
        "score",
        "failure of ReadEvents",
        "canary event",
        "no meta.stream",
        "no model wants it",
        "combined",
    )
    assert [kind for kind in kinds if ended[kind] < 10] == []
