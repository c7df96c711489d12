"""What a program of `runners` is told on its command line."""

from __future__ import annotations

import argparse
from typing import TypeVar

from pipeline.options import add_options, options_in

Options = TypeVar("Options")


def parse(options: type[Options], name: str, description: str) -> Options:
    """Returns the options of `python -m runners.NAME` as the dataclass that declares them. Ends the process
    with a line for others."""
    parser = argparse.ArgumentParser(prog=f"python -m runners.{name}", description=description)
    add_options(parser, options)
    return options_in(parser.parse_args(), options)
