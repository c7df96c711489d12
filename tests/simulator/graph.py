"""The steps of a Beam pipeline as Flink runs them: fused into stages, of which each but the first begins with
a step that has state."""

from __future__ import annotations

import inspect
import io
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import apache_beam as beam
from apache_beam.internal.cloudpickle import cloudpickle
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.transforms.userstate import TimerSpec

# of each parameter that Beam fills: its name, what is wanted, and the id of the state or timer
Binding = Sequence[tuple[str, str, str]]


@dataclass(eq=False)
class Step:
    """One transform: a DoFn, or a Flatten, which passes on what comes."""

    label: str
    fn: Any  # None: a Flatten
    arguments: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)
    consumers: dict[str | None, list[Step]] = field(default_factory=dict)  # by tag
    binding: Binding = ()
    # the callback of each timer
    timers: dict[str, tuple[Callable[..., Any], Binding]] = field(default_factory=dict)

    @property
    def is_stateful(self) -> bool:
        return bool(self.binding or self.timers)


@dataclass(eq=False)
class Stage:
    """Steps that one worker runs in one bundle. `steps` is in the order in which bundles are started and
    finished."""

    number: int
    root: Step
    steps: list[Step]
    # by the stateful steps that other stages begin with
    outputs: dict[Step, Stage] = field(default_factory=dict)

    @cached_property
    def with_method(self) -> dict[str, list[Step]]:
        """Which steps have something to do at the begin and at the end of a bundle."""
        fns = {step: type(step.fn) for step in self.steps if step.fn is not None}
        return {
            name: [step for step, fn in fns.items() if getattr(fn, name) is not getattr(beam.DoFn, name)]
            for name in ("start_bundle", "finish_bundle")
        }

    def pickled(self) -> bytes:
        """The DoFns as they travel to a worker."""
        file = io.BytesIO()
        _Pickler(file).dump([step.fn for step in self.steps])
        return file.getvalue()


OWN = ("Environment", "NewProducer", "Modelled")  # types of which each worker has a value of its own


class _Pickler(cloudpickle.Pickler):
    """Leaves out what the worker has of its own."""

    def persistent_id(self, value: Any) -> str | None:
        return type(value).__name__ if type(value).__name__ in OWN else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, own: Callable[[str], Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._own = own

    def persistent_load(self, name: str) -> Any:
        return self._own(name)


def unpickled(data: bytes, own: Callable[[str], Any]) -> list[Any]:
    """The DoFns in a worker that has of its own what `own` returns by type."""
    return list(_Unpickler(data, own).load())


def stages_of(pipeline: beam.Pipeline) -> list[Stage]:
    """The stages, each before those that it feeds. What comes of Impulse is the input of the first."""
    visitor = _Visitor()
    pipeline.visit(visitor)
    stages: list[Stage] = []
    by_root: dict[Step, Stage] = {}
    roots = [visitor.first]
    for root in roots:
        stage = by_root[root] = Stage(len(stages), root, list(_fused(root, roots)))
        stages.append(stage)
    for stage in stages:
        for step in stage.steps:
            for consumers in step.consumers.values():
                stage.outputs.update(
                    (consumer, by_root[consumer]) for consumer in consumers if consumer in by_root
                )
    return stages


def _fused(step: Step, roots: list[Step]) -> Iterator[Step]:
    """The step and what runs in one bundle with it; stateful steps that it feeds become roots."""
    order: list[Step] = []

    def visit(step: Step) -> None:
        for consumers in reversed(step.consumers.values()):
            for consumer in reversed(consumers):
                if consumer.is_stateful:
                    if consumer not in roots:
                        roots.append(consumer)
                elif consumer not in order:
                    visit(consumer)
        order.insert(0, step)

    visit(step)
    return iter(order)


class _Visitor(PipelineVisitor):
    def __init__(self) -> None:
        self.first: Step
        self._producers: dict[Any, tuple[Step, str | None]] = {}
        self._impulses: set[Any] = set()

    def visit_transform(self, node: AppliedPTransform) -> None:
        if isinstance(node.transform, beam.Impulse):
            self._impulses.update(node.outputs.values())
            return
        step = _step(node)
        for value in node.inputs:
            if value in self._impulses:
                self.first = step
            else:
                producer, tag = self._producers[value]
                producer.consumers.setdefault(tag, []).append(step)
        self._producers.update((value, (step, tag)) for tag, value in node.outputs.items())


def _step(node: AppliedPTransform) -> Step:
    if isinstance(node.transform, beam.Flatten):
        return Step(node.full_label, None)
    fn = node.transform.fn
    step = Step(
        node.full_label,
        fn,
        tuple(node.transform.args),
        dict(node.transform.kwargs),
        binding=_binding(fn.process),
    )
    for spec in vars(type(fn)).values():
        if isinstance(spec, TimerSpec):
            step.timers[spec.name] = spec._attached_callback, _binding(spec._attached_callback)
    return step


def _binding(method: Callable[..., Any]) -> Binding:
    bound = []
    for name, parameter in inspect.signature(method).parameters.items():
        default = parameter.default
        if isinstance(default, beam.DoFn.StateParam):
            bound.append((name, "state", default.state_spec.name))
        elif isinstance(default, beam.DoFn.TimerParam):
            bound.append((name, "timer", default.timer_spec.name))
        elif default is beam.DoFn.KeyParam:
            bound.append((name, "key", ""))
        elif default is beam.DoFn.DynamicTimerTagParam:
            bound.append((name, "tag", ""))
    return bound
