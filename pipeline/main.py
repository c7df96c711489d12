"""Runs a command. A wrong use ends with one line that says what to do, and exit code 2."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from pipeline.console.terminal import print_plain_text
from pipeline.options import add_options, options_in
from pipeline.usage_error import UsageError

_CHECKOUT = Path(__file__).parent.parent
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_SITEMATRIX = "https://meta.wikimedia.org/w/api.php"


class Command(NamedTuple):
    """What is told of a command before its module is loaded, which takes a second or two."""

    help: str
    example: str
    takes_beam_options: bool = False


class Invocation(NamedTuple):
    """A command line that can be run."""

    command: Command
    module: ModuleType
    options: Any  # the dataclass Options of the module
    beam_options: list[str]  # what follows `--`, and what is not known here


_COMMANDS = {
    "stream": Command(
        "score events as they come, from Kafka to Kafka, on Flink",
        "stream --kafka broker:9092 --lift-wing http://127.0.0.1:8080",
        takes_beam_options=True,
    ),
    "check": Command(
        "look at all that a run of `stream` with the same options needs, and say what is wrong",
        "check --kafka broker:9092 --lift-wing http://127.0.0.1:8080",
        takes_beam_options=True,
    ),
    "replay": Command(
        "try again what failed in a stream, with the models file as it is now",
        "replay --kafka broker:9092 --only damaging --reason '^503' --dry-run",
        takes_beam_options=True,
    ),
    "watch": Command(
        "show on a page what a stream does, while it happens",
        "watch --kafka broker:9092 --flink jobmanager:8081 --port 8080",
    ),
    "regenerate": Command(
        "score the events in files, into one dataset per model",
        "regenerate --input event/mediawiki_revision_create --output scores --only damaging",
        takes_beam_options=True,
    ),
    "audit": Command(
        "say which scores of the events in files a dataset has not, or has of an older model; calls nothing",
        "audit --input event/mediawiki_revision_create --scores scores --list holes.jsonl",
    ),
    "scores": Command(
        "all models' scores of one revision, out of the datasets",
        "scores scores --wiki enwiki --rev-id 1136001000",
    ),
    "tables": Command(
        "statements that make tables of the datasets", "tables hdfs:///wmf/data/event | hive -f /dev/stdin"
    ),
    "sanitize": Command(
        "of the datasets, what may be kept for good, in tables beside them",
        "sanitize event --output event_sanitized",
    ),
    "compact": Command(
        "of the datasets, tables with a partition a day or a month, in files of a sensible size",
        "compact scores --by month",
    ),
    "publish": Command(
        "what the datasets have, in tables of Iceberg, a snapshot for what is new",
        "publish scores --catalog lake --namespace event",
    ),
    "combine": Command(
        "what all models said of a revision as one row, in a table beside the datasets "
        "(mediawiki_revision_score)",
        "combine scores",
    ),
    "live": Command(
        "score public edits as they come, by Lift Wing's public gateway",
        "live --wikis enwiki --only damaging --contact you@example.org",
        takes_beam_options=True,
    ),
    "import-changeprop": Command(
        "the liftwing block of ChangeProp's values file as a models file",
        "import-changeprop values-production.yaml > models.yaml",
    ),
    "explain": Command(
        "say for each event which models are called and why not; calls nothing", "explain events.jsonl.gz"
    ),
    "models": Command("list all models, endpoints and streams; checks the models file", "models enwiki"),
    "wikis": Command(
        "print the table of wikis, or a newer one, for wikis_file of a models file",
        f"wikis --sitematrix {_SITEMATRIX} > wikis.tsv",
    ),
    "coverage": Command("what ORES precached beside what the models file scores; calls nothing", "coverage"),
}
_DEMO = {
    "demo": Command(
        "show both modes with a real broker, a real Flink and real edits, in about a minute", "demo"
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command. Exit codes: 0 done, 1 some elements failed, 2 wrong use or configuration."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may have bytes that are no UTF-8
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else ""
    options: object = None
    try:
        invocation = parse(words)
        options = invocation.options
        if name != "demo":  # it paints its own screen, of its own data
            print_plain_text()
        return _run(invocation)
    except UsageError as error:
        print(f"revision-scores {name}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read our output has had enough: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = (
            error.filename
            or getattr(options, "state", None)
            or getattr(options, "output", None)
            or "the place of its output"
        )
        print(
            f"revision-scores {name}: {where}: {error.strerror}; make room there, then run it again",
            file=sys.stderr,
        )
        return 1


def _run(invocation: Invocation) -> int:
    code: int
    if invocation.command.takes_beam_options:
        _allow_many_sockets()
        code = invocation.module.run(invocation.options, invocation.beam_options)
    else:
        code = invocation.module.run(invocation.options)
    return code


def parse(words: list[str]) -> Invocation:
    """Returns what a command line names, with only that command's module loaded.

    Raises UsageError for an option that nobody knows; ends the process for --help and for a wrong use of an
    option.
    """
    own, beam_options = (
        (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    )
    parser = _Parser(
        prog="revision-scores",
        description="One Lift Wing score stream and one dataset per model, out of MediaWiki's "
        "revision events.",
        epilog="Each command has an example: revision-scores COMMAND --help. `models` and `explain` call "
        "nothing; `check` says what a stream lacks.",
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands = _commands()
    parsers = {name: _add_parser(subparsers, name, command) for name, command in commands.items()}
    if not own or own[0] not in parsers:
        parser.parse_args(own)  # which ends here
    name = own[0]
    module = _module(name)
    add_options(parsers[name], module.Options)
    parsed, unknown = parser.parse_known_args(own)
    invocation = Invocation(
        commands[name], module, options_in(parsed, module.Options), unknown + beam_options
    )
    if invocation.beam_options and not invocation.command.takes_beam_options:
        raise UsageError(f"unknown option {invocation.beam_options[0]}; see revision-scores {name} --help")
    return invocation


def _commands() -> Mapping[str, Command]:
    # it is not installed with this package
    return {**_COMMANDS, **_DEMO} if (_CHECKOUT / "runners").is_dir() else _COMMANDS


def _add_parser(subparsers: Any, name: str, command: Command) -> _Parser:
    text, example = command.help, f"example: revision-scores {command.example}"
    parser: _Parser = subparsers.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=example, allow_abbrev=False
    )
    return parser


def _module(name: str) -> ModuleType:
    """The demo stands beside this package in a checkout, with the machines it runs on. Raises UsageError."""
    if name != "demo":
        return importlib.import_module(f"pipeline.commands.{name.replace('-', '_')}")
    sys.path.insert(0, str(_CHECKOUT))
    try:
        return importlib.import_module("runners.demo")
    except ModuleNotFoundError as error:
        raise UsageError(f"the demo needs what `make build` installs in {_CHECKOUT} ({error})") from error


class _Parser(argparse.ArgumentParser):
    """Tells a wrong use in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _allow_many_sockets() -> None:
    """A call in flight is a socket, and many systems begin with 1,024 of them."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
