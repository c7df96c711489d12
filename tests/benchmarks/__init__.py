"""Programs that measure, side by side in one run; they print tables and assert nothing, as the speed of a machine is no property of this code.

python -m tests.benchmarks         all of them, with a summary
python -m tests.benchmarks.batch   one of them; --help tells its options
"""
