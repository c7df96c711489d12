"""Programs that measure, side by side in one run; they print tables and assert nothing, as the speed of a
machine is no property of this code.

`make bench` runs those that take minutes, `make bench-stream` what a stream has to bear; `python -m
tests.benchmarks.batch --help` tells the options of one. Those of the stream share `stage.py` (broker, Lift
Wing, load), `load.py` and `ledger.py` (what was sent and what came of it, request by request) and
`processes.py` (CPU, memory, and whom to kill).
"""
