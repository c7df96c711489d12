"""What is wrong with one model: it is broken, silent or failing, and by which cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.health.facts import FlinkFacts
from pipeline.health.history import History
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


class ModelFault(NamedTuple):
    """What is wrong with a model."""

    kind: str  # broken, silent or failing
    cause: str  # how calls end, such as 503 or timeout; nothing where that is not known
    text: str  # to follow the model's name


class ModelFaults:
    """Remembers when each model last answered, and since when it is broken; `history` has the facts of now
    already."""

    def __init__(self, models: Sequence[str], history: History) -> None:
        self._models, self._history = models, history
        self._answered: dict[str, float] = {}  # by model, when it last did
        self._broken_since: dict[str, float] = {}  # by model

    def forget_answers(self) -> None:
        """Has the silence of each model begin anew."""
        self._answered.clear()

    def find(self, model: str, at: float, flink: FlinkFacts) -> ModelFault | None:
        """Returns the gravest fault that a model has now, in seconds since the epoch."""
        cause = self._cause(model, flink)
        if broken := self._broken(model, cause, at, flink):
            self._answered[model] = at  # a silence after this is another
            return broken
        self._note_answered(model, at, flink)
        return self._silent(model, at, flink) or self._failing(model, cause)

    def _broken(self, model: str, cause: str, at: float, flink: FlinkFacts) -> ModelFault | None:
        broken = flink.of_model("broken", model)
        if not broken:
            self._broken_since.pop(model, None)
            return None
        if at - self._broken_since.setdefault(model, at) <= _CAUSE_S and not cause:
            return None
        endpoints, get = ("an endpoint", "gets") if broken == 1 else (f"{broken} endpoints", "get")
        text = (
            f"is broken: {endpoints} {_verb(cause, broken)}, and {get} a probe now and then; "
            f"{flink.of_model('waiting', model):,} requests wait, none is lost"
        )
        return ModelFault("broken", cause, text)

    def _silent(self, model: str, at: float, flink: FlinkFacts) -> ModelFault | None:
        in_flight = flink.of_model("in_flight", model)
        silent_s = at - self._answered.get(model, at)
        if in_flight < _SILENT_CALLS or silent_s <= _SILENT_S:
            return None
        text = f"is silent: no answer for {duration(silent_s)}, {in_flight} calls are out"
        return ModelFault("silent", "timeout", text)

    def _failing(self, model: str, cause: str) -> ModelFault | None:
        failed = self._history.grown(f"ScoreWithLiftWing_failures_{model}")
        requests = self._history.grown(f"SelectModels_requests_{model}")
        if failed < _FAILURES or failed <= _FAILING * requests:
            return None
        text = (
            f"fails: {failed:,} requests of the last minute became failures "
            f"({cause or 'of different causes'})"
        )
        return ModelFault("failing", cause, text)

    def _note_answered(self, model: str, at: float, flink: FlinkFacts) -> None:
        before = self._history.flink_before()
        if (
            before is None
            or not flink.of_model("in_flight", model)  # idle
            or self._answers(model, flink) != self._answers(model, before)
            or model not in self._answered
        ):
            self._answered[model] = at

    def _answers(self, model: str, flink: FlinkFacts) -> int:
        """Returns how many calls got an answer; those that timed out or found nobody did not."""
        refusals = (
            flink.count(name) for name, cause in self._without_score(model, flink) if cause not in _NO_ANSWER
        )
        return flink.count(f"BuildRevisionScore_scores_{model}") + sum(refusals)

    def _cause(self, model: str, flink: FlinkFacts) -> str:
        """Returns by what most tries of the last minute ended without a score; of a model that gets but
        probes, ever."""
        found: Counter[str] = Counter()
        ever: Counter[str] = Counter()
        for name, cause in self._without_score(model, flink):
            found[cause] += self._history.grown(name)
            ever[cause] += flink.count(name)
        most = (+found or +ever).most_common(1)
        return most[0][0] if most else ""

    def _without_score(self, model: str, flink: FlinkFacts) -> Iterator[tuple[str, str]]:
        """Yields the counters of tries that ended without a score, each with its cause."""
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


def in_plural(fault: ModelFault) -> str:
    """Returns the words for several models that have this fault, to follow their names."""
    return {
        "broken": "are broken, as their endpoints ",
        "silent": "are silent, as their calls ",
        "failing": "fail, as their endpoints ",
    }[fault.kind] + _verb(fault.cause, 2)


def _verb(cause: str, count: int) -> str:
    text = _CAUSES.get(cause, f"answer {cause}" if cause else "give no sign of life")
    if count > 1:
        return text
    first, _, rest = text.partition(" ")
    return " ".join(
        filter(None, [{"do": "does", "give": "gives", "time": "times"}.get(first, f"{first}s"), rest])
    ).replace("they do not", "it does not")
