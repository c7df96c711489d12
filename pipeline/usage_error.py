"""The one exception for what the person at the command line has to mend."""


class UsageError(Exception):
    """One line: what was given, what was expected, how to repair it."""
