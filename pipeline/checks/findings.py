"""What `check` finds of each thing, and how that is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.console.columns import print_columns

OK, WRONG, UNSEEN, SKIPPED = "ok", "wrong", "unseen", "skipped"


class Finding(NamedTuple):
    """What is found of a thing."""

    state: str  # OK, WRONG, UNSEEN: something hides it, or SKIPPED: it cannot be seen from here
    thing: str  # such as kafka
    text: str  # one line


def ok(thing: str, text: str) -> Finding:
    return Finding(OK, thing, text)


def wrong(thing: str, why: object) -> Finding:
    """Returns a finding of what is wrong. `why`: what was given, what was expected, how to repair it."""
    return Finding(WRONG, thing, " ".join(str(why).split()))


def unseen(thing: str, why: str) -> Finding:
    return Finding(UNSEEN, thing, f"not looked at: {why}")


def skipped(thing: str, why: str) -> Finding:
    return Finding(SKIPPED, thing, f"not looked at: {why}")


def tell(findings: Sequence[Finding]) -> int:
    """Prints a line for each and one for all; returns 1 when something is wrong, or could not be looked
    at."""
    print_columns(findings[0], findings[1:])
    print(summary(findings))
    return int(any(finding.state in (WRONG, UNSEEN) for finding in findings))


def summary(findings: Sequence[Finding]) -> str:
    """Returns the line for all, which counts things and not findings."""
    things = {finding.thing for finding in findings}
    bad = {finding.thing for finding in findings if finding.state == WRONG}
    hidden = {finding.thing for finding in findings if finding.state == UNSEEN} - bad
    left = {finding.thing for finding in findings if finding.state == SKIPPED}
    if bad:
        text = f"{len(bad)} of {len(things)} things {'is' if len(bad) == 1 else 'are'} wrong"
        return f"{text}, {len(hidden)} could not be looked at" if hidden else text
    if hidden:
        return f"nothing is wrong, {len(hidden)} of {len(things)} things could not be looked at"
    text = "all is well: stream can start"
    return f"{text}, {len(left)} skipped" if left else text
