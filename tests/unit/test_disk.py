"""What is said of a disk that has little room."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.process.disk import Room, room_at

GB = 1_000_000_000
HERE = Path("/srv/state")


@pytest.mark.parametrize(
    ("free", "size", "free_inodes", "inodes", "too_small", "nearly_full"),
    [
        (50 * GB, 100 * GB, 0, 0, False, False),
        (50 * GB, 100 * GB, 900_000, 1_000_000, False, False),
        (50 * GB, 1_000 * GB, 0, 0, False, False),  # a small share, and yet a lot
        (1 * GB, 100 * GB, 0, 0, False, True),
        (1 * GB, 10 * GB, 0, 0, False, False),
        (GB // 20, 100 * GB, 0, 0, True, True),
        (50 * GB, 100 * GB, 999, 1_000_000, True, True),
        (50 * GB, 100 * GB, 40_000, 1_000_000, False, True),
    ],
)
def test_a_disk_is_too_small_or_nearly_full(
    free: int, size: int, free_inodes: int, inodes: int, too_small: bool, nearly_full: bool
) -> None:
    room = Room(HERE, free, size, free_inodes, inodes)
    assert (room.is_too_small, room.is_nearly_full) == (too_small, nearly_full)


def test_room_is_told_with_inodes_only_where_they_are_few() -> None:
    assert (
        str(Room(HERE, 1_500_000, 100 * GB, 500_000, 1_000_000))
        == "1.5 MB of 100.0 GB are free at /srv/state"
    )
    assert (
        str(Room(HERE, 2 * GB, 4 * GB, 7, 1_000_000))
        == "2.0 GB of 4.0 GB and 7 of 1,000,000 inodes are free at /srv/state"
    )


def test_a_folder_that_is_not_there_yet_has_the_room_of_the_one_above(tmp_path: Path) -> None:
    assert room_at(tmp_path / "not" / "yet").bytes == room_at(tmp_path).bytes > 0
