"""Programs that measure, side by side in one run; they print tables and assert nothing, as the speed of a machine is no property of this code.

`make bench` runs all of them; `python -m tests.benchmarks.batch --help` tells the options of one.
"""
