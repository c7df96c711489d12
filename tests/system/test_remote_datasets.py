"""Datasets where the data live: in a real HDFS, and in S3, with the same rows as here."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

import schemas
from pipeline.process.lease import leased
from pipeline.usage_error import UsageError
from runners.local_hdfs import LocalHdfs
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.commands import DAMAGING, HOURS, command, hourly, rows
from tests.support.eventgate import scored
from tests.support.events import ROOT
from tests.support.stores import BUCKET, Store, hdfs_store, s3_store
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.datasets.durable_files import replace_file
from transforms.datasets.filesystem import located
from transforms.datasets.manifests import MANIFEST, find_partition
from transforms.datasets.storage_paths import Place, files_under, place_at, sizes_in
from transforms.datasets.stored_rows import rows_in
from transforms.events.parsing import NotAnEventError

OF_MANIFEST = {"failures": {}, "inputs": [], "rule": {}, "wikis": {}, "missing": []}
STREAMS = {"damaging": "mediawiki.revision-score-damaging"}
MODELS = ["--only", "damaging,goodfaith"]


@pytest.fixture(scope="module", params=["hdfs", "s3"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        hdfs_store(tmp_path_factory.mktemp("hdfs"))
        if request.param == "hdfs"
        else s3_store(monkeypatch) as store,
    ):
        yield store


def scores(count: int, start: int = 0) -> list[Mapping[str, Any]]:
    return [scored(start + number).body for number in range(count)]


def calls_of(lift_wing: SimulatedLiftWing) -> int:
    return sum(lift_wing.calls().values())


def revisions_in(partition: Place) -> list[int] | None:
    """None where an object was replaced while it was read, which S3's readers are told."""
    try:
        return sorted(row["rev_id"] for row in rows_in(partition))
    except NotAnEventError as error:
        if "no longer exists" in str(error):
            return None
        raise


@pytest.fixture
def slow_lift_wing() -> Iterator[SimulatedLiftWing]:
    with SimulatedLiftWing(latency=0.5) as running:
        yield running


def regenerate(
    lift_wing: SimulatedLiftWing, source: object, output: object, *options: str
) -> subprocess.CompletedProcess[str]:
    return command(
        "regenerate", "--input", source, "--output", output, "--lift-wing", lift_wing.url, *MODELS, *options
    )


def test_a_dataset_there_is_as_one_here(store: Store, tmp_path: Path, lift_wing: SimulatedLiftWing) -> None:
    here = hourly(tmp_path / "in", hours=2)
    there = store.put(here, "same/in")
    assert regenerate(lift_wing, here, tmp_path / "out").returncode == 0
    done = regenerate(lift_wing, there, store / "same/out")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"report: {store / 'same/out/_report.html'}" in done.stdout
    for root in (tmp_path / "out", store / "same/out"):
        assert command("combine", root).returncode == 0
        assert command("compact", root).returncode == 0
        assert command("sanitize", root, "--output", f"{root}".replace("out", "kept")).returncode == 0
    names = store.names("same/out")
    assert {name for name in names if name.startswith(".")} == set()
    for name in ("out", "kept"):
        expected = rows(tmp_path / name)
        assert expected
        assert rows(store.get(f"same/{name}", tmp_path / f"{name}-there")) == expected
    calls = calls_of(lift_wing)
    audit = command("audit", "--input", there, "--scores", store / "same/out", *MODELS)
    assert audit.returncode == 0, audit.stdout + audit.stderr
    again = regenerate(lift_wing, there, store / "same/out", "--resume")
    assert (again.returncode, calls_of(lift_wing)) == (0, calls)
    one = rows(tmp_path / "out")[f"{DAMAGING}/{HOURS[0]}"][0]
    where = ["--wiki", one["database"], "--rev-id", one["rev_id"], "--json"]
    found = [command("scores", root, *where) for root in (tmp_path / "out", store / "same/out")]
    assert [each.returncode for each in found] == [0, 0]
    assert [orjson.loads(line)["rev_id"] for line in found[1].stdout.splitlines()] == [
        orjson.loads(line)["rev_id"] for line in found[0].stdout.splitlines()
    ]
    tables = command("tables", store / "same/out", *MODELS)
    assert (tables.returncode, tables.stderr) == (0, "")
    assert f"LOCATION '{store.root}/same/out/{DAMAGING}'" in tables.stdout


