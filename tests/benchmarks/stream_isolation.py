"""What one output stream that takes nothing does to the other eight, and whether it gets all its scores when
it takes them again.

    python -m tests.benchmarks.stream_isolation [--faults deleted,denied] [--eventgate] \\
        [--seconds 120] [--fault-seconds 180]

For each fault a run of its own: first without it, for comparison, then with it at the same load, with a
savepoint in the middle, then the stream is well again. Of Kafka: the topic is deleted, compacted, denied by
an authorizer, has too few replicas, its leader hangs, somebody took its producer's id. With --eventgate what
an EventGate, its Kafka or a proxy answers for that stream; see `gate_to_kafka.py`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import requests

from pipeline.flink.job import FlinkJob, jobs_called
from pipeline.flink.rest import FlinkRest
from tests.benchmarks import gate_to_kafka, stream_faults
from tests.benchmarks.gate_to_kafka import GateToKafka
from tests.benchmarks.measuring import cells_of, table
from tests.benchmarks.nine_models import write_nine_models
from tests.benchmarks.overhead import WARM_UP_S
from tests.benchmarks.processes import rss_mb
from tests.benchmarks.stage import Stage, parser, quantiles, stage
from tests.benchmarks.stream_faults import KafkaFaults

_HEAD_S = 3.0  # of a fault, in which a hold of a second and a half may fall
_GROUP = "revision-scores"
COLUMNS = [
    *(
        "others/s before",
        "with it",
        "ratio, by what was asked",
        "p99 s before",
        "in its first 3 s",
        "after these",
        "ratio",
        "others repeated",
        "restarts",
        "savepoint s",
    ),
    *("its scores", "open at its end", "missing", "failed", "repeated", "caught up in s", "MB worker"),
]


def main() -> None:
    options = parser(__doc__, rate=50, seconds=120)
    options.add_argument("--faults", help="with commas between (default: all)")
    options.add_argument("--eventgate", action="store_true", help="scores go to EventGate")
    options.add_argument("--model", default="damaging", help="whose stream takes nothing (default: damaging)")
    options.add_argument("--fault-seconds", type=float, default=180, help="how long (default: 180)")
    options.add_argument(
        "--patience",
        type=float,
        default=120,
        help="seconds without any new score after which the rest counts as missing (default: 120)",
    )
    arguments = options.parse_args()
    faults = (
        arguments.faults.split(",")
        if arguments.faults
        else gate_to_kafka.FAULTS
        if arguments.eventgate
        else stream_faults.OF_KAFKA
    )
    rows = []
    for fault in faults:
        rows.append([fault, *isolation(arguments, fault)])
        print("  ".join(cells_of(rows[-1])), flush=True)
    load = f"{arguments.rate:.0f} calls/s of {arguments.latency}"
    title = f"the stream of {arguments.model} takes nothing for {arguments.fault_seconds:.0f} s at {load}"
    print(table(title, ["fault", *COLUMNS], rows), flush=True)


def isolation(arguments: argparse.Namespace, fault: str) -> list[str | float]:
    with ExitStack() as stack:
        set_up = stack.enter_context(stage(arguments, broker_settings=stream_faults.BROKER_SETTINGS))
        stream = set_up.configuration.models[arguments.model].stream
        if arguments.eventgate:
            gate = stack.enter_context(GateToKafka(set_up.kafka.address, stream))
            set_up.output = ["--output", f"eventgate={gate.url}"]
            wrong: AbstractContextManager[None] = _of_gate(gate, fault)
        else:
            faults = KafkaFaults(set_up.kafka, f"eqiad.{stream}")
            stack.enter_context(faults.prepared(fault))
            wrong = getattr(faults, fault)()
        program = stack.enter_context(
            set_up.streaming(write_nine_models(set_up.folder / "models.yaml", set_up.lift_wing.url))
        )
        flink = set_up.cluster[1] if set_up.cluster else program.wait_for(r"Flink at (\S+),")[1]
        job = jobs_called(FlinkRest(flink), _GROUP)[0]
        return compare(set_up, arguments, wrong, job)


@contextmanager
def _of_gate(gate: GateToKafka, fault: str) -> Iterator[None]:
    gate.fault = fault
    yield
    gate.fault = ""


def compare(
    set_up: Stage, arguments: argparse.Namespace, wrong: AbstractContextManager[None], job: FlinkJob
) -> list[str | float]:
    load, ledger, model = set_up.load, set_up.load.ledger, arguments.model
    others = [name for name in set_up.configuration.models if name != model]
    load.send_for(arguments.rate, WARM_UP_S)
    began = time.time()
    load.send_for(arguments.rate, arguments.seconds)
    with wrong:
        broke = time.time()
        load.send_for(arguments.rate, arguments.fault_seconds / 2)
        took_savepoint = savepoint_s(job, set_up)
        load.send_for(arguments.rate, max(0.0, broke + arguments.fault_seconds - time.time()))
        mended, memory, still_open = time.time(), rss_mb()["Python worker"], ledger.open_of([model])
    load.wait_for_all(arguments.patience)
    load.look_again(model)
    caught_up = (
        max((request.scored for request in ledger.all() if request.model == model), default=mended) - mended
    )
    spans = [(began, broke), (broke, broke + _HEAD_S), (broke + _HEAD_S, mended)]
    of_others = [request for request in ledger.all() if request.model in others]
    rates = [
        sum(since <= request.scored < until for request in of_others) / (until - since)
        for since, until in spans
    ]
    # edits want now more, now less
    asked = [
        sum(since <= request.sent < until for request in of_others) / (until - since)
        for since, until in spans
    ]
    p99s = [quantiles(ledger.overheads(set_up.lift_wing.draw, others, *span))[2] for span in spans]
    repeated = {
        of: sum(request.times > 1 for request in ledger.all() if (request.model in others) == of)
        for of in (True, False)
    }
    fate = [
        ledger.sent_of[model],
        still_open,
        ledger.open_of(set_up.configuration.models),
        ledger.failed_of.total(),
        repeated[False],
    ]
    return [
        *(rates[0], rates[2], rates[2] / asked[2] / (rates[0] / asked[0]), *p99s, p99s[2] / p99s[0]),
        *map(str, (repeated[True], restarts(job), took_savepoint, *fate)),
        *(caught_up, str(memory)),
    ]


def savepoint_s(job: FlinkJob, set_up: Stage) -> str:
    """How long a savepoint takes that the job goes on after; why there is none."""
    began = time.monotonic()
    wanted = {"cancel-job": False, "target-directory": (set_up.folder / "savepoint").as_uri()}
    trigger = job.rest.request("POST", f"/jobs/{job.job_id}/savepoints", wanted).json()["request-id"]
    while time.monotonic() - began < 60:
        answer = job.rest.request("GET", f"/jobs/{job.job_id}/savepoints/{trigger}").json()
        if answer["status"]["id"] == "COMPLETED":
            return "failed" if "failure-cause" in answer["operation"] else f"{time.monotonic() - began:.1f}"
        time.sleep(0.2)
    return "none in 60"


def restarts(job: FlinkJob) -> str:
    metrics = job.rest.request("GET", f"/jobs/{job.job_id}/metrics?get=numRestarts")
    return (
        str(metrics.json()[0]["value"])
        if metrics.status_code == requests.codes.ok and metrics.json()
        else "?"
    )


if __name__ == "__main__":
    main()
