"""`python -m pipeline.flink.worker_pool --port N`: the pool of Python workers that a TaskManager asks for.

It is Beam's, but for its own machine or pod alone: whoever reaches a pool can have it run anything, and
Beam's own main program listens on every address.
"""

from __future__ import annotations

import argparse
import sys

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import (
    BeamFnExternalWorkerPoolServicer,
    kill_process_gracefully,
)
from apache_beam.utils import thread_pool_executor

from pipeline.process.signals import stop_on_signals


def main() -> int:
    """Serves until SIGTERM or Ctrl-C, and then ends the workers."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.flink.worker_pool",
        description="The pool of Python workers that a TaskManager asks for.",
    )
    parser.add_argument("--port", type=int, default=50000, help="on 127.0.0.1 (default: 50000)")
    port = parser.parse_args().port
    stop = stop_on_signals()
    pool = BeamFnExternalWorkerPoolServicer(use_process=True)
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    stop.wait()
    server.stop(0)
    for worker in list(pool._worker_processes.values()):
        kill_process_gracefully(worker)
    return 0


if __name__ == "__main__":
    sys.exit(main())