def test_a_partition_that_is_made_anew_keeps_its_file(
    store: Store, tmp_path: Path, lift_wing: SimulatedLiftWing
) -> None:
    there = store.put(hourly(tmp_path / "in", 40, hours=2), "anew/in")
    assert regenerate(lift_wing, there, store / "anew/out").returncode == 0
    before = store.names("anew/out")
    assert regenerate(lift_wing, there, store / "anew/out", "--overwrite").returncode == 0
    assert store.names("anew/out") == before
    assert len([name for name in before if name.endswith(MANIFEST)]) == 2 * 2


def test_a_run_that_was_killed_is_gone_on_with(
    store: Store, tmp_path: Path, slow_lift_wing: SimulatedLiftWing
) -> None:
    lift_wing = slow_lift_wing
    here = hourly(tmp_path / "in", hours=2)
    there = store.put(here, "killed/in")
    assert regenerate(lift_wing, here, tmp_path / "out").returncode == 0
    calls = calls_of(lift_wing)
    arguments = ["--input", there, "--output", store / "killed/out", "--lift-wing", lift_wing.url, *MODELS]
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", "regenerate", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        while calls_of(lift_wing) == calls:
            assert run.poll() is None
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
    done = command("regenerate", *arguments, "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(store.get("killed/out", tmp_path / "there")) == rows(tmp_path / "out")
    assert {name for name in store.names("killed/out") if name.startswith(".")} == set()


def test_of_two_runs_one_is_told_to_wait(store: Store, tmp_path: Path) -> None:
    """The other lives, whatever machine it is on."""
    there = place_at(store / "two/.working")
    assert not isinstance(there, Path)
    with (
        leased(there, "nobody else"),
        pytest.raises(UsageError, match="another one writes there"),
        leased(there, "another one writes there"),
    ):
        pass
    with leased(there, "it was given back"):
        assert store.names("two/.working") == ["lease"]


def test_a_partition_that_was_whole_when_its_run_was_killed_gets_to_its_place(
    store: Store, tmp_path: Path
) -> None:
    """Killed before its rows were moved, before its manifest was, and before it was whole."""
    for root, attempt in (
        *((store / "half", "attempt-1"), (f"{tmp_path}/half", "attempt-1")),
        (f"{tmp_path}/before", ""),  # a version before had no folders of attempts
    ):
        writer = DatasetWriter(place_at(root), streams=STREAMS)
        partition = writer.partition("damaging", HOURS[0])
        pending = writer.working / "pending" / attempt / DAMAGING / HOURS[0]
        for moved, count in ((["rows"], 2), ([], 3)):
            writer.replace(partition, schemas.REVISION_SCORE, scores(1), lambda: OF_MANIFEST)
            (name,) = sizes_in(partition).keys() - {MANIFEST}
            old = (partition / name).read_bytes(), (partition / MANIFEST).read_bytes()
            writer.replace(partition, schemas.REVISION_SCORE, scores(count), lambda: OF_MANIFEST)
            new = (partition / name).read_bytes(), (partition / MANIFEST).read_bytes()
            pending.mkdir(parents=True, exist_ok=True)
            replace_file(pending / MANIFEST, new[1])
            replace_file(partition / MANIFEST, old[1])
            if not moved:
                replace_file(pending / name, new[0])
                replace_file(partition / name, old[0])
            writer.recover()
            assert revisions_in(partition) == list(range(count))
            found = find_partition(partition)
            assert found is not None
            assert found.damage == ""
        pending.mkdir(parents=True, exist_ok=True)
        replace_file(pending / name, old[0])
        writer.recover()
        assert revisions_in(partition) == [0, 1, 2]
        assert {path.name for path in files_under(writer.root)} == {name, MANIFEST}


def test_what_a_killed_run_left_on_this_machine_goes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    of_killed, of_another = (DatasetWriter(place_at(store / name)) for name in ("of-killed", "of-another"))
    left, stays = of_killed.scratch(), of_another.scratch()
    Path(left.__enter__(), "part-0.parquet").touch()
    with stays as another:
        of_killed.recover()
        assert list(tmp_path.iterdir()) == [Path(another)]


def test_two_that_make_the_same_partition_leave_it_whole(store: Store, tmp_path: Path) -> None:
    """As a worker that Flink gave up and its successor may."""
    for root in (store / "two-make", f"{tmp_path}/two-make"):
        writer = DatasetWriter(place_at(root), streams=STREAMS)
        for hour in HOURS[:2]:
            partition, count = writer.partition("damaging", hour), 5 if hour == HOURS[0] else 3
            together = threading.Barrier(4)
            with ThreadPoolExecutor(4) as pool:
                made = [pool.submit(_make, writer, partition, count, together) for _ in range(4)]
                assert [each.result() for each in made] == [count] * 4
            found = find_partition(partition)
            assert found is not None
            assert (found.damage, revisions_in(partition)) == ("", list(range(count)))
        assert [*files_under(writer.working)] == []


def _make(writer: DatasetWriter, partition: Place, count: int, together: threading.Barrier) -> int:
    together.wait()
    return writer.replace(partition, schemas.REVISION_SCORE, scores(count), lambda: OF_MANIFEST)


def test_a_reader_finds_the_old_rows_or_the_new_ones(store: Store, tmp_path: Path) -> None:
    for root in (store / "read", f"{tmp_path}/read"):
        writer = DatasetWriter(place_at(root), streams=STREAMS)
        partition = writer.partition("damaging", HOURS[0])
        writer.replace(partition, schemas.REVISION_SCORE, scores(500), lambda: OF_MANIFEST)
        over = threading.Event()

        def overwrite(writer: DatasetWriter = writer, over: threading.Event = over) -> None:
            for number in range(1, 21):
                place = writer.partition("damaging", HOURS[0])
                writer.replace(
                    place, schemas.REVISION_SCORE, scores(500, number * 1_000), lambda: OF_MANIFEST
                )
            over.set()

        writing = threading.Thread(target=overwrite)
        writing.start()
        seen = set()
        while not over.is_set():
            read = revisions_in(partition)
            if read is None:
                continue
            assert read == list(range(read[0], read[0] + 500))
            seen.add(read[0])
        writing.join()
        assert len(seen) > 1


@pytest.mark.parametrize("store", ["hdfs"], indirect=True)
def test_what_hdfs_does_not_let_us_do_is_told(store: Store, tmp_path: Path) -> None:
    here = hourly(tmp_path / "in", 40, hours=2)
    there = store.put(here, "denied/in")
    closed = f"{located(there)[1]}/{HOURS[1]}"
    store.system.client.set_permission(closed, 0o700)
    somebody = {**os.environ, "HADOOP_USER_NAME": "somebody"}
    estimated = command(
        "regenerate", "--input", there, "--output", tmp_path / "out", "--dry-run", env=somebody
    )
    assert f"not read: {there}/{HOURS[1]}: cannot be opened: Permission denied: " in estimated.stderr
    refused = command("regenerate", "--input", here, "--output", store / "denied/out", env=somebody)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith(
        f"revision-scores regenerate: --output: {store / 'denied/out'} cannot be written to: Permission "
        'denied: user=somebody, access=WRITE, inode="'
    )


def test_a_quota_that_is_reached_is_told(tmp_path: Path, slow_lift_wing: SimulatedLiftWing) -> None:
    with LocalHdfs(tmp_path / "hdfs") as hdfs:
        arguments = ["--input", hourly(tmp_path / "in", 40, hours=1), "--output", f"{hdfs.url}/ml/out"]
        with subprocess.Popen(
            [sys.executable, "-m", "pipeline", "regenerate", *arguments, "--lift-wing", slow_lift_wing.url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            while not slow_lift_wing.calls():
                assert run.poll() is None
                time.sleep(0.005)
            hdfs.administer("-setSpaceQuota", "1000", "/ml")
            _, said = run.communicate(timeout=120)
        (line,) = said.splitlines()
        assert (run.returncode, line.partition(" is exceeded")[0]) == (
            1,
            "stopped: The DiskSpace quota of /ml",
        )
        assert line.endswith("; what was answered stays, and --resume goes on from here")
        hdfs.administer("-clrSpaceQuota", "/ml")
        done = command("regenerate", *arguments, "--lift-wing", slow_lift_wing.url, "--resume")
        assert done.returncode == 0
        assert set(slow_lift_wing.calls().values()) <= {1, 2}


def test_a_bucket_that_is_not_there_is_told_and_not_made(
    tmp_path: Path, slow_lift_wing: SimulatedLiftWing, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = hourly(tmp_path / "in", 40, hours=1)
    given = ["--input", source, "--lift-wing", slow_lift_wing.url, *MODELS, "--output"]
    with s3_store(monkeypatch) as store:
        misspelt = f"s3://datset/ml{store.options}"
        refused = command("regenerate", *given, misspelt)
        assert (refused.returncode, refused.stderr) == (
            2,
            f"revision-scores regenerate: --output: {misspelt} cannot be written to: there is no such "
            "bucket\n",
        )
        with subprocess.Popen(
            [sys.executable, "-m", "pipeline", "regenerate", *map(str, given), store / "out"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            while not slow_lift_wing.calls():
                assert run.poll() is None
                time.sleep(0.005)
            for name in store.system.find(BUCKET):
                store.system.rm_file(name)
            store.system.call_s3("delete_bucket", Bucket=BUCKET)
            _, said = run.communicate(timeout=120)
        assert run.returncode == 1
        (line,) = said.splitlines()
        assert line.startswith("stopped: ")
        assert line.endswith(
            "The specified bucket does not exist; what was answered stays, and --resume goes on from here"
        )
        # the server is one for all tests of a process
        buckets = {bucket["Name"] for bucket in store.system.call_s3("list_buckets")["Buckets"]}
        assert not buckets & {BUCKET, "datset"}


def test_hdfs_that_starts_again_is_waited_for(tmp_path: Path, slow_lift_wing: SimulatedLiftWing) -> None:
    with LocalHdfs(tmp_path / "hdfs") as hdfs:
        arguments = ["--input", hourly(tmp_path / "in", 40, hours=1), "--output", f"{hdfs.url}/user/ml/out"]
        with subprocess.Popen(
            [sys.executable, "-m", "pipeline", "regenerate", *arguments, "--lift-wing", slow_lift_wing.url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as run:
            while not slow_lift_wing.calls():
                assert run.poll() is None
                time.sleep(0.005)
            hdfs.kill()
            hdfs.start()
            _, said = run.communicate(timeout=120)
        assert (run.returncode, said) == (0, b"")
        calls = calls_of(slow_lift_wing)
        done = command("regenerate", *arguments, "--lift-wing", slow_lift_wing.url, "--resume")
        assert (done.returncode, calls_of(slow_lift_wing)) == (0, calls)


@pytest.mark.parametrize("store", ["hdfs"], indirect=True)
def test_threads_that_share_a_file_read_what_each_asks_for(store: Store) -> None:
    """As DuckDB does."""
    place, content = place_at(store / "shared"), random.Random(0).randbytes(3_000_000)
    replace_file(place, content)
    with place.open("rb") as file, ThreadPoolExecutor(4) as pool:

        def is_wrong(offset: int) -> bool:
            file.seek(offset)
            return file.read(100_000) != content[offset : offset + 100_000]

        assert sum(pool.map(is_wrong, [number * 7_919 % len(content) for number in range(400)])) == 0


@pytest.mark.parametrize("store", ["hdfs"], indirect=True)
def test_a_process_that_looked_into_hdfs_may_fork(store: Store) -> None:
    """As it does when it starts a job server; its threads are not in the child."""
    program = (
        "import subprocess; from transforms.datasets.storage_paths import place_at; "
        "from pipeline.process.child_process import die_with_parent; "
        f"place_at('{store / 'forked'}').exists(); "
        "subprocess.run(['true'], preexec_fn=die_with_parent, check=True)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
