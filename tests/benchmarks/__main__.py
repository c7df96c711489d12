"""All benchmarks, one after the other, in sizes that take some ten minutes together, each of which prints its tables.

python -m tests.benchmarks
"""

from __future__ import annotations

import subprocess
import sys
import time

from runners.programs import ROOT

BENCHMARKS = {
    "http_clients": ["--rounds", "1"],
    "batch": ["--events", "11344,22688", "--rounds", "1"],
    "stream": ["--rates", "50,400", "--seconds", "40"],
}


def main() -> int:
    ended: dict[str, tuple[int, float]] = {}
    for name, options in BENCHMARKS.items():
        print(f"== {name} {' '.join(options)}", flush=True)
        began = time.monotonic()
        code = subprocess.run([sys.executable, "-m", f"tests.benchmarks.{name}", *options], cwd=ROOT, check=False).returncode
        ended[name] = code, time.monotonic() - began
        print(flush=True)
    for name, (code, seconds) in ended.items():
        print(f"{name:<14}{seconds:>6.0f} s{f'  failed with {code}' if code else ''}")
    return max(code for code, _ in ended.values())


if __name__ == "__main__":
    sys.exit(main())
