"""Files that lie elsewhere: in S3, here by a server on this machine."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import boto3
import orjson
import pytest
from conftest import edit
from moto.server import ThreadedMotoServer
from test_command_line import DAMAGING, command, scores_in, wrong_use
from test_files import write

from runners.simulated_lift_wing import SimulatedLiftWing
from transforms.file_source import find_files, read_file

HOUR = "datacenter=eqiad/year=2024/month=2/day=5/hour={}"


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The options of an address; a bucket `exports` with an hour in each of three forms."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "name")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "password")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
        client.create_bucket(Bucket="exports")
        for hour, name in enumerate(["a.parquet", "a.avro", "a.jsonl.gz"]):
            file = write(tmp_path / name, [edit(rev_id=10 * hour + index) for index in range(3)])
            client.upload_file(str(file), "exports", f"event/mediawiki_revision_create/{HOUR.format(hour)}/{name}")
        client.put_object(Bucket="exports", Key="event/mediawiki_revision_create/_SUCCESS.json", Body=b"{}")
        client.put_object(Bucket="exports", Key="event/broken.jsonl.gz", Body=gzip.compress(orjson.dumps(edit(rev_id=1)) + b"\n" * 99_999)[:-20])
        yield f"?scheme=http&region=us-east-1&endpoint_override={host}:{port}"
    finally:
        server.stop()


def test_exports_are_read_where_they_lie(s3: str, tmp_path: Path, lift_wing: SimulatedLiftWing) -> None:
    place = f"s3://exports/event/mediawiki_revision_create{s3}"
    done = command("regenerate", "--input", place, "--output", tmp_path / "out", "--lift-wing", lift_wing.url, "--only", "damaging")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(scores_in(tmp_path / "out")) == [(DAMAGING, "enwiki", rev_id) for rev_id in (0, 1, 2, 10, 11, 12, 20, 21, 22)]
    assert [path.name for path in sorted((tmp_path / "out" / DAMAGING).glob("datacenter=eqiad/year=2024/month=2/day=5/*"))] == ["hour=0", "hour=1", "hour=2"]


def test_one_file_and_one_that_breaks_off(s3: str) -> None:
    (file,) = find_files(f"s3://exports/event/broken.jsonl.gz{s3}", "eqiad")
    first, problem = read_file(file)
    assert (orjson.loads(first.data)["rev_id"], problem.problem.partition(": cannot be read after 1 events: ")[0]) == (1, file.path)


def test_what_is_not_there_is_told(s3: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place, said in {
        f"s3://exports/nothing{s3}": f"no such file or directory: s3://exports/nothing{s3}",
        f"s3://name:password@exports/event{s3}": "s3://…@…: expected an address without a name and a password; give them by the environment",
        "gopher://exports/event": "Unrecognized filesystem type in URI: gopher://exports/",
    }.items():
        assert wrong_use("regenerate", "--input", place, "--output", tmp_path / "out") == 2
        assert capsys.readouterr().err == f"revision-scores regenerate: --input: {said}\n"
