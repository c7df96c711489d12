"""Runs a command. A wrong use ends with one line that says what to do, and exit code 2."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from pipeline.command_table import COMMANDS, DEMO, Command
from pipeline.console.terminal import print_plain_text
from pipeline.options import add_options, options_in
from pipeline.process.limits import allow_many_sockets
from pipeline.usage_error import UsageError

_CHECKOUT = Path(__file__).parent.parent
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Invocation(NamedTuple):
    """A command line that can be run."""

    command: Command
    module: ModuleType
    options: Any  # the dataclass Options of the module
    beam_options: list[str]  # what follows `--`, and what is not known here


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command, and returns its exit code: 0 done, 1 some elements failed, 2 wrong use or
    configuration."""
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
        where = error.filename or _output_of(options)
        text = f"{where}: {error.strerror}; make room there, then run it again"
        print(f"revision-scores {name}: {text}", file=sys.stderr)
        return 1


def _output_of(options: object) -> object:
    """Returns where a command writes, in words where no option says it."""
    named = (getattr(options, name, None) for name in ("state", "output"))
    return next(filter(None, named), "the place of its output")


def _run(invocation: Invocation) -> int:
    code: int
    if invocation.command.takes_beam_options:
        allow_many_sockets()
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
    parser, parsers = _parsers(_commands())
    if not own or own[0] not in parsers:
        parser.parse_args(own)  # which ends here
    name = own[0]
    command, module = _commands()[name], _module(name)
    add_options(parsers[name], module.Options)
    parsed, unknown = parser.parse_known_args(own)
    invocation = Invocation(command, module, options_in(parsed, module.Options), unknown + beam_options)
    if invocation.beam_options and not command.takes_beam_options:
        raise UsageError(f"unknown option {invocation.beam_options[0]}; see revision-scores {name} --help")
    return invocation


def _parsers(commands: Mapping[str, Command]) -> tuple[_Parser, dict[str, _Parser]]:
    """Returns the parser of a command line, and below it that of each command, yet without options."""
    parser = _Parser(
        prog="revision-scores",
        description="One Lift Wing score stream and one dataset per model, out of MediaWiki's "
        "revision events.",
        epilog="Each command has an example: revision-scores COMMAND --help. `models` and `explain` call "
        "nothing; `check` says what a stream lacks.",
        allow_abbrev=False,
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    return parser, {name: _add_parser(subparsers, name, command) for name, command in commands.items()}


def _commands() -> Mapping[str, Command]:
    # it is not installed with this package
    return {**COMMANDS, **DEMO} if (_CHECKOUT / "runners").is_dir() else COMMANDS


def _add_parser(subparsers: Any, name: str, command: Command) -> _Parser:
    text, example = command.help, f"example: revision-scores {command.example}"
    parser: _Parser = subparsers.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=example, allow_abbrev=False
    )
    return parser


def _module(name: str) -> ModuleType:
    """Returns the module of a command. The demo lies beside this package in a checkout, with the servers that
    it runs on. Raises UsageError."""
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
