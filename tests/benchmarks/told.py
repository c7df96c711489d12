"""What an operator is told of ten faults, and after how long: the line of `stream`, the headline of the page,
and the alerts of a real Prometheus.

    python -m tests.benchmarks.told [--pictures FOLDER] \\
        [--faults 503,hang,token,topic,broker,task-manager,worker,disk,cancelled,413]

Each fault has a stage of its own: a broker, a Flink cluster, `stream`, `watch`, and a Prometheus with the
alerts as they are. Alerts that do not belong to the fault are told too. `disk` mounts a small file system,
for which one has to be root.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests
from confluent_kafka.admin import AdminClient
from playwright.sync_api import Page, ViewportSize, sync_playwright

from pipeline.flink.job import jobs_called
from pipeline.flink.rest import FlinkRest
from pipeline.process.child_process import Server, free_port
from runners.pictures.browser import browser
from runners.programs import ROOT, LocalFlinkProgram, Program
from tests.benchmarks.gate_to_kafka import GateToKafka
from tests.benchmarks.meanwhile import meanwhile
from tests.benchmarks.measuring import table
from tests.benchmarks.processes import of_role
from tests.benchmarks.stage import Stage, parser, stage

_MODEL, _TOPIC, _GROUP = "damaging", "eqiad.mediawiki.revision-score-damaging", "revision-scores"
_BEFORE_S, _LEAST_S, _PATIENCE_S = 45.0, 60.0, 240.0
_DISK_MB = 256
_WIDE, _PHONE = ViewportSize(width=1240, height=860), ViewportSize(width=390, height=844)


@dataclass
class Scene:
    """A stage with all that tells of it."""

    set_up: Stage
    gate: GateToKafka
    flink: str
    stream: Program
    page: Page
    prometheus: str

    def alerts(self) -> set[str]:
        """Those that are pending or firing."""
        told = requests.get(f"{self.prometheus}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
        return {alert["labels"]["alertname"].removeprefix("RevisionScores") for alert in told}

    def headline(self) -> str:
        return self.page.inner_text("#summary")


@dataclass(frozen=True)
class Fault:
    """`cause` makes it, until its context ends. What has to be in a line and in the headline, as a regular
    expression, and which alert has to be pending."""

    cause: Callable[[Scene], object]
    words: str
    alert: str


def _answer(scene: Scene, **wanted: object) -> None:
    scene.set_up.lift_wing.control(model=_MODEL, **wanted)


def _delete_topic(scene: Scene) -> None:
    admin = AdminClient({"bootstrap.servers": scene.set_up.kafka.address, "log_level": 0})
    admin.delete_topics([_TOPIC])[_TOPIC].result(30)


@contextmanager
def _broker_is_away(scene: Scene) -> Iterator[None]:
    scene.set_up.kafka.kill()
    yield
    scene.set_up.kafka.start()
    scene.set_up.kafka.wait()


@contextmanager
def _task_manager_is_frozen(_: Scene) -> Iterator[None]:
    """One that dies would be replaced."""
    frozen = of_role("TaskManager")
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    yield
    for process in frozen:
        process.send_signal(signal.SIGCONT)


def _kill_workers(scene: Scene) -> object:
    """Again and again: one that dies once is replaced, and no trouble."""

    def kill() -> None:
        for process in of_role("Python worker"):
            process.kill()

    return meanwhile(kill, 8.0)


def _fill_disk(scene: Scene) -> None:
    with (_state(scene.set_up) / "of others").open("wb", buffering=0) as file:
        while file.write(bytes(1_000_000)) == 1_000_000:  # what does not fit is cut
            pass


def _cancel(scene: Scene) -> None:
    (job,) = jobs_called(FlinkRest(scene.flink), _GROUP)
    job.rest.request("PATCH", f"/jobs/{job.job_id}?mode=cancel")


def _take_small_bodies(scene: Scene) -> None:
    """Of this stream, smaller than one event."""
    scene.gate.most_bytes, scene.gate.fault = 500, "413"


FAULTS = {
    "503": Fault(partial(_answer, mode="status", status=503), "damaging.*503", "ModelBroken"),
    "hang": Fault(partial(_answer, mode="hang"), "damaging is silent|damaging.*time", "ModelBroken"),
    "token": Fault(partial(_answer, mode="status", status=401), "damaging.*401", "ModelBroken"),
    "topic": Fault(_delete_topic, "revision-score-damaging|revision_score_damaging", "StreamNotTaken"),
    "broker": Fault(_broker_is_away, "Kafka is away", "KafkaAway"),
    "task-manager": Fault(_task_manager_is_frozen, "no TaskManager", "NoTaskManager"),
    "worker": Fault(_kill_workers, "Python worker process died", "JobRestarts"),
    "disk": Fault(_fill_disk, "disk of --state is full", "DiskFull"),
    "cancelled": Fault(_cancel, "(?i)cancel|runs no job", "NoMetrics"),
    "413": Fault(_take_small_bodies, "refused by eqiad.*revision.score.damaging", "ScoresRefused"),
}
COLUMNS = ["fault", "line after s", "headline after s", "alert pending after s", "other alerts"]


def main() -> None:
    options = parser(__doc__, rate=20, latency="0.2")
    options.add_argument("--faults", default=",".join(FAULTS), help="with commas between (default: all)")
    options.add_argument("--pictures", type=Path, help="where pictures of the page go")
    arguments = options.parse_args()
    rows = []
    for name in arguments.faults.split(","):
        with _scene(arguments, name) as scene:
            rows.append([name, *_told(arguments, scene, name)])
        print("  ".join(map(str, rows[-1])), flush=True)
    print(table(f"what is told of a fault at {arguments.rate:.0f} calls/s", COLUMNS, rows), flush=True)


@contextmanager
def _scene(arguments: argparse.Namespace, fault: str) -> Iterator[Scene]:
    with ExitStack() as stack:
        # what is deleted stays away
        set_up = stack.enter_context(stage(arguments, broker_settings="auto.create.topics.enable=false\n"))
        gate = stack.enter_context(
            GateToKafka(set_up.kafka.address, set_up.configuration.models[_MODEL].stream)
        )
        if fault == "413":
            set_up.output = ["--output", f"eventgate={gate.url}"]
        if fault == "disk":
            stack.enter_context(_small_disk(_state(set_up)))
        metrics, port = free_port(), free_port()
        flink = stack.enter_context(
            LocalFlinkProgram(set_up.folder / "cluster", "--slots", "1", "--metrics-port", str(metrics))
        )
        set_up.cluster = ["--flink", flink.address, "--workers", flink.workers]
        models = set_up.folder / "nine_models.yaml"
        where = [
            "--kafka",
            set_up.kafka.address,
            "--lift-wing",
            set_up.lift_wing.url,
            "--models",
            str(models),
            "--state",
            str(_state(set_up)),
        ]
        page = stack.enter_context(browser(stack.enter_context(sync_playwright()))).new_page(viewport=_WIDE)
        stream = stack.enter_context(set_up.streaming(models))
        watch = stack.enter_context(
            Program("pipeline", "watch", *where, "--flink", flink.address, "--port", str(port))
        )
        page.goto(watch.wait_for(r" at (http\S+);")[1])
        prometheus = stack.enter_context(
            _prometheus(set_up.folder, {9249: metrics, 9250: metrics + 1, 8888: port})
        )
        with set_up.load.sending(arguments.rate):
            yield Scene(set_up, gate, flink.address, stream, page, f"http://{prometheus.address}")


def _state(set_up: Stage) -> Path:
    return set_up.folder / "state"


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _prometheus(folder: Path, ports: dict[int, int]) -> Server:
    """With the settings and the alerts of the documents, but for these ports, and three times as many
    looks."""
    monitoring = ROOT / "runners" / "monitoring"
    settings = (monitoring / "prometheus.yaml").read_text(encoding="utf-8").replace("15s", "5s")
    settings = settings.replace("rule_files: [", f"rule_files: [{monitoring}/")
    for told, real in ports.items():
        settings = settings.replace(f'"localhost:{told}"', f'"127.0.0.1:{real}"')
    file, port = folder / "prometheus.yaml", free_port()
    file.write_text(settings, encoding="utf-8")
    command = [
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    return Server("Prometheus", command, port, folder / "prometheus.log")


def _told(arguments: argparse.Namespace, scene: Scene, name: str) -> list[str]:
    fault = FAULTS[name]
    time.sleep(_BEFORE_S)
    others = {f"{alert} (before)" for alert in scene.alerts()}
    said = len(scene.stream.lines)
    with ExitStack() as stack:
        began = time.monotonic()
        caused = fault.cause(scene)
        if isinstance(caused, AbstractContextManager):
            stack.enter_context(caused)
        line = headline = alert = ""
        while (passed := time.monotonic() - began) < _LEAST_S or (
            passed < _PATIENCE_S and not (line and headline and alert)
        ):
            if not line and (
                found := next(
                    (each for each in scene.stream.lines[said:] if re.search(fault.words, each)), ""
                )
            ):
                line = f"{passed:.0f}"
                print(f"{name}: {found.strip()}", flush=True)
            if not headline and re.search(fault.words, found := scene.headline()):
                headline = f"{passed:.0f}"
                print(f"{name}, the page: {found}", flush=True)
                _take_pictures(scene.page, arguments.pictures, name)
            alerts = scene.alerts()
            alert = alert or (f"{passed:.0f}" if fault.alert in alerts else "")
            others |= alerts - {fault.alert}
            time.sleep(0.5)
        print("".join(f"  said: {each}" for each in scene.stream.lines[said:]), flush=True)
    return [line or "never", headline or "never", alert or "never", ", ".join(sorted(others)) or "none"]


def _take_pictures(page: Page, folder: Path | None, name: str) -> None:
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        for kind, size in (("wide", _WIDE), ("phone", _PHONE)):
            page.set_viewport_size(size)
            page.screenshot(path=folder / f"{name}-{kind}.png")
        page.set_viewport_size(_WIDE)


if __name__ == "__main__":
    main()
