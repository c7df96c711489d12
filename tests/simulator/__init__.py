"""A deterministic simulation of a stream: the real steps and the real client of Lift Wing on a virtual clock,
between models of what is around them.

`python -m tests.simulator --seeds 200` runs it, `--seed 7` repeats one run and prints its last events.
"""
