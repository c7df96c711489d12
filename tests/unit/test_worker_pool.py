"""The pool of Python workers, of which several TaskManagers of a machine ask for theirs."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, endpoints_pb2

from pipeline.flink.worker_pool import WorkerPool


def test_a_task_manager_stops_its_own_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each numbers its workers from 1."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    pool, server = WorkerPool(), grpc.server(ThreadPoolExecutor(2))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    own = [("grpc.use_local_subchannel_pool", 1)]  # else both would have one connection
    channels = [grpc.insecure_channel(f"127.0.0.1:{port}", own) for _ in range(2)]
    first, second = map(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub, channels)
    nowhere = endpoints_pb2.ApiServiceDescriptor(url="127.0.0.1:1")  # a worker waits for it for a minute
    start = beam_fn_api_pb2.StartWorkerRequest(worker_id="1-1", control_endpoint=nowhere)
    stop = beam_fn_api_pb2.StopWorkerRequest(worker_id="1-1")
    assert not first.StartWorker(start).error
    assert not second.StartWorker(start).error
    of_first, of_second = pool.workers.values()
    first.StopWorker(stop)
    first.StopWorker(stop)
    assert (of_first.poll() is None, of_second.poll() is None) == (False, True)
    second.StopWorker(stop)
    assert (of_second.poll() is None, pool.workers) == (False, {})
    for channel in channels:
        channel.close()
    server.stop(None)
