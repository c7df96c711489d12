"""What is wrong with the models of a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.health.facts import Facts
from pipeline.health.flink_facts import FlinkFacts
from pipeline.health.history import History
from pipeline.health.problems import ILL, STOPPED, Problem
from pipeline.times import duration

_SILENT_S, _SILENT_CALLS = 12.0, 3
_CAUSE_S = 9.0  # what an endpoint answers may be known a little later than that it is broken
_FAILING, _FAILURES = 0.05, 2
_NO_ANSWER = ("timeout", "connection")
_CAUSES = {
    "timeout": "time out",
    "connection": "do not answer",
    "401": "answer 401: they do not let us in",
    "403": "answer 403: they do not let us in",
}


class ModelProblems:
    """Finds the problems of models out of a stream's facts, which are in its history already."""

    def __init__(self, models: Sequence[str], history: History) -> None:
        self._models, self._history = models, history
        self._answered: dict[str, float] = {}  # by model, when it last did
        self._broken_since: dict[str, float] = {}  # by model
        # kinds and causes that several models had at once, until none has
        self._together: set[tuple[str, ...]] = set()

    def forget_answers(self) -> None:
        """What waits for something else is no fault of a model."""
        self._answered.clear()

    def of(self, facts: Facts) -> Iterator[Problem]:
        """What several models have in common is one problem, until none has it any more."""
        if facts.flink is None or facts.flink.state != "RUNNING":
            self._answered.clear()  # none comes back to a job that does not run
            return
        ill = {model: found for model in self._models if (found := self._of_model(model, facts))}
        alike = Counter(found[:2] for found in ill.values())
        busy = [
            model
            for model in self._models
            if self._history.grown(f"SelectModels_requests_{model}")
            or facts.flink.count(f"ScoreWithLiftWing_waiting_{model}")
        ]
        self._together &= set(alike)
        for (kind, cause), count in alike.items():
            names = [model for model, found in ill.items() if found[:2] == (kind, cause)]
            if count > 2:
                self._together.add((kind, cause))
            if (kind, cause) not in self._together:
                for name in names:
                    yield Problem(
                        ("model", name, kind, cause),
                        ILL,
                        f"{name} {ill[name][2]}",
                        f"{name} is well again",
                        frozenset([name]),
                    )
                continue
            waiting = sum(
                facts.flink.count(f"ScoreWithLiftWing_{where}_{model}")
                for model in names
                for where in ("waiting", "in_flight")
            )
            everything = count >= len(busy) and count > 2
            which = f"all {count} models" if everything else f"{count} models ({', '.join(names)})"
            text = (
                f"Lift Wing: {which} {_plural(kind, cause)}; {waiting:,} requests wait"
                if count > 1
                else f"{names[0]} {ill[names[0]][2]}"
            )
            yield Problem(
                ("models", kind, cause),
                STOPPED if everything else ILL,
                text,
                "Lift Wing: its models are well again",
                frozenset(names),
            )

    def _of_model(self, model: str, facts: Facts) -> tuple[str, str, str] | None:
        """Kind, cause and sentence of what is wrong with a model."""
        flink = facts.flink
        assert flink
        waiting, in_flight = (
            flink.count(f"ScoreWithLiftWing_{name}_{model}") for name in ("waiting", "in_flight")
        )
        cause = self._cause(model, flink)
        broken = flink.count(f"ScoreWithLiftWing_broken_{model}")
        self._note_broken(model, broken > 0, facts.at)
        if broken and (cause or facts.at - self._broken_since[model] > _CAUSE_S):
            self._answered[model] = facts.at  # a silence after this is another
            endpoints, get = ("an endpoint", "gets") if broken == 1 else (f"{broken} endpoints", "get")
            return (
                "broken",
                cause,
                f"is broken: {endpoints} {_verb(cause, broken)}, and {get} a probe now and then; "
                f"{waiting:,} requests wait, none is lost",
            )
        self._note_answered(model, facts)
        silent = facts.at - self._answered.get(model, facts.at)
        if in_flight >= _SILENT_CALLS and silent > _SILENT_S:
            return (
                "silent",
                "timeout",
                f"is silent: no answer for {duration(silent)}, {in_flight} calls are out",
            )
        failed, requests = (
            self._history.grown(f"ScoreWithLiftWing_failures_{model}"),
            self._history.grown(f"SelectModels_requests_{model}"),
        )
        if failed >= _FAILURES and failed > _FAILING * requests:
            return (
                "failing",
                cause,
                f"fails: {failed:,} requests of the last minute became failures "
                f"({cause or 'of different causes'})",
            )
        return None

    def _note_broken(self, model: str, is_broken: bool, now: float) -> None:
        if not is_broken:
            self._broken_since.pop(model, None)
        else:
            self._broken_since.setdefault(model, now)

    def _note_answered(self, model: str, facts: Facts) -> None:
        before = self._history.flink_before()
        flink = facts.flink
        assert flink
        idle = not flink.count(f"ScoreWithLiftWing_in_flight_{model}")
        if (
            before is None
            or idle
            or self._answers(model, flink) != self._answers(model, before)
            or model not in self._answered
        ):
            self._answered[model] = facts.at

    def _answers(self, model: str, flink: FlinkFacts) -> int:
        """Calls that timed out, or found nobody, are none."""
        refusals = (
            flink.count(name) for name, cause in self._without_score(model, flink) if cause not in _NO_ANSWER
        )
        return flink.count(f"BuildRevisionScore_scores_{model}") + sum(refusals)

    def _cause(self, model: str, flink: FlinkFacts) -> str:
        """By what most tries of the last minute ended without a score; of a model that gets but probes,
        ever."""
        found: Counter[str] = Counter()
        ever: Counter[str] = Counter()
        for name, cause in self._without_score(model, flink):
            found[cause] += self._history.grown(name)
            ever[cause] += flink.count(name)
        most = (+found or +ever).most_common(1)
        return most[0][0] if most else ""

    def _without_score(self, model: str, flink: FlinkFacts) -> Iterator[tuple[str, str]]:
        """The counters of tries that ended so, each with its cause."""
        prefixes = [f"ScoreWithLiftWing_{kind}_{model}_" for kind in ("retries", "failures")]
        for name in flink.metrics:
            prefix = next(filter(name.startswith, prefixes), "")
            if prefix and not self._is_of_longer_name(name, model):
                yield name, name.removeprefix(prefix)

    def _is_of_longer_name(self, name: str, model: str) -> bool:
        return any(
            other != model and other.startswith(f"{model}_") and f"_{other}_" in name
            for other in self._models
        )


def _verb(cause: str, count: int) -> str:
    text = _CAUSES.get(cause, f"answer {cause}" if cause else "give no sign of life")
    if count > 1:
        return text
    first, _, rest = text.partition(" ")
    return " ".join(
        filter(None, [{"do": "does", "give": "gives", "time": "times"}.get(first, f"{first}s"), rest])
    ).replace("they do not", "it does not")


def _plural(kind: str, cause: str) -> str:
    return {
        "broken": "are broken, as their endpoints ",
        "silent": "are silent, as their calls ",
        "failing": "fail, as their endpoints ",
    }[kind] + _verb(cause, 2)
