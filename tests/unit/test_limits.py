"""What a command's process may have."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.events import ROOT

_AFTER_A_COMMAND = """
import sys
from pipeline.__main__ import main
sys.argv = ["revision-scores", "--help"]
try:
    main()
except SystemExit:
    import pyarrow
    print(pyarrow.default_memory_pool().backend_name)
"""


def test_arrow_keeps_no_memory_for_itself() -> None:
    """It chooses its allocator when it is imported, which options of a command do before there is a run."""
    environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}

    said = subprocess.run(
        [sys.executable, "-c", _AFTER_A_COMMAND], cwd=ROOT, env=environment, capture_output=True, text=True
    )

    assert said.stdout.splitlines()[-1:] == ["system"], said.stderr
