"""Runs a command. A wrong use ends with one line that says what to do, and exit code 2."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import resource
import sys
from collections.abc import Sequence

from pipeline.commands import import_changeprop
from pipeline.config.models_file import ConfigurationError, load
from pipeline.config.overrides import apply_overrides
from pipeline.console.terminal import print_plain_text
from pipeline.options import CHECKOUT, parse
from pipeline.usage_error import UsageError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_WITH_PIPELINE = ("stream", "replay", "regenerate", "live")
_WITH_BEAM_OPTIONS = (*_WITH_PIPELINE, "check")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command. Exit codes: 0 done, 1 some elements failed, 2 wrong use or configuration."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may have bytes that are no UTF-8
    arguments, beam_options = parse(list(sys.argv[1:] if argv is None else argv))
    if arguments.command != "demo":  # it paints its own screen, of its own data
        print_plain_text()
    try:
        return _run(arguments, beam_options)
    except (UsageError, ConfigurationError) as error:
        print(f"revision-scores {arguments.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read our output has had enough: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = error.filename or getattr(arguments, "state", None) or getattr(arguments, "output", None) or "the place of its output"
        print(f"revision-scores {arguments.command}: {where}: {error.strerror}; make room there, then run it again", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace, beam_options: list[str]) -> int:
    runs_a_pipeline = arguments.command in _WITH_PIPELINE
    if beam_options and arguments.command not in _WITH_BEAM_OPTIONS:
        raise UsageError(f"unknown option {beam_options[0]}; see revision-scores {arguments.command} --help")
    if arguments.command == "demo":
        return _demo(arguments)
    if arguments.command == "import-changeprop":
        return import_changeprop.run(arguments)
    if arguments.command == "check":
        checked: int = importlib.import_module("pipeline.commands.check").run(arguments, beam_options)
        return checked
    configuration = load(arguments.models)
    if "only" in arguments:
        configuration = apply_overrides(configuration, arguments)
    command = importlib.import_module(f"pipeline.commands.{arguments.command}")  # what the others need not load
    if runs_a_pipeline:
        _allow_many_sockets()
    code: int = command.run(configuration, arguments, beam_options) if runs_a_pipeline else command.run(configuration, arguments)
    return code


def _demo(arguments: argparse.Namespace) -> int:
    """The demo stands beside this package in a checkout, with the machines it runs on, and is not installed with it."""
    sys.path.insert(0, str(CHECKOUT))
    try:
        demo = importlib.import_module("runners.demo")
    except ModuleNotFoundError as error:
        raise UsageError(f"the demo needs what `make build` installs in {CHECKOUT} ({error})") from error
    code: int = demo.run(arguments.output, arguments.seconds)
    return code


def _allow_many_sockets() -> None:
    """A call in flight is a socket, and many systems begin with 1,024 of them."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
