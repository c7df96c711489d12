"""What a place holds: folders on this machine with all that people put into them, and S3, here by a server on
this machine."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import orjson
import pytest

from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import DAMAGING, command, scores_in, wrong_use
from tests.support.event_tables import write
from tests.support.events import edit
from tests.support.stores import s3_server
from transforms.datasets.event_files import InputFile, find_files, read_file
from transforms.datasets.filesystem import list_files, printable
from transforms.datasets.folder_walk import LeftOut

ODD_KEYS = [
    "a b.jsonl",
    "a#b.jsonl",
    "a%20b.jsonl",
    "a+b.jsonl",
    "a?b.jsonl",
    "a?region=b/c.jsonl",
    "é.jsonl",
]
HOUR = "datacenter=eqiad/year=2024/month=2/day=5/hour={}"


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The options of an address; a bucket `exports` with an hour in each of three forms."""
    with s3_server(monkeypatch) as address:
        client = boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1")
        client.create_bucket(Bucket="exports")
        for hour, name in enumerate(["a.parquet", "a.avro", "a.jsonl.gz"]):
            file = write(tmp_path / name, [edit(rev_id=10 * hour + index) for index in range(3)])
            client.upload_file(
                str(file), "exports", f"event/mediawiki_revision_create/{HOUR.format(hour)}/{name}"
            )
        client.put_object(Bucket="exports", Key="event/mediawiki_revision_create/_SUCCESS.json", Body=b"{}")
        for key in ODD_KEYS:
            client.put_object(Bucket="exports", Key=f"odd/{key}", Body=orjson.dumps(edit()))
        client.put_object(
            Bucket="exports",
            Key="event/broken.jsonl.gz",
            Body=gzip.compress(orjson.dumps(edit(rev_id=1)) + b"\n" * 99_999)[:-20],
        )
        yield f"?scheme=http&region=us-east-1&endpoint_override={address}"


def test_exports_are_read_where_they_lie(s3: str, tmp_path: Path, lift_wing: SimulatedLiftWing) -> None:
    place = f"s3://exports/event/mediawiki_revision_create{s3}"
    done = command(
        "regenerate",
        "--input",
        place,
        "--output",
        tmp_path / "out",
        "--lift-wing",
        lift_wing.url,
        "--only",
        "damaging",
    )
    assert (done.returncode, done.stderr) == (
        0,
        "passed over, as readers of Hive tables do: 1 _SUCCESS.json\n",
    )
    assert sorted(scores_in(tmp_path / "out")) == [
        (DAMAGING, "enwiki", rev_id) for rev_id in (0, 1, 2, 10, 11, 12, 20, 21, 22)
    ]
    assert [
        path.name
        for path in sorted((tmp_path / "out" / DAMAGING).glob("datacenter=eqiad/year=2024/month=2/day=5/*"))
    ] == ["hour=0", "hour=1", "hour=2"]


def test_one_file_and_one_that_breaks_off(s3: str) -> None:
    (file,) = find_files(f"s3://exports/event/broken.jsonl.gz{s3}", "eqiad").files
    first, problem = read_file(file)
    assert (
        orjson.loads(first.data)["rev_id"],
        problem.problem.partition(": cannot be read after 1 events: ")[0],
    ) == (1, file.path)


