"""The commands and their options. A wrong use ends with one line that says what to do, and exit code 2."""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pipeline import import_changeprop
from pipeline.configuration import ConfigurationError, load
from pipeline.narrowing import narrowed
from pipeline.wrong_use import WrongUse

_MODELS = Path(__file__).parent / "models.yaml"
_ALLOWLIST = Path(__file__).parent / "event_sanitized_allowlist.yaml"
_PUBLIC_STREAMS = "https://stream.wikimedia.org/v2/stream"
_PUBLIC_RATE = 13.0  # 50,000 an hour is what the public gateway lets somebody without a token ask
_WITH_PIPELINE = ("stream", "replay", "regenerate", "live")
_WITH_BEAM_OPTIONS = (*_WITH_PIPELINE, "check")
_MODULES = {"models": "list_models", "watch": "watch.command"}  # where it is not the command's name


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command. Exit codes: 0 done, 1 some elements failed, 2 wrong use or configuration."""
    arguments, beam_options = _parse(list(sys.argv[1:] if argv is None else argv))
    try:
        return _run(arguments, beam_options)
    except (WrongUse, ConfigurationError) as error:
        print(f"revision-scores {arguments.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read our output has had enough: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: argparse.Namespace, beam_options: list[str]) -> int:
    runs_a_pipeline = arguments.command in _WITH_PIPELINE
    if beam_options and arguments.command not in _WITH_BEAM_OPTIONS:
        raise WrongUse(f"unknown option {beam_options[0]}; see revision-scores {arguments.command} --help")
    if arguments.command == "demo":
        return _demo(arguments)
    if arguments.command == "import-changeprop":
        return import_changeprop.run(arguments)
    if arguments.command == "check":
        checked: int = importlib.import_module("pipeline.check").run(arguments, beam_options)
        return checked
    configuration = narrowed(load(arguments.models), arguments)
    command = importlib.import_module(f"pipeline.{_MODULES.get(arguments.command, arguments.command)}")  # what the others need not load
    if runs_a_pipeline:
        _allow_many_sockets()
    code: int = command.run(configuration, arguments, beam_options) if runs_a_pipeline else command.run(configuration, arguments)
    return code


def _demo(arguments: argparse.Namespace) -> int:
    """The demo stands above this package, with the machines it runs on, and is not installed with it."""
    try:
        demo = importlib.import_module("runners.demo")
    except ModuleNotFoundError as error:
        raise WrongUse(f"the demo runs from a checkout, after `make build` ({error})") from error
    code: int = demo.run(arguments.output, arguments.seconds)
    return code


def _allow_many_sockets() -> None:
    """A call in flight is a socket, and many systems begin with 1,024 of them."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and those for Beam: what follows `--`, and what we do not know."""
    own, beam_options = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    arguments, unknown = _parser().parse_known_args(own)
    return arguments, unknown + beam_options


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> _Parser:
    parser = _Parser(
        prog="revision-scores",
        description="One Lift Wing score stream and one dataset per model, out of MediaWiki's revision events.",
        epilog="Each command has an example: revision-scores COMMAND --help. `models` and `explain` call nothing; `check` says what a stream lacks.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    models = _Parser(add_help=False, allow_abbrev=False)
    models.add_argument("--models", type=Path, default=_MODELS, metavar="FILE", help="models file (default: the shipped one)")
    models.add_argument("--lift-wing", metavar="URL", help="address of Lift Wing, in place of the models file's")
    some = _Parser(add_help=False, allow_abbrev=False)
    some.add_argument("--only", metavar="MODELS", help="only these models, with commas between")
    some.add_argument("--wikis", metavar="WIKIS", help="only these wikis, with commas between")

    kafka = _Parser(add_help=False, allow_abbrev=False)
    kafka.add_argument("--kafka", required=True, metavar="HOST:PORT", help="brokers, with commas between")
    kafka.add_argument(
        "--kafka-properties", type=Path, metavar="FILE", help="TLS and SASL, in the words of Kafka's Java clients; a cluster reads it by the same path"
    )

    streaming = _Parser(add_help=False, allow_abbrev=False)
    streaming.add_argument("--input-topics", metavar="TOPICS", help="with commas between (default: what the models want, of each datacenter)")
    streaming.add_argument(
        "--output",
        default="kafka",
        metavar="WHERE",
        help="where scores go: kafka, eventgate=URL, or eventgate.DATACENTER=URL for each with commas between (default: kafka)",
    )
    streaming.add_argument("--group", default="revision-scores", help="Kafka consumer group, and the name of the state (default: revision-scores)")
    streaming.add_argument("--from", dest="start", choices=["earliest", "latest"], default="latest", help="where a new group begins (default: latest)")
    streaming.add_argument("--each-event-once", action="store_true", help="drop an event whose meta.id came within the last hour")
    streaming.add_argument("--state", type=Path, default=Path("revision-scores-state"), metavar="DIR", help="checkpoints and logs; a new run goes on from here")
    streaming.add_argument("--flink", metavar="HOST:PORT", help="JobManager of a cluster that has --state too (default: a Flink inside this command)")
    streaming.add_argument(
        "--workers",
        metavar="HOST:PORT",
        default="127.0.0.1:50000",
        help="with --flink: Python workers, as a TaskManager sees them (default: 127.0.0.1:50000)",
    )
    streaming.add_argument(
        "--combined", type=float, metavar="SECONDS", help="also the legacy mediawiki.revision-score, one event a revision, of what came within so long"
    )
    streaming.add_argument("--combined-schema", choices=["2.0.0", "3.0.0"], default="3.0.0", help="of /mediawiki/revision/score (default: 3.0.0)")
    streaming.add_argument("--job-jar", type=Path, metavar="FILE", help="write the job for a cluster that runs it by itself (Kubernetes), and end")
    streaming.add_argument("--metrics-port", type=int, metavar="PORT", help="without --flink: where Prometheus finds metrics (default: nowhere)")

    def command(name: str, parents: list[_Parser], text: str, example: str) -> _Parser:
        return commands.add_parser(
            name, parents=parents, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example: revision-scores {example}", allow_abbrev=False
        )

    command(
        "stream",
        [models, some, kafka, streaming],
        "score events as they come, from Kafka to Kafka, on Flink",
        "stream --kafka broker:9092 --lift-wing http://127.0.0.1:8080",
    )
    command(
        "check",
        [models, some, kafka, streaming],
        "look at all that a run of `stream` with the same options needs, and say what is wrong",
        "check --kafka broker:9092 --lift-wing http://127.0.0.1:8080",
    )

    replay = command(
        "replay",
        [models, some, kafka],
        "try again what failed in a stream, with the models file as it is now",
        "replay --kafka broker:9092 --only damaging --reason '^503' --dry-run",
    )
    replay.add_argument("--failures", metavar="TOPICS", help="with commas between (default: the failure stream of each datacenter)")
    replay.add_argument("--reason", default="", metavar="REGEX", help="only failures whose message has something like this")
    replay.add_argument("--since", metavar="TIME", help="only failures from then on, such as 2024-02-15T13:00, in UTC")
    replay.add_argument("--dry-run", action="store_true", help="say what would be tried again, by model and reason; calls nothing")

    watched = command(
        "watch",
        [models, some, kafka],
        "show on a page what a stream does, while it happens",
        "watch --kafka broker:9092 --flink jobmanager:8081 --port 8080",
    )
    watched.add_argument(
        "--input-topics", metavar="TOPICS", help="what the stream reads, with commas between (default: what the models want, of each datacenter)"
    )
    watched.add_argument("--flink", metavar="HOST:PORT", help="JobManager, which knows calls in flight and breakers (default: only what the topics tell)")
    watched.add_argument("--group", default="revision-scores", help="the stream's --group, which is the name of its job (default: revision-scores)")
    watched.add_argument("--address", default="127.0.0.1", metavar="HOST", help="where to listen; 0.0.0.0 for other machines too (default: 127.0.0.1)")
    watched.add_argument("--port", type=int, default=8080, help="of the page; 0: any free one (default: 8080)")

    exports = _Parser(add_help=False, allow_abbrev=False)
    exports.add_argument("--input", required=True, metavar="PATH", help="events: a file, or a directory in Hive layout or not; here, or in hdfs:// or s3://")
    exports.add_argument("--from", dest="since", metavar="TIME", help="only partitions from then on, such as 2024-02-15T13:00, in UTC")
    exports.add_argument("--to", dest="until", metavar="TIME", help="only partitions before then")

    regenerate = command(
        "regenerate",
        [models, some, exports],
        "score the events in files, into one dataset per model",
        "regenerate --input event/mediawiki_revision_create --output scores --only damaging",
    )
    regenerate.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the datasets go, one directory a model")
    regenerate.add_argument("--format", dest="form", choices=["parquet", "avro", "jsonl"], default="parquet", help="of the datasets (default: parquet)")
    regenerate.add_argument("--max-rate", type=float, metavar="N", help="calls a second at most, over all models")
    regenerate.add_argument("--dry-run", action="store_true", help="say how many calls it takes, how long, and what they ask of the wikis; calls nothing")
    present = regenerate.add_mutually_exclusive_group()
    present.add_argument("--resume", action="store_true", help="go on with a run that broke off, and do what is missing or failed")
    present.add_argument("--missing", type=Path, metavar="FILE", help="only what `audit --list FILE` found missing, failed or older")
    present.add_argument("--overwrite", action="store_true", help="replace partitions that are there, one by one")

    audited = command(
        "audit",
        [models, some, exports],
        "say which scores of the events in files a dataset has not, or has of an older model; calls nothing",
        "audit --input event/mediawiki_revision_create --scores scores --list holes.jsonl",
    )
    audited.add_argument("--scores", type=Path, required=True, metavar="DIR", help="the --output of regenerate")
    audited.add_argument("--list", type=Path, metavar="FILE", help="where to write each hole, for regenerate --missing")
    audited.add_argument("--json", action="store_true", help="a line for each model, wiki and partition")

    found = command("scores", [models, some], "all models' scores of one revision, out of the datasets", "scores scores --wiki enwiki --rev-id 1136001000")
    found.add_argument("root", type=Path, metavar="ROOT", help="the --output of regenerate, in Parquet")
    found.add_argument("--wiki", required=True, metavar="WIKI", help="database name, such as enwiki")
    found.add_argument("--rev-id", required=True, type=int, metavar="N")
    found.add_argument("--json", action="store_true", help="the score events, a line each")

    statements = command("tables", [models, some], "statements that make tables of the datasets", "tables hdfs:///wmf/data/event | hive -f /dev/stdin")
    statements.add_argument("root", metavar="ROOT", help="the --output of regenerate, as the engine finds it")
    statements.add_argument("--dialect", choices=["hive", "duckdb"], default="hive", help="hive is for Spark too (default: hive)")

    kept = command("sanitize", [models, some], "of the datasets, what may be kept for good, in tables beside them", "sanitize event --output event_sanitized")
    kept.add_argument("root", type=Path, metavar="ROOT", help="the --output of regenerate")
    kept.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the tables go; what is there already stays")
    kept.add_argument(
        "--allowlist", type=Path, default=_ALLOWLIST, metavar="FILE", help="in the format of wikimedia/analytics-refinery (default: the shipped one)"
    )
    kept.add_argument("--salt", type=Path, metavar="FILE", help="the key of the hashes, if the allowlist has any")

    live = command("live", [models, some], "score public edits as they come, by Lift Wing's public gateway", "live --wikis enwiki --only damaging")
    live.add_argument("--streams", default=_PUBLIC_STREAMS, metavar="URL", help=f"EventStreams (default: {_PUBLIC_STREAMS})")
    live.add_argument("--since", metavar="TIME", help="begin then, such as 2024-02-15T13:00, in UTC (default: where --output stopped, or now)")
    live.add_argument("--output", type=Path, metavar="DIR", help="files of JSON lines, one a stream; the next run goes on from there")
    live.add_argument("--events", type=int, metavar="N", help="end after so many, and what came with the last of them")
    live.add_argument(
        "--max-rate", type=float, default=_PUBLIC_RATE, metavar="N", help=f"calls a second (default: {_PUBLIC_RATE:g}, what the gateway lets anybody ask)"
    )
    live.add_argument("--token", default=os.environ.get("LIFT_WING_TOKEN"), metavar="TOKEN", help="of api.wikimedia.org (default: LIFT_WING_TOKEN)")

    imported = command(
        "import-changeprop", [], "the liftwing block of ChangeProp's values file as a models file", "import-changeprop values-production.yaml > models.yaml"
    )
    imported.add_argument("values_file", type=Path, metavar="VALUES", help="helmfile.d/services/changeprop/values-….yaml of operations-deployment-charts")
    imported.add_argument("--at", metavar="PATH", help="where the block is, when the file has several, such as production.liftwing")

    combined = command(
        "combine", [models, some], "what all models said of a revision as one row, in a table beside the datasets (mediawiki_revision_score)", "combine scores"
    )
    combined.add_argument("root", type=Path, metavar="ROOT", help="the --output of regenerate")
    combined.add_argument("--schema", choices=["2.0.0", "3.0.0"], default="3.0.0", help="version of /mediawiki/revision/score (default: 3.0.0)")

    explained = command("explain", [models, some], "say for each event which models are called and why not; calls nothing", "explain events.jsonl.gz")
    explained.add_argument("events", metavar="EVENTS", help="JSON lines, gzip or not; - for standard input")

    listed = command("models", [models, some], "list all models, endpoints and streams; checks the models file", "models enwiki")
    listed.add_argument("wiki", nargs="?", metavar="WIKI", help="only this wiki's")

    covered = command("coverage", [models, some], "what ORES precached beside what the models file scores; calls nothing", "coverage")
    covered.add_argument("--json", action="store_true", help="a line for each wiki and model")

    demo = command("demo", [], "show both modes with a real broker, a real Flink and real edits, in about a minute", "demo")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR", help="what it leaves behind (default: demo-output)")
    demo.add_argument("--seconds", type=int, default=30, metavar="N", help="how long the edits are played (default: 30)")
    return parser
