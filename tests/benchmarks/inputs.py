"""What the benchmarks work on: the capture of real edits, as long as wanted, and a models file with the
limits under comparison."""

from __future__ import annotations

import gzip
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import yaml

ROOT = Path(__file__).parents[2]
CAPTURE = ROOT / "runners" / "data" / "edits_2023-01.jsonl.gz"
MODELS = ROOT / "pipeline" / "models.yaml"
_EVENTS_OF_AN_HOUR = 50_000
_NEXT_ROUND = 10_000_000_000  # above every revision of today, so that no (wiki, rev_id) comes twice


def events(count: int) -> Iterator[dict[str, Any]]:
    """The capture from its beginning, again and again with other revisions."""
    with gzip.open(CAPTURE, "rb") as capture:
        lines = capture.readlines()
    for index in range(count):
        event = orjson.loads(lines[index % len(lines)])
        event["rev_id"] += index // len(lines) * _NEXT_ROUND
        yield event


def _write(file: Path, some: Iterable[Mapping[str, Any]]) -> None:
    """As JSON lines, gzip as it is quickest: to unpack is part of the work, to pack is not."""
    with gzip.open(file, "wb", compresslevel=1) as output:
        for event in some:
            output.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))


def write_hours(folder: Path, count: int) -> Path:
    """`count` events in Hive layout, as many an hour as all wikis together have."""
    source = events(count)
    for hour in range(-(-count // _EVENTS_OF_AN_HOUR)):
        partition = folder / f"datacenter=eqiad/year=2023/month=1/day={hour // 24 + 1}/hour={hour % 24}"
        partition.mkdir(parents=True)
        _write(partition / "part-0.jsonl.gz", islice(source, _EVENTS_OF_AN_HOUR))
    return folder


def write_models(
    file: Path, in_flight: int, only: Collection[str] | None = None, without: Collection[str] = ()
) -> Path:
    """The shipped models, or some of them, on all wikis but some, with one limit for all endpoints together
    and for each."""
    told = with_on(yaml.safe_load(MODELS.read_text(encoding="utf-8")))
    told["lift_wing"]["in_flight"] = in_flight
    told["models"] = {name: model for name, model in told["models"].items() if only is None or name in only}
    for model in told["models"].values():
        model["concurrency"] = in_flight
        wikis = model["wikis"] if isinstance(model["wikis"], dict) else {wiki: {} for wiki in model["wikis"]}
        model["wikis"] = {
            wiki: {**own, "concurrency": in_flight} for wiki, own in wikis.items() if wiki not in without
        }
    file.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return file


def with_on(value: Any) -> Any:
    """YAML 1.1 reads the key `on` as true."""
    return (
        {"on" if key is True else key: with_on(below) for key, below in value.items()}
        if isinstance(value, dict)
        else value
    )
