"""The options of each command, and what it says of itself."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from pipeline.console.operator_log import LEVELS

CHECKOUT = Path(__file__).parent.parent
_MODELS = Path(__file__).parent / "models.yaml"
_ALLOWLIST = Path(__file__).parent / "event_sanitized_allowlist.yaml"
_META = "https://meta.wikimedia.org/w/api.php"
_PUBLIC_STREAMS = "https://stream.wikimedia.org/v2/stream"
_PUBLIC_RATE = 13.0  # 50,000 an hour is what the public gateway lets somebody without a token ask


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and those for Beam: what follows `--`, and what we do not know."""
    own, beam_options = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    arguments, unknown = _parser().parse_known_args(own)
    return arguments, unknown + beam_options


def local_directory(text: str) -> Path:
    """The path of a directory of this machine. Raises ArgumentTypeError for an address."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", text):
        raise argparse.ArgumentTypeError(f"expected a directory of this machine, got the address {text}; write here and copy it there")
    return Path(text)


class Parser(argparse.ArgumentParser):
    """Tells a wrong use in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


_Command = Callable[[str, list[Parser], str, str], Parser]  # its name, common options, what it does, and an example


def _parser() -> Parser:
    parser = Parser(
        prog="revision-scores",
        description="One Lift Wing score stream and one dataset per model, out of MediaWiki's revision events.",
        epilog="Each command has an example: revision-scores COMMAND --help. `models` and `explain` call nothing; `check` says what a stream lacks.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, parents: list[Parser], text: str, example: str) -> Parser:
        return commands.add_parser(
            name, parents=parents, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example: revision-scores {example}", allow_abbrev=False
        )

    _streams(command)
    _files(command)
    _tables(command)
    _live(command)
    _models_files(command)
    if (CHECKOUT / "runners").is_dir():  # it is not installed with this package
        _demo(command)
    return parser


def _of_models() -> Parser:
    """Common to what reads a models file."""
    options = Parser(add_help=False, allow_abbrev=False)
    options.add_argument("--models", type=Path, default=_MODELS, metavar="FILE", help="models file (default: the shipped one)")
    options.add_argument("--lift-wing", metavar="URL", help="address of Lift Wing, in place of the models file's")
    return options


def _of_clients() -> Parser:
    """Common to what calls Lift Wing."""
    options = Parser(add_help=False, allow_abbrev=False)
    options.add_argument("--token-file", type=Path, metavar="FILE", help="a token for Lift Wing's gateway, read again when the file changes")
    options.add_argument("--contact", metavar="TEXT", help="who runs this, for the User-Agent: an email address or a page")
    return options


def _of_some_models() -> Parser:
    """Common to what can be done for some models."""
    options = Parser(add_help=False, allow_abbrev=False)
    options.add_argument("--only", metavar="MODELS", help="only these models, with commas between")
    options.set_defaults(wikis=None)
    return options


def _of_some() -> Parser:
    """Common to what can be done for some models and wikis."""
    options = Parser(add_help=False, allow_abbrev=False, parents=[_of_some_models()])
    options.add_argument("--wikis", metavar="WIKIS", help="only these wikis, with commas between")
    return options


def _of_kafka() -> Parser:
    """Common to what enters Kafka."""
    options = Parser(add_help=False, allow_abbrev=False)
    options.add_argument("--kafka", required=True, metavar="HOST:PORT", help="brokers, with commas between")
    options.add_argument(
        "--kafka-properties", type=Path, metavar="FILE", help="TLS and SASL, in the words of Kafka's Java clients; a cluster reads it by the same path"
    )
    return options


def _of_streaming() -> Parser:
    """Common to a stream and the look at what it needs."""
    options = Parser(add_help=False, allow_abbrev=False)
    options.add_argument("--input-topics", metavar="TOPICS", help="with commas between (default: what the models want, of each datacenter)")
    options.add_argument(
        "--output",
        default="kafka",
        metavar="WHERE",
        help="where scores go: kafka, eventgate=URL, or eventgate.DATACENTER=URL for each with commas between (default: kafka)",
    )
    options.add_argument("--group", default="revision-scores", help="Kafka consumer group, and the name of the state (default: revision-scores)")
    options.add_argument(
        "--from",
        dest="start",
        default="latest",
        metavar="WHERE",
        help="where a group without a place begins: earliest, latest, or a time such as 2024-02-15T13:00, in UTC (default: latest)",
    )
    options.add_argument("--each-event-once", action="store_true", help="drop an event whose meta.id came within the last hour")
    options.add_argument("--state", type=Path, default=Path("revision-scores-state"), metavar="DIR", help="checkpoints and logs; a new run goes on from here")
    options.add_argument("--adopt-state", action="store_true", help="go on with a --state that is of another Kafka or another --group")
    options.add_argument("--flink", metavar="HOST:PORT", help="JobManager of a cluster that has --state too (default: a Flink inside this command)")
    options.add_argument(
        "--workers",
        metavar="HOST:PORT",
        default="127.0.0.1:50000",
        help="with --flink: Python workers, as a TaskManager sees them (default: 127.0.0.1:50000)",
    )
    options.add_argument(
        "--combined", type=float, metavar="SECONDS", help="also the legacy mediawiki.revision-score, one event a revision, of what came within so long"
    )
    options.add_argument("--combined-schema", choices=["2.0.0", "3.0.0"], default="3.0.0", help="of /mediawiki/revision/score (default: 3.0.0)")
    options.add_argument("--job-jar", type=Path, metavar="FILE", help="write the job for a cluster that runs it by itself (Kubernetes), and end")
    options.add_argument("--metrics-port", type=int, metavar="PORT", help="without --flink: where Prometheus finds metrics (default: nowhere)")
    return options


def _of_log() -> Parser:
    """Common to what an init system keeps up."""
    options = Parser(add_help=False, allow_abbrev=False)
    options.add_argument("--log-format", choices=["text", "json"], default="text", help="of what it says: text, or JSON lines with ECS fields (default: text)")
    options.add_argument("--log-level", choices=list(LEVELS), default="info", help="the least that it says (default: info)")
    return options


def _of_exports() -> Parser:
    """Common to what reads events in files."""
    options = Parser(add_help=False, allow_abbrev=False)
    options.add_argument("--input", required=True, metavar="PATH", help="events: a file, or a directory in Hive layout or not; here, or in hdfs:// or s3://")
    options.add_argument("--from", dest="since", metavar="TIME", help="only partitions from then on, such as 2024-02-15T13:00, in UTC")
    options.add_argument("--to", dest="until", metavar="TIME", help="only partitions before then")
    return options


def _streams(command: _Command) -> None:
    command(
        "stream",
        [_of_models(), _of_some(), _of_clients(), _of_kafka(), _of_streaming(), _of_log()],
        "score events as they come, from Kafka to Kafka, on Flink",
        "stream --kafka broker:9092 --lift-wing http://127.0.0.1:8080",
    )
    command(
        "check",
        [_of_models(), _of_some(), _of_clients(), _of_kafka(), _of_streaming(), _of_log()],
        "look at all that a run of `stream` with the same options needs, and say what is wrong",
        "check --kafka broker:9092 --lift-wing http://127.0.0.1:8080",
    )

    replay = command(
        "replay",
        [_of_models(), _of_some(), _of_clients(), _of_kafka()],
        "try again what failed in a stream, with the models file as it is now",
        "replay --kafka broker:9092 --only damaging --reason '^503' --dry-run",
    )
    replay.add_argument("--failures", metavar="TOPICS", help="with commas between (default: the failure stream of each datacenter)")
    replay.add_argument("--reason", default="", metavar="REGEX", help="only failures whose message has something like this")
    replay.add_argument("--since", metavar="TIME", help="only failures from then on, such as 2024-02-15T13:00, in UTC")
    replay.add_argument("--dry-run", action="store_true", help="say what would be tried again, by model and reason; calls nothing")

    watched = command(
        "watch",
        [_of_models(), _of_some(), _of_kafka(), _of_log()],
        "show on a page what a stream does, while it happens",
        "watch --kafka broker:9092 --flink jobmanager:8081 --port 8080",
    )
    watched.add_argument(
        "--input-topics", metavar="TOPICS", help="what the stream reads, with commas between (default: what the models want, of each datacenter)"
    )
    watched.add_argument("--flink", metavar="HOST:PORT", help="JobManager, which knows causes (default: where a stream noted it in --state)")
    watched.add_argument(
        "--state", type=Path, default=Path("revision-scores-state"), metavar="DIR", help="the stream's --state, where the address of its Flink is"
    )
    watched.add_argument("--group", default="revision-scores", help="the stream's --group, which is the name of its job (default: revision-scores)")
    watched.add_argument("--address", default="127.0.0.1", metavar="HOST", help="where to listen; 0.0.0.0 for other machines too (default: 127.0.0.1)")
    watched.add_argument("--port", type=int, default=8080, help="of the page; 0: any free one (default: 8080)")
    watched.add_argument("--runbook", metavar="URL", help="of docs/operate.md where your people read it, linked by the page")
    watched.add_argument("--grafana", metavar="URL", help="of the dashboard, linked by the page")
    watched.add_argument("--host-names", metavar="NAMES", help="other names of this machine or of a proxy before it, with commas between")


def _files(command: _Command) -> None:
    regenerate = command(
        "regenerate",
        [_of_models(), _of_some(), _of_clients(), _of_exports()],
        "score the events in files, into one dataset per model",
        "regenerate --input event/mediawiki_revision_create --output scores --only damaging",
    )
    regenerate.add_argument("--output", type=local_directory, required=True, metavar="DIR", help="where the datasets go, one directory a model")
    regenerate.add_argument(
        "--format", dest="form", choices=["parquet", "avro", "jsonl"], help="of the datasets (default: that of what is there already, or parquet)"
    )
    regenerate.add_argument("--max-rate", type=float, metavar="N", help="calls a second at most, over all models")
    regenerate.add_argument("--dry-run", action="store_true", help="say how many calls it takes, how long, and what they ask of the wikis; calls nothing")
    present = regenerate.add_mutually_exclusive_group()
    present.add_argument("--resume", action="store_true", help="go on with a run that broke off, and ask for what is missing, failed, or wanted by now")
    present.add_argument("--missing", type=Path, metavar="FILE", help="only what `audit --list FILE` found missing, failed or older")
    present.add_argument(
        "--overwrite", action="store_true", help="make anew what is there, one partition after the other; with --only and --wikis no other rows"
    )

    audited = command(
        "audit",
        [_of_models(), _of_some(), _of_exports()],
        "say which scores of the events in files a dataset has not, or has of an older model; calls nothing",
        "audit --input event/mediawiki_revision_create --scores scores --list holes.jsonl",
    )
    audited.add_argument("--scores", type=local_directory, required=True, metavar="DIR", help="the --output of regenerate")
    audited.add_argument("--list", type=Path, metavar="FILE", help="where to write each hole, for regenerate --missing")
    audited.add_argument("--json", action="store_true", help="a line for each model, wiki and partition")


def _tables(command: _Command) -> None:
    found = command(
        "scores",
        [_of_models(), _of_some_models()],
        "all models' scores of one revision, out of the datasets",
        "scores scores --wiki enwiki --rev-id 1136001000",
    )
    found.add_argument("root", type=local_directory, metavar="ROOT", help="the --output of regenerate, in Parquet")
    found.add_argument("--wiki", required=True, metavar="WIKI", help="database name, such as enwiki")
    found.add_argument("--rev-id", required=True, type=int, metavar="N")
    found.add_argument("--json", action="store_true", help="the score events, a line each")

    statements = command(
        "tables", [_of_models(), _of_some_models()], "statements that make tables of the datasets", "tables hdfs:///wmf/data/event | hive -f /dev/stdin"
    )
    statements.add_argument("root", metavar="ROOT", help="the --output of regenerate, as the engine finds it")
    statements.add_argument("--dialect", choices=["hive", "duckdb"], default="hive", help="hive is for Spark too (default: hive)")

    kept = command(
        "sanitize",
        [_of_models(), _of_some_models()],
        "of the datasets, what may be kept for good, in tables beside them",
        "sanitize event --output event_sanitized",
    )
    kept.add_argument("root", type=local_directory, metavar="ROOT", help="the --output of regenerate")
    kept.add_argument("--output", type=local_directory, required=True, metavar="DIR", help="where the tables go; what is there already stays")
    kept.add_argument(
        "--allowlist", type=Path, default=_ALLOWLIST, metavar="FILE", help="in the format of wikimedia/analytics-refinery (default: the shipped one)"
    )
    kept.add_argument("--salt", type=Path, metavar="FILE", help="the key of the hashes, if the allowlist has any")

    combined = command(
        "combine",
        [_of_models(), _of_some_models()],
        "what all models said of a revision as one row, in a table beside the datasets (mediawiki_revision_score)",
        "combine scores",
    )
    combined.add_argument("root", type=local_directory, metavar="ROOT", help="the --output of regenerate")
    combined.add_argument("--schema", choices=["2.0.0", "3.0.0"], default="3.0.0", help="version of /mediawiki/revision/score (default: 3.0.0)")


def _live(command: _Command) -> None:
    live = command(
        "live",
        [_of_models(), _of_some(), _of_clients()],
        "score public edits as they come, by Lift Wing's public gateway",
        "live --wikis enwiki --only damaging --contact you@example.org",
    )
    live.add_argument("--streams", default=_PUBLIC_STREAMS, metavar="URL", help=f"EventStreams (default: {_PUBLIC_STREAMS})")
    live.add_argument("--since", metavar="TIME", help="begin then, such as 2024-02-15T13:00, in UTC (default: where --output stopped, or now)")
    live.add_argument("--output", type=local_directory, metavar="DIR", help="files of JSON lines, one a stream; the next run goes on from there")
    live.add_argument("--events", type=int, metavar="N", help="end after so many, and what came with the last of them")
    live.add_argument(
        "--max-rate", type=float, default=_PUBLIC_RATE, metavar="N", help=f"calls a second (default: {_PUBLIC_RATE:g}, what the gateway lets anybody ask)"
    )
    live.add_argument("--token", default=os.environ.get("LIFT_WING_TOKEN"), metavar="TOKEN", help="of api.wikimedia.org (default: LIFT_WING_TOKEN)")


def _models_files(command: _Command) -> None:
    imported = command(
        "import-changeprop", [], "the liftwing block of ChangeProp's values file as a models file", "import-changeprop values-production.yaml > models.yaml"
    )
    imported.add_argument("values_file", type=Path, metavar="VALUES", help="helmfile.d/services/changeprop/values-….yaml of operations-deployment-charts")
    imported.add_argument("--at", metavar="PATH", help="where the block is, when the file has several, such as production.liftwing")

    explained = command(
        "explain", [_of_models(), _of_some()], "say for each event which models are called and why not; calls nothing", "explain events.jsonl.gz"
    )
    explained.add_argument("events", metavar="EVENTS", help="a file of JSON lines, Parquet or Avro, compressed or not; - for standard input")

    listed = command("models", [_of_models(), _of_some()], "list all models, endpoints and streams; checks the models file", "models enwiki")
    listed.add_argument("wiki", nargs="?", metavar="WIKI", help="only this wiki's")

    wikis = command(
        "wikis", [_of_models()], "print the table of wikis, or a newer one, for wikis_file of a models file", f"wikis --sitematrix {_META} > wikis.tsv"
    )
    wikis.add_argument("--sitematrix", metavar="URL", help="api.php of a wiki that lists all of its farm (default: print the table in use)")

    covered = command("coverage", [_of_models(), _of_some()], "what ORES precached beside what the models file scores; calls nothing", "coverage")
    covered.add_argument("--json", action="store_true", help="a line for each wiki and model")


def _demo(command: _Command) -> None:
    demo = command("demo", [], "show both modes with a real broker, a real Flink and real edits, in about a minute", "demo")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), metavar="DIR", help="what it leaves behind (default: demo-output)")
    demo.add_argument("--seconds", type=int, default=30, metavar="N", help="how long the edits are played (default: 30)")
