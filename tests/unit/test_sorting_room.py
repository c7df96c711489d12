"""How much a process sorts in memory at the same time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from transforms.datasets.sorting_room import SortingRoom

ROOM = 10


class Sorters:
    """Threads that sort at the same time, and the most bytes that they sorted together."""

    def __init__(self) -> None:
        self._room, self._lock = SortingRoom(ROOM), threading.Lock()
        self._bytes = self.most = 0

    def sort(self, size: int) -> None:
        with self._room.taken(size):
            self._add(size)
            time.sleep(0)  # another thread has its turn
            self._add(-size)

    def _add(self, size: int) -> None:
        with self._lock:
            self._bytes += size
            self.most = max(self.most, self._bytes)


@pytest.mark.parametrize(
    ("sizes", "most"),
    [
        pytest.param([1, 2, 3, 4], ROOM, id="what fits is sorted together, and no more"),
        pytest.param([6, 7], 7, id="two that do not fit together, one after the other"),
        pytest.param([0, 25], 25, id="one that is larger than the room, by itself"),
    ],
)
def test_threads_sort_together_what_fits(sizes: list[int], most: int) -> None:
    sorters = Sorters()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(sorters.sort, sizes * 500))

    assert sorters.most <= most


def test_one_that_fails_gives_its_room_back() -> None:
    room = SortingRoom(ROOM)

    with pytest.raises(OSError, match="disk"), room.taken(ROOM):
        raise OSError("the disk is full")

    with room.taken(ROOM):
        pass  # would wait for ever
