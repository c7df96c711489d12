"""Texts of ChangeProp's rules as JavaScript reads them: literals between quotes, and regular expressions.

lib/rule.js of wikimedia/mediawiki-services-change-propagation writes each rule into the source of a function.
So a text with a quote in it does not compile there, a backslash escapes, and a regular expression ends at its
first slash. Held against that file under Node.js 20.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import regress

from transforms.events.json_text import well_formed
from transforms.models.regex_safety import catastrophic_input

# what ChangeProp takes for a regex; any other string is a literal
_REGEX = re.compile(r"/[^\n\r\u2028\u2029]+/[gimuy]{0,5}")
_NAMED_GROUP = re.compile(r"\(\?<(\w+)>", re.ASCII)
_ESCAPE = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|u\{(0*[0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{2})|([0-3][0-7]{0,2}|[4-7][0-7]?)|([^ux0-7])|$)",
    re.DOTALL,
)
_CONTROLS = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "\n": "",
    "\u2028": "",
    "\u2029": "",
}
# halves of surrogate pairs, as private characters
_HALVES = dict(zip(range(0xD800, 0xE000), map(chr, range(0xE000, 0xE800)), strict=True))
# Without the flag u these fold to nothing, as their upper case is none or is ASCII; regress folds them all
# the same.
_UNFOLDING = [
    *map(ord, "\u0131\u017f\u212a\u2126\u212b"),
    *range(0x1F80, 0x1FB0),
    0x1FB3,
    0x1FBC,
    0x1FC3,
    0x1FCC,
    0x1FF3,
    0x1FFC,
]
_UNFOLDED = {letter: chr(0xE800 + index) for index, letter in enumerate(_UNFOLDING)}

Test = Callable[[str], bool]


class JavaScriptError(ValueError):
    """A text that ChangeProp's function would not compile with."""


def is_regex(text: str) -> bool:
    """Returns whether ChangeProp takes a text for a regular expression."""
    return _REGEX.fullmatch(text) is not None


def literal(text: str) -> str:
    """Returns what a text between single quotes means. Raises JavaScriptError."""
    if found := re.search(r"['\n\r]", text.replace("\\\n", "")):
        raise JavaScriptError(
            f"ChangeProp refuses {found[0]!r} in a text; write a regular expression with a dot in its place"
        )
    if "\\" not in text:
        return text
    rest = _ESCAPE.sub("", text)
    if "\\" in rest or text.count("\\") % 2 and text.endswith("\\") and not text.endswith("\\\\"):
        raise JavaScriptError("ChangeProp refuses this backslash; write two for one")
    return well_formed(
        _ESCAPE.sub(_unescaped, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def _unescaped(escape: re.Match[str]) -> str:
    unit, point, byte, octal, letter = escape.groups()
    if number := unit or point or byte:
        return chr(min(int(number, 16), 0x10FFFF))
    return chr(int(octal, 8)) if octal else _CONTROLS.get(letter or "", letter or "")


def regex_test(text: str) -> Test:
    """Returns the test of a text against `/pattern/flags`: `g` says nothing, and `y` that the match begins
    where the text does, as each test starts anew. Raises JavaScriptError, SlowRegexError for a pattern that
    backtracks for ever."""
    pattern, _, flags = text[1:].rpartition("/")
    if len(set(flags)) < len(flags):
        raise JavaScriptError(f"flags given twice: {flags}")
    of_points = "u" in flags
    to_units = (lambda value: value) if of_points else _units_of(flags)
    pattern = _plain(pattern, of_points)
    try:
        regex = regress.Regex(to_units(pattern), flags)
    except regress.RegressError as error:
        raise JavaScriptError(str(error)) from error
    if slow := catastrophic_input(regex, pattern):
        raise SlowRegexError(slow)

    def matches(value: str) -> bool:
        found = regex.find(well_formed(value) if of_points else to_units(value))
        return found is not None and ("y" not in flags or found.range().start == 0)

    return matches


class SlowRegexError(JavaScriptError):
    """A pattern that does not end soon on a text that begins like this."""


def _plain(pattern: str, of_points: bool) -> str:
    """Returns the pattern as it is compiled there: named groups are plain ones, and without the flag u what
    they and code points are written by means nothing."""
    if "/" in _outside_of_classes(pattern):
        raise JavaScriptError(r"ChangeProp ends it at the first /; write \/ for one")
    if re.search(r"\(\?[a-z-]+:", pattern):
        raise JavaScriptError("flags within a group are not known there")
    plain, named = _NAMED_GROUP.subn("(", pattern)
    if named and named != len(re.findall(r"\((?!\?)", _outside_of_classes(plain))):
        raise JavaScriptError(
            "ChangeProp takes no unnamed groups beside named ones; name all or none, or write (?:…)"
        )
    if of_points:
        return plain
    return re.sub(r"\\(?:(u)(?![0-9a-fA-F]{4})|(k)|u([0-9a-fA-F]{4})|.)", _without_u, plain, flags=re.DOTALL)


def _without_u(escape: re.Match[str]) -> str:
    letter, key, unit = escape.groups()
    if unit and 0xD800 <= int(unit, 16) < 0xE000:
        return _HALVES[int(unit, 16)]
    return letter or key or escape[0]


def _outside_of_classes(pattern: str) -> str:
    """Returns the pattern without what is escaped, and without what stands in brackets."""
    return re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]?", "", pattern, flags=re.DOTALL)


def _units_of(flags: str) -> Callable[[str], str]:
    """Returns what writes a text as JavaScript's regular expressions see it without the flag u: by halves of
    surrogate pairs."""
    table = {**_HALVES, **(_UNFOLDED if "i" in flags else {})}

    def units(text: str) -> str:
        if text.isascii():
            return text
        return "".join(map(_halves, text)).translate(table)

    return units


def _halves(letter: str) -> str:
    rest = ord(letter) - 0x10000
    return letter if rest < 0 else chr(0xD800 + (rest >> 10)) + chr(0xDC00 + (rest & 0x3FF))
