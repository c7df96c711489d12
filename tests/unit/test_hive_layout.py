"""Paths of Hive partitions."""

from __future__ import annotations

import pytest

from schemas.hive_layout import datacenter_of, partition_at, partition_of, wrong_key_in

PARTITION = "datacenter=eqiad/year=2024/month=2/day=5/hour=0"


@pytest.mark.parametrize(
    "path",
    [
        f"/event/mediawiki_revision_create/{PARTITION}/part-0.parquet",
        "event/datacenter=eqiad/year=2024/month=02/day=05/hour=00/part-0.parquet",
        "datacenter=eqiad/extra/year=2024/month=2/day=5/other=1/hour=0/x",
        "hour=0/day=5/month=2/year=2024/datacenter=eqiad/x",
        "/raw/event/eqiad.mediawiki.revision-create/year=2024/month=02/day=05/hour=00/part.task_0.txt.gz",
        "eqiad.mediawiki.revision-create/year=2024/month=2/day=5/hour=0/hour=3",
    ],
)
def test_a_path_names_its_partition(path: str) -> None:
    assert partition_of(path) == PARTITION


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/event/part-0.parquet",
        "/event/datacenter=eqiad/year=2024/month=2/day=5/part-0.parquet",
        "/event/year=2024/month=2/day=5/hour=0/part-0.parquet",
        "/event/datacenter=eqiad/year=2024/month=2/day=5/hour=0",
        "/event/datacenter=eqiad/year=2024/month=2/day=5/hour=24/x",
        "/event/datacenter=eqiad/year=2024/month=2/day=30/hour=0/x",
        "/event/datacenter=eqiad/year=2024/month=feb/day=5/hour=0/x",
        "/event/datacenter=eqiad/year=2024/month=-2/day=5/hour=0/x",
        "/event/datacenter=/year=2024/month=2/day=5/hour=0/x",
        "/event/datacenter=..%2Feqiad/year=2024/month=2/day=5/hour=0/x",
        "/event/datacenter=__HIVE_DEFAULT_PARTITION__/year=2024/month=2/day=5/hour=0/x",
    ],
)
def test_a_path_that_names_none(path: str) -> None:
    assert partition_of(path) is None


@pytest.mark.parametrize(
    ("dt", "partition"),
    [
        ("2024-02-05T00:59:59Z", "datacenter=codfw/year=2024/month=2/day=5/hour=0"),
        ("2024-02-05t00:59:59z", "datacenter=codfw/year=2024/month=2/day=5/hour=0"),
        ("2024-12-31T23:59:59.999Z", "datacenter=codfw/year=2024/month=12/day=31/hour=23"),
        ("2024-12-31T23:59:59.123456789Z", "datacenter=codfw/year=2024/month=12/day=31/hour=23"),
        ("2024-12-31T23:30:00-01:00", "datacenter=codfw/year=2025/month=1/day=1/hour=0"),
        ("2024-12-31T23:30:00", "datacenter=codfw/year=2024/month=12/day=31/hour=23"),
    ],
)
def test_an_event_lies_in_the_hour_it_was_made(dt: str, partition: str) -> None:
    assert partition_at("codfw", dt) == partition


@pytest.mark.parametrize("dt", ["", "yesterday", "2023-02-31T00:00:00Z", "2023-02-01T24:30:00Z"])
def test_what_is_no_time_has_no_partition(dt: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        partition_at("eqiad", dt)


def test_a_partition_names_its_datacenter() -> None:
    assert datacenter_of(PARTITION) == "eqiad"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("datacenter=eqiad/year=2024/month=2/day=5/hour=24/x", "hour=24"),
        ("datacenter=eqiad/year=2024/month=2/day=30/hour=0/x", "day=30"),
        ("year=2024/month=13/x", "month=13"),
        ("year=2024/day=__HIVE_DEFAULT_PARTITION__/x", "day=__HIVE_DEFAULT_PARTITION__"),
        ("datacenter=__HIVE_DEFAULT_PARTITION__/x", "datacenter=__HIVE_DEFAULT_PARTITION__"),
        ("year=1" + "0" * 5000 + "/x", "year=1" + "0" * 5000),
        ("datacenter=eqiad/year=2024/month=2/day=5/x", None),
        ("wiki=__HIVE_DEFAULT_PARTITION__/hour=23/x", None),
        ("a=b", None),
    ],
)
def test_a_key_that_is_no_part_of_a_time_is_told(path: str, key: str | None) -> None:
    assert wrong_key_in(path) == key
