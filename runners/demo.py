"""What `make demo` shows: real edits through a real Kafka broker, a real Flink and a simulated Lift Wing,
then the same edits once more from a file, and that both ways gave the same scores."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.live import Live

from pipeline.config.models_file import load
from pipeline.config.topics import input_topics, output_topics
from pipeline.options import option
from pipeline.usage_error import UsageError
from runners.demo_comparison import Comparison, calls_by_score
from runners.demo_scores import PATIENCE_S, StreamedScores, regenerated
from runners.demo_table import progress
from runners.local_kafka import LocalKafka
from runners.played_edits import CAPTURE, Excerpt, Key, PlayedEdits
from runners.programs import ROOT, SHIPPED_MODELS, Program, SimulatedLiftWingProgram
from transforms.models.model import Configuration

_EVENTS_PER_SECOND = 20  # about what all wikis of Wikimedia make together
_MARK = ".made-by-the-demo"


@dataclass(frozen=True, kw_only=True)
class Options:
    output: Path = option(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="what it leaves behind (default: demo-output)",
    )
    seconds: int = option(
        "--seconds", type=int, default=30, metavar="N", help="how long the edits are played (default: 30)"
    )


def run(options: Options) -> int:
    """Shows both modes and compares them. Returns 0 when every score is there once by both ways, and all are
    equal."""
    output = options.output.resolve()
    _make_room(output)
    configuration = load(SHIPPED_MODELS)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        began = time.monotonic()
        with ExitStack() as stack:
            demo = _Demo(configuration, output, options.seconds, stack)
            code = demo.run()
        demo.tell_where(time.monotonic() - began)
        return code
    except KeyboardInterrupt:
        print("\nstopped; no process of the demo is left")
        return 130


def _interrupted(number: int, frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # what it started is ended in order, which takes a moment
    raise KeyboardInterrupt


def _make_room(output: Path) -> None:
    if output.exists() and any(output.iterdir()):
        if not (output / _MARK).exists():
            raise UsageError(
                f"--output: {output} is not empty and not of an earlier demo; name another directory"
            )
        shutil.rmtree(output)
    output.mkdir(parents=True, exist_ok=True)
    (output / _MARK).touch()


class _Demo:
    def __init__(self, configuration: Configuration, output: Path, seconds: int, stack: ExitStack) -> None:
        self._output, self._seconds, self._stack = output, seconds, stack
        self._console = Console(width=None if sys.stdout.isatty() else 120)
        self._say(
            "starting a Kafka broker and a simulated Lift Wing with the latencies of the real one's "
            "load tests"
        )
        self._lift_wing = stack.enter_context(SimulatedLiftWingProgram("--latency", "staging")).url
        self._configuration = replace(
            configuration, lift_wing=replace(configuration.lift_wing, url=self._lift_wing)
        )
        self._kafka = stack.enter_context(LocalKafka(output / "kafka"))
        inputs = input_topics(configuration, None)
        self._outputs = output_topics(configuration, inputs)
        self._kafka.create_topics(*inputs, *self._outputs)

    def run(self) -> int:
        streamed = self._stream()
        return self._compare(streamed, self._regenerate())

    def _stream(self) -> StreamedScores:
        edits = PlayedEdits(
            self._configuration, self._kafka.address, Excerpt(_EVENTS_PER_SECOND, self._seconds)
        )
        streamed = StreamedScores(
            self._kafka.address, self._outputs, self._configuration.failure_stream, edits
        )
        self._say("starting Flink with the pipeline in it: python -m pipeline stream")
        where = ["--kafka", self._kafka.address, "--lift-wing", self._lift_wing]
        with (
            Program(
                "pipeline", "stream", *where, "--from", "earliest", "--state", str(self._output / "stream")
            ) as program,
            ExitStack() as page,
        ):
            flink = program.wait_for(r"^reading .*; Flink at (\S+),")[1]
            self._say(
                f"watch it at {self._page(page, *where, '--flink', flink)} as long as this runs: python -m "
                "pipeline watch"
            )
            self._play(program, streamed)
            program.stop()
        streamed.close()
        edits.save(self._output / "events.jsonl.gz")
        return streamed

    def _play(self, program: Program, streamed: StreamedScores) -> None:
        edits = streamed.edits
        edits.send_first()  # it waits until Flink is up, which is no time of the pipeline's
        streamed.wait(len(edits.sent))
        streamed.forget_times()
        self._say(
            f"playing {len(edits.lines)} real edits of January 2023 as if they were made now, "
            f"{_EVENTS_PER_SECOND} a second"
        )
        edits.start()
        self._show(program, streamed)

    @staticmethod
    def _page(stack: ExitStack, *options: str) -> str:
        """Returns the address of the live page, which lasts as long as the stack."""
        return stack.enter_context(Program("pipeline", "watch", *options, "--port", "0")).wait_for(
            r" at (http\S+);"
        )[1]

    def _show(self, program: Program, streamed: StreamedScores) -> None:
        """Shows a table until each edit has its scores, or the stream ends or takes too long."""
        edits, deadline = streamed.edits, time.monotonic() + self._seconds + PATIENCE_S
        with Live(console=self._console, auto_refresh=False) as live:
            while (
                program.process.poll() is None
                and time.monotonic() < deadline
                and not (edits.done.is_set() and streamed.count >= len(edits.sent))
            ):
                streamed.poll()
                if self._console.is_terminal:
                    live.update(progress(streamed, self._lift_wing), refresh=True)
            live.update(progress(streamed, self._lift_wing), refresh=True)

    def _regenerate(self) -> Mapping[Key, bytes]:
        self._say("\nscoring the same edits from a file: python -m pipeline regenerate")
        return regenerated(self._output / "events.jsonl.gz", self._output / "scores", self._lift_wing)

    def _compare(self, streamed: StreamedScores, regenerated: Mapping[Key, bytes]) -> int:
        """Prints what both ways gave and whether it is the same. Returns an exit code."""
        comparison = Comparison(
            frozenset(streamed.edits.sent), streamed.bodies, regenerated, calls_by_score(self._lift_wing)
        )
        problems = comparison.problems()
        self._say("\ncompared, stream and files, score by score, all fields but meta.dt:")
        for model, count in streamed.edits.by_model.items():
            if count:
                print(f"  {model:<16}{count:>6} scores")
        if streamed.repeated:
            print(
                f"  {streamed.repeated} of them came again in the stream, with the same meta.id, as "
                "delivery at least once allows"
            )
        for problem in problems:
            print(f"  NOT EQUAL: {problem}")
        if not problems:
            print(
                f"  {len(comparison.wanted)} scores by each way, all equal; Lift Wing was asked "
                f"{sum(comparison.calls.values())} times, once for each score and way"
            )
        return 1 if problems else 0

    def tell_where(self, seconds: float) -> None:
        here = Path.cwd()
        output = self._output.relative_to(here) if self._output.is_relative_to(here) else self._output
        python = (
            Path(sys.executable).relative_to(here)
            if Path(sys.executable).is_relative_to(here)
            else Path(sys.executable)
        )
        table = f"{output}/scores/mediawiki_revision_score_damaging/**/*.parquet"
        query = (
            "select database, rev_id, scores['damaging'].probability['true'] as damaging from "
            f"'{table}' order by 3 desc limit 5"
        )
        self._say(f"\ndone in {seconds:.0f} s, every process stopped. In {output}:")
        print(f"  events.jsonl.gz  the edits that were played, from {CAPTURE.relative_to(ROOT)}")
        print("  scores           one dataset per model, Parquet in Hive layout")
        print("  stream           logs and checkpoints of the stream\nlook at it:")
        print(f"  {python} -m pipeline explain {output}/events.jsonl.gz | head -n 3")
        print(f"  {python} -m pipeline models wikidatawiki")
        print(f'  {python} -c "import duckdb; duckdb.sql(\\"{query}\\").show()"')

    def _say(self, text: str) -> None:
        self._console.print(text, style="bold", highlight=False, soft_wrap=True)
