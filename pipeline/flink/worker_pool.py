"""`python -m pipeline.flink.worker_pool --port N`: the pool of Python workers that TaskManagers ask for.

It is Beam's, but for its own machine or pod alone: whoever reaches a pool can have it run anything, and
Beam's own main program listens on every address. And it takes several TaskManagers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import (
    BeamFnExternalWorkerPoolServicer,
    kill_process_gracefully,
)
from apache_beam.utils import thread_pool_executor
from typing_extensions import override

from pipeline.process.signals import stop_on_signals


class WorkerPool(BeamFnExternalWorkerPoolServicer):
    """Stops the worker that the same TaskManager has started: each numbers its own from 1, and Beam's pool
    would stop another's of that number in the middle of its work, and never the one that is over."""

    def __init__(self) -> None:
        super().__init__(use_process=True)
        self._lock = threading.Lock()
        # by who asked for it, an address, and its number
        self.workers: dict[tuple[str, str], subprocess.Popen[bytes]] = {}

    @override
    def StartWorker(
        self, request: beam_fn_api_pb2.StartWorkerRequest, context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        with self._lock:
            response = super().StartWorker(request, context)
            if worker := self._worker_processes.pop(request.worker_id, None):
                key = context.peer(), request.worker_id
                self.workers[key] = worker
                threading.Thread(target=self._forget_when_ended, args=(key, worker), daemon=True).start()
        return response

    @override
    def StopWorker(
        self, request: beam_fn_api_pb2.StopWorkerRequest, context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StopWorkerResponse:
        with self._lock:
            worker = self.workers.pop((context.peer(), request.worker_id), None)
        if worker:
            kill_process_gracefully(worker)
        return beam_fn_api_pb2.StopWorkerResponse()

    def _forget_when_ended(self, key: tuple[str, str], worker: subprocess.Popen[bytes]) -> None:
        """Waits for it, so that it is no zombie: that of a TaskManager that died is stopped by nobody."""
        worker.wait()
        with self._lock:
            if self.workers.get(key) is worker:
                del self.workers[key]


def main() -> int:
    """Serves until SIGTERM or Ctrl-C, and then ends the workers."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.flink.worker_pool",
        description="The pool of Python workers that a TaskManager asks for.",
    )
    parser.add_argument("--port", type=int, default=50000, help="on 127.0.0.1 (default: 50000)")
    port = parser.parse_args().port
    stop = stop_on_signals()
    pool = WorkerPool()
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    stop.wait()
    server.stop(0)
    for worker in list(pool.workers.values()):
        kill_process_gracefully(worker)
    return 0


if __name__ == "__main__":
    sys.exit(main())
