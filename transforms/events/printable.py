"""Text of others made safe to show: an answer, a page title or a broker's error may hold what controls a
terminal."""

from __future__ import annotations

import re

# All control characters (C0, DEL, C1), line and paragraph separators, and what turns the direction of text or
# hides in it. The joiners U+200C and U+200D stay: Persian and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
# but tab and line feed
_UNSAFE_IN_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def in_one_line(text: str, longest: int, *, keep_spaces: bool = False) -> str:
    """Returns a text of at most `longest` characters, with each run of white space as one space unless
    `keep_spaces`, and what is unsafe as \\uXXXX."""
    begun = text[: 4 * longest]
    if keep_spaces:
        return _UNSAFE.sub(_escaped, begun)[:longest]
    return _UNSAFE.sub(_escaped, " ".join(begun.split()))[:longest].rstrip()


def in_lines(text: str) -> str:
    """Returns a text with what is unsafe as \\uXXXX, but for tabs and line feeds. JSON stays JSON."""
    return _UNSAFE_IN_LINES.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
