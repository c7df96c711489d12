"""`revision-scores COMMAND`, which is `python -m pipeline COMMAND`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from pipeline.process.interrupts import end_in_one_line
from pipeline.process.limits import give_memory_back


def main() -> NoReturn:
    """Runs the command that the arguments name, and exits with its exit code. Loads other modules, which
    takes a second, after Ctrl-C is cared for."""
    give_memory_back()
    end_in_one_line(" ".join(["revision-scores", *sys.argv[1:2]]))
    from pipeline.main import main as run_command

    try:
        code = run_command()
    except KeyboardInterrupt:  # a second one, while the first was obeyed
        code = 130
    _exit(code)


def _exit(code: int) -> NoReturn:
    """Ends the process without an end of the interpreter, which aborts it where a thread of pyarrow's lets go
    of a remote file just then."""
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