def test_what_is_not_there_is_told(s3: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, said in {
        f"s3://exports/nothing{s3}": f"no such file or directory: s3://exports/nothing{s3}",
        f"s3://name:password@exports/event{s3}": "s3://…@…: expected an address without a name and a "
        "password; give them by the environment",
        "gopher://exports/event": "gopher://: expected a path on this machine, hdfs://… or s3://…",
    }.items():
        assert wrong_use("regenerate", "--input", place, "--output", tmp_path / "out") == 2
        assert capsys.readouterr().err == f"revision-scores regenerate: --input: {said}\n"


def test_every_key_is_read_whole(s3: str) -> None:
    files = list_files(f"s3://exports/odd{s3}").files
    assert sorted(file.below for file in files) == sorted(ODD_KEYS)
    assert len({file.version for file in files}) == 1  # the ETag of one content
    for file in files:
        (raw,) = read_file(InputFile(file.path, "eqiad", None))
        assert orjson.loads(raw.data) == edit()


# On this machine


def touch(path: Path, content: bytes = b"{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "a.jsonl")
    touch(tmp_path / "elsewhere" / "deep" / "b.jsonl")
    place = tmp_path / "in" / HOUR.format(0)
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "c.jsonl").symlink_to(tmp_path / "elsewhere" / "deep" / "b.jsonl")
    listing = list_files(str(tmp_path / "in"))
    assert [file.path for file in listing.files] == [str(place / "a.jsonl"), str(place / "deep" / "b.jsonl")]
    assert listing.left_out == [
        LeftOut(
            str(tmp_path / "in" / "c.jsonl"), f"the same file as {place}/deep/b.jsonl", may_hold_events=False
        )
    ]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "a.jsonl")
    touch(tmp_path / "b" / "b.jsonl")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a")
    listing = list_files(str(tmp_path))
    assert [file.below for file in listing.files] == ["a/a.jsonl", "b/b.jsonl"]
    assert not any(left.may_hold_events for left in listing.left_out)


def test_what_is_no_file_and_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "a.jsonl")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert sorted(list_files(str(tmp_path)).left_out) == [
        (
            f"{tmp_path}/gone",
            f"a link to {tmp_path}/nowhere, which cannot be opened: No such file or directory",
            True,
        ),
        (f"{tmp_path}/pipe", "not a regular file", True),
        (
            f"{tmp_path}/self",
            f"a link to {tmp_path}/self, which cannot be opened: Too many levels of symbolic links",
            True,
        ),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="a user who is not root cannot become another one")
def test_a_folder_that_may_not_be_opened_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:
        touch(Path(folder) / "open" / "a.jsonl")
        touch(Path(folder) / "closed" / "b.jsonl").parent.chmod(0o700)
        Path(folder).chmod(0o755)
        os.seteuid(65534)
        try:
            listing = list_files(folder)
        finally:
            os.seteuid(0)
        assert [file.below for file in listing.files] == ["open/a.jsonl"]
        assert listing.left_out == [(f"{folder}/closed", "cannot be opened: Permission denied", True)]


def test_a_name_that_is_no_utf_8_is_opened_and_shown(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.jsonl"
    Path(os.fsdecode(path)).write_bytes(b"{}")
    (file,) = list_files(str(tmp_path)).files
    assert (os.fsencode(file.path), printable(file.path)) == (path, f"{tmp_path}/caf\\xe9.jsonl")
    assert [raw.data for raw in read_file(InputFile(file.path, "eqiad", None))] == [b"{}"]


def test_the_version_is_another_when_the_file_is(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.jsonl")
    os.utime(path, ns=(0, 1_700_000_000_123_456_000))
    (before,) = list_files(str(tmp_path)).files
    os.utime(path, ns=(0, 1_700_000_000_123_457_000))
    assert (before.version, list_files(str(tmp_path)).files[0].version) == (
        "2023-11-14T22:13:20.123456+00:00",
        "2023-11-14T22:13:20.123457+00:00",
    )


def test_marks_of_hive_and_spark_are_counted(tmp_path: Path) -> None:
    for name in [
        "a.jsonl",
        "_SUCCESS",
        "b/_SUCCESS",
        ".a.jsonl.crc",
        "b/.b.crc",
        "_temporary/0/a.jsonl",
        ".git/x",
        "_wiki=enwiki/a.jsonl",
    ]:
        touch(tmp_path / name)
    listing = list_files(str(tmp_path))
    assert [file.below for file in listing.files] == ["_wiki=enwiki/a.jsonl", "a.jsonl"]
    assert listing.marks == {"_SUCCESS": 2, "*.crc": 2, "_temporary": 1, ".git": 1}
