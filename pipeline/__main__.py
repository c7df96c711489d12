"""`revision-scores COMMAND`, which is `python -m pipeline COMMAND`."""

from __future__ import annotations

import sys

from pipeline.process.interrupts import end_in_one_line


def main() -> int:
    """Runs the command that the arguments name, and returns its exit code. Loads other modules, which takes a
    second, after Ctrl-C is cared for."""
    end_in_one_line(" ".join(["revision-scores", *sys.argv[1:2]]))
    from pipeline.main import main as run_command

    try:
        return run_command()
    except KeyboardInterrupt:  # a second one, while the first was obeyed
        return 130


if __name__ == "__main__":
    sys.exit(main())
