"""How the stream as a whole is, in a word and a sentence: the cause, where it is known, and not each model
that suffers from it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.health.problems import STOPPED, Problem
from pipeline.times import duration
from pipeline.watch.verdicts import Verdict

WELL, ILL, STOPPED_STATE = "well", "ill", "stopped"
_WRONG = ("broken", "silent", "failing", "slow")
_WORDS = {"broken": "is broken", "silent": "is silent", "failing": "fails", "slow": "is slow"}


@dataclass(frozen=True)
class Headline:
    """`state`: well, ill or stopped; `more`: what else is wrong."""

    state: str
    text: str
    more: Sequence[str] = ()


def headline(
    problems: Sequence[Problem], of_page: Sequence[str], verdicts: Mapping[str, Verdict]
) -> Headline:
    """Returns what to know first of the stream. `of_page`: what the page itself has found wrong with the
    whole."""
    said = [problem.text for problem in problems if not problem.models or len(problem.models) > 1]
    stopped = any(problem.severity == STOPPED for problem in problems) or bool(of_page and not said)
    parts = [*said, *(() if said else of_page)]
    if not stopped:
        parts += _of_models(problems, verdicts)
    if parts:
        return Headline(
            STOPPED_STATE if stopped else ILL,
            _sentence(parts[0], verdicts),
            tuple(_sentence(part, verdicts) for part in parts[1:]),
        )
    parked = [name for name, verdict in verdicts.items() if verdict.state == "parked"]
    rest = f", {', '.join(parked)} parked" if parked else ""
    return Headline(WELL, f"All is well: {len(verdicts)} model{'' if len(verdicts) == 1 else 's'}{rest}.")


def all_silent(verdicts: Mapping[str, Verdict], seconds: float | None) -> Iterator[str]:
    """Yields one sentence about the stream where otherwise each of its models would have one; `seconds`:
    since the last answer of any."""
    wrong = [name for name, verdict in verdicts.items() if verdict.state == "silent"]
    answered = [name for name, verdict in verdicts.items() if verdict.state in ("ok", "slow", "failing")]
    if len(wrong) > 2 and not answered:
        since = f" for {duration(seconds)}" if seconds else ""
        yield f"no score of any model came{since}: no stream runs, or what it needs is away"


def _of_models(problems: Sequence[Problem], verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    known = {
        name: problem.text for problem in problems if len(problem.models) == 1 for name in problem.models
    }
    yield from known.values()
    yield from (
        f"{name} {_WORDS[verdict.state]}"
        for name, verdict in verdicts.items()
        if verdict.state in _WRONG and name not in known
    )


def _sentence(text: str, models: Collection[str]) -> str:
    """Returns the text as a sentence; a model's name at its beginning stays as it is."""
    text = text if text.partition(" ")[0] in models else text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
