"""The batch job in the most usual way: a thread for each call at once, with `requests`."""

from __future__ import annotations

import argparse
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from tests.benchmarks.peers.batch_by_hand import TRIES, Files, events, options
from tests.benchmarks.peers.by_hand import Call, Rules, score_event


class Job:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.files = Files(Path(arguments.output))
        self.of_thread = threading.local()
        # of the queue, which else would hold all that is to do
        self.free = threading.Semaphore(2 * arguments.in_flight)
        self.writing = threading.Lock()

    def run(self) -> None:
        rules = Rules(self.arguments.rules)
        with ThreadPoolExecutor(self.arguments.in_flight) as pool:
            for event in events(Path(self.arguments.input)):
                for call in rules.calls(event):
                    self.free.acquire()
                    pool.submit(self.score, event, call).add_done_callback(self.done)
        self.files.close()

    def done(self, future: Future[None]) -> None:
        self.free.release()
        future.result()

    def score(self, event: dict[str, Any], call: Call) -> None:
        model, host, path = call
        if not hasattr(self.of_thread, "session"):
            self.of_thread.session = requests.Session()
        for _ in range(TRIES):
            answer = self.of_thread.session.post(
                self.arguments.lift_wing + path,
                json={"rev_id": event["rev_id"]},
                headers={"Host": host},
                timeout=30,
            )
            if answer.status_code == 200:
                row = score_event(event, model, answer.content)
                with self.writing:
                    self.files.add(model, row)
                return


if __name__ == "__main__":
    Job(options().parse_args()).run()
