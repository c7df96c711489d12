"""Whether a regular expression backtracks for ever on some text: an editor chooses the title that a rule is
held against.

JavaScript's regular expressions cannot be matched in linear time in general, so it is tried: on texts of what
the pattern itself is made of, each longer than the one before, with an end that cannot match. What takes long
on fifty letters takes for ever on a title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from time import thread_time
from typing import Any

_TOO_LONG_S = 0.01  # thousands of times what a pattern needs that does not backtrack much
_TRIES = 3  # all of which have to take too long
_LENGTHS = range(8, 51, 3)
_MOST_WORDS = 6
_END = "\0\n"


def catastrophic_input(regex: Any, pattern: str) -> str | None:
    """Returns the beginning of a text on which a pattern takes too long; None when none was found."""
    words = list(dict.fromkeys(re.findall(r"[A-Za-z0-9_ ]+", re.sub(r"\\.", " ", pattern))))[:_MOST_WORDS]
    letters = sorted({letter for word in words for letter in word} | {"a", "0", " ", "."})
    for prefix, unit in product(["", *words], [*letters, *(word for word in words if len(word) > 1)]):
        for text in _texts(prefix, unit):
            if all(_takes_s(regex, text) > _TOO_LONG_S for _ in range(_TRIES)):
                return f"{prefix}{unit * 3}…"
    return None


def _texts(prefix: str, unit: str) -> Iterator[str]:
    for length in _LENGTHS:
        yield prefix + (unit * length)[:length] + _END


def _takes_s(regex: Any, text: str) -> float:
    """Returns the seconds of this thread's own time: others may have the processor meanwhile."""
    began = thread_time()
    regex.find(text)
    return thread_time() - began
