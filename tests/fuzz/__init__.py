"""Odd inputs by the thousand, from a seed: `python -m tests.fuzz.client` and `python -m
tests.fuzz.stream`."""
