"""What `check` says of a cluster of Flink."""

from __future__ import annotations

import pytest

from pipeline.checks.flink import parallelism
from pipeline.process.child_process import free_port
from runners.simulated_lift_wing.server import SimulatedLiftWing
from tests.support.checked import WELL, Case, JobManager, Row, check, other_version

pytestmark = pytest.mark.kafka


def on(cluster: JobManager, well: Case) -> Case:
    """Some server takes the place of the Python workers."""
    rows: dict[str, Row] = {
        "flink": ("ok", f"1.19.1 at {cluster.address}"),
        "slots": ("ok", "2 free, 1 needed"),
        "workers": ("ok", f"somebody answers at {cluster.address}"),
    }
    return well.asked(flink=cluster.address, workers=cluster.address).expected(**rows)


def test_a_cluster_that_is_well(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    with JobManager() as cluster:
        check(capsys, on(cluster, well), 0, WELL)


def test_a_flink_of_another_version(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    with JobManager("1.20.0") as cluster:
        check(capsys, on(cluster, well).expected(**other_version(cluster)), 1, "1 of 11 things is wrong")


def test_a_cluster_without_room_and_without_workers(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    nobody = free_port()
    with JobManager(free=0) as cluster:
        told = on(cluster, well).asked(workers=f"127.0.0.1:{nobody}")
        no_slots = (
            f"--flink: expected as many free slots at {cluster.address} as are needed, 1, got 0; "
            "start a TaskManager there, or end a job"
        )
        start = f"start some: python -m pipeline.flink.worker_pool --port {nobody}"
        no_workers = (
            f"--workers: no Python workers answer at 127.0.0.1:{nobody} (Connection refused); {start}"
        )
        check(
            capsys,
            told.expected(slots=("wrong", no_slots), workers=("wrong", no_workers)),
            1,
            "2 of 11 things are wrong",
        )


def test_a_job_that_a_new_stream_takes_over_has_room(capsys: pytest.CaptureFixture[str], well: Case) -> None:
    with JobManager(free=0, jobs=({"jid": "1", "name": "revision-scores", "state": "RUNNING"},)) as cluster:
        taken_over = ("ok", "0 free, and those of the job revision-scores, which a new stream takes over")
        check(capsys, on(cluster, well).expected(slots=taken_over), 0, WELL)


def test_what_is_no_cluster(
    capsys: pytest.CaptureFixture[str], well: Case, lift_wing: SimulatedLiftWing
) -> None:
    nobody, other = f"127.0.0.1:{free_port()}", lift_wing.url.removeprefix("http://")
    for address, said in (
        (nobody, f"no JobManager answers at {nobody}"),
        (other, f"what answers at {other} is no JobManager"),
    ):
        told = well.asked(flink=address, workers=other, metrics_port=9249).expected(
            flink=("wrong", f"--flink: {said}; start one, for instance: python -m runners.local_flink"),
            slots=("unseen", "not looked at: no JobManager answers"),
            workers=("ok", f"somebody answers at {other}"),
            metrics=(
                "skipped",
                "not looked at: --metrics-port does nothing with --flink, where the cluster's "
                "settings say it",
            ),
        )
        check(capsys, told, 1, "1 of 12 things is wrong, 1 could not be looked at")


@pytest.mark.parametrize(
    ("options", "slots"),
    [
        ([], 1),
        (["--parallelism=4"], 4),
        (["--parallelism", "4"], 4),
        (["--parallelism=4", "--x=y", "--parallelism=2"], 2),
    ],
)
def test_the_slots_of_a_job(options: list[str], slots: int) -> None:
    assert parallelism(options) == slots
