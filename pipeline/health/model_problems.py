"""What is wrong with the models of a stream: a sentence for each model, or one for all that have the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.health.facts import Facts, FlinkFacts
from pipeline.health.history import History
from pipeline.health.model_faults import ModelFault, ModelFaults, in_plural
from pipeline.health.problems import ILL, STOPPED, Problem

_MANY = 3  # models that have the same at once, for it to be one problem


class ModelProblems:
    """Finds the problems of models by a stream's facts, which are in its history already."""

    def __init__(self, models: Sequence[str], history: History) -> None:
        self._models, self._history = models, history
        self._faults = ModelFaults(models, history)
        self._shared: set[tuple[str, str]] = set()  # kinds and causes that many models had, until none has

    def forget_answers(self) -> None:
        """Has the silence of each model begin anew: what waits for something else is no fault of a model."""
        self._faults.forget_answers()

    def find(self, facts: Facts) -> Iterator[Problem]:
        """Yields one problem for what many models have in common, until none has it any more."""
        if facts.flink is None or facts.flink.state != "RUNNING":
            self.forget_answers()  # none comes back to a job that does not run
            return
        faults = {
            model: fault
            for model in self._models
            if (fault := self._faults.find(model, facts.at, facts.flink))
        }
        alike: dict[tuple[str, str], list[str]] = {}
        for model, fault in faults.items():
            alike.setdefault((fault.kind, fault.cause), []).append(model)
        self._shared &= set(alike)
        self._shared |= {common for common, names in alike.items() if len(names) >= _MANY}
        for common, names in alike.items():
            if common in self._shared:
                yield self._of_many(names, faults[names[0]], facts.flink)
            else:
                yield from (_of_one(name, faults[name]) for name in names)

    def _of_many(self, names: Sequence[str], fault: ModelFault, flink: FlinkFacts) -> Problem:
        """Returns the problem that these models have in common; `fault` is that of the first, which may be
        the last one left."""
        count, busy = len(names), sum(self._is_busy(model, flink) for model in self._models)
        is_everything = count >= busy and count >= _MANY
        which = f"all {count} models" if is_everything else f"{count} models ({', '.join(names)})"
        waiting = sum(flink.of_model(where, name) for name in names for where in ("waiting", "in_flight"))
        text = (
            f"Lift Wing: {which} {in_plural(fault)}; {waiting:,} requests wait"
            if count > 1
            else f"{names[0]} {fault.text}"
        )
        return Problem(
            ("models", fault.kind, fault.cause),
            STOPPED if is_everything else ILL,
            text,
            "Lift Wing: its models are well again",
            frozenset(names),
        )

    def _is_busy(self, model: str, flink: FlinkFacts) -> bool:
        return bool(self._history.grown(f"SelectModels_requests_{model}") or flink.of_model("waiting", model))


def _of_one(name: str, fault: ModelFault) -> Problem:
    return Problem(
        ("model", name, fault.kind, fault.cause),
        ILL,
        f"{name} {fault.text}",
        f"{name} is well again",
        frozenset([name]),
    )
