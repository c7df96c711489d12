"""What must hold in each run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.simulator.clock import EPOCH
from tests.simulator.flink import Checkpoint, Task, TaskState
from tests.simulator.ledger import Ledger, Name, Request, names_in
from tests.simulator.lift_wing import LiftWing, Phase, Service, is_rejected
from tests.simulator.scenario import PASSING, Scenario
from transforms.async_io.timer_tag import Tag

# in which a call that is answered is written, and one for which there is room goes out: looks of 2.5 s,
# bundles, checkpoints
HOME_S = 8.0
# after the end of a trouble its endpoint is called again: the longest pause of a breaker, and some
BACK_S = 36.0
DOWN_S = 10.0  # after which a process knows that an endpoint is down
WINDOW_S = 60.0  # after a trouble, for the rate of what comes
START_S = 3.0  # an endpoint that is back gets one call at first, then more and more
MEAN_OF_LOGNORMAL = 1.083  # of what `lift_wing.Endpoint.seconds` is multiplied with


def not_kept(checkpoint: Checkpoint, ledger: Ledger) -> Iterator[str]:
    """Requests that have not ended and are lost if the job goes on at this checkpoint."""
    positions = {
        partition: position
        for state in checkpoint.tasks.values()
        for partition, position in state.positions.items()
    }
    read = [
        each
        for each in ledger.open.values()
        if all(position < positions[partition] for partition, position in each.places)
    ]
    if not read:
        return
    kept: set[Name] = set()
    for state in checkpoint.tasks.values():
        kept |= _held(state)
        kept.update(name for _, (_, value) in state.unsent for name in names_in(value))
    for request in read:
        if request.name not in kept:
            yield f"lost: {shown(request)} has not ended and is not in checkpoint {checkpoint.number}"


def not_held(state: TaskState, came: dict[Name, Request]) -> Iterator[str]:
    """Of the requests that came to a task, those that have not ended and are not in its snapshot: whoever has
    them now may fail."""
    held = _held(state)
    for name, request in came.items():
        if not request.ends and name not in held:
            yield f"out of hand: {shown(request)} has not ended and is not in the snapshot of its task"


def _held(state: TaskState) -> set[Name]:
    return {
        name
        for (_, state_id, _), values in state.bags.items()
        if state_id in ("pending", "undelivered")
        for value in values
        for name in names_in(value)
    }


def miscounted(tasks: Sequence[Task]) -> Iterator[str]:
    """Of the tasks of one process, between their bundles: whether its client counts who found no room as
    state and timers have it."""
    asking = [
        task.instance.fns[task.stage.root]
        for task in tasks
        if task.instance and hasattr(task.instance.fns[task.stage.root], "lift_wing")
    ]
    if not asking or any(task.instance and task.instance.in_use for task in tasks):
        return
    client = asking[0].lift_wing
    counted: Counter[str] = Counter()
    for task in tasks:
        for _, name, _, tag in task.state.timers if task.stage.root.label.endswith("AskInState") else ():
            if name == "ts-look" and (said := Tag.decode(tag)).process == client.id:
                counted.update(_sums(said))
    for fn in asking:
        counted.update(
            each.request.model
            for state in fn._in_flight.keys.values()
            for each in state.open.values()
            if each.counted
        )
    for model, stats in client.stats().items():
        if stats.waiting != counted[model]:
            yield (
                f"miscounted: {stats.waiting} requests for {model} wait by the count, "
                f"{counted[model]} in fact"
            )


def _sums(tag: Tag) -> Counter[str]:
    sums: Counter[str] = Counter()
    for rest in tag.rests:
        sums[rest.model] += rest.counted
    return sums


def left_over(tasks: Sequence[Task]) -> Iterator[str]:
    """What is still in state when everything has ended."""
    for task in tasks:
        for (_, state_id, key), values in task.state.bags.items():
            if state_id in ("pending", "undelivered"):
                yield f"left over: {len(values)} values in {state_id} of {key}"


def shown(request: Request) -> str:
    return (
        f"{request.name.wiki} {request.name.rev_id} {request.name.model} (came at "
        f"{request.came_at - EPOCH:.2f})"
    )


def after_all(scenario: Scenario, ledger: Ledger, lift_wing: LiftWing) -> Iterator[str]:
    """What a run that is over must have left."""
    yield from (f"unknown: {each}" for each in ledger.unknown)
    ids: dict[str, Request] = {}
    for request in ledger.requests.values():
        if not request.ends:
            yield f"no end: {shown(request)}"
        for is_score in (True, False):
            if len({end.id for end in request.ends if end.is_score == is_score}) > 1:
                yield f"more than one id: {shown(request)}"
        for end in request.ends:
            if ids.setdefault(end.id, request) is not request:
                yield f"the id of another: {shown(request)}"
        if (
            scenario.is_calm
            and len(request.ends) > 1
            and (len(request.places) == 1 or scenario.deployment.each_event_once)
        ):
            yield f"ended {len(request.ends)} times without a reason: {shown(request)}"
        yield from _wrong_end(request, scenario, lift_wing)
    for service in scenario.services:
        yield from _pressed(service, scenario)
        yield from _unfair(service, scenario, ledger, lift_wing)
        if (
            scenario.is_calm
            and not service.phases
            and not scenario.deployment.is_bounded
            and not scenario.troubles
        ):
            yield from _late(service, scenario, ledger)


def _wrong_end(request: Request, scenario: Scenario, lift_wing: LiftWing) -> Iterator[str]:
    """A request ends as a failure only if its revision or its endpoint is the reason, or its age."""
    service = lift_wing.endpoints[request.endpoint]
    rejected = is_rejected(service, request.name.rev_id)
    for end in request.ends:
        age = end.at - request.came_at
        if end.is_score and rejected:
            yield f"a score of what was rejected: {shown(request)}"
        if (
            not end.is_score
            and not rejected
            and all(phase.what in PASSING for phase in service.phases)
            and age < 0.4 * scenario.deployment.max_age_s
        ):
            yield f"given up after {age:.1f} s ({end.reason}): {shown(request)}"


def _pressed(service: Service, scenario: Scenario) -> Iterator[str]:
    """No process has more calls at an endpoint than the models file lets it, nor calls one that is down but
    now and then."""
    if service.max_batch_size > scenario.deployment.concurrency:
        yield f"pressed: {service.max_batch_size} calls at once of one process at {service.name}"
    for phase in service.phases:
        if phase.what not in ("refused", "502", "503", "504") or _overlaps(phase, service.phases):
            continue
        by_process: dict[str, list[float]] = {}
        for at, name in service.called:
            if phase.begins <= at < phase.ends:
                by_process.setdefault(name, []).append(at)
        for times in by_process.values():  # a process that begins amid it has to learn of it, too
            begin = times[0] + DOWN_S
            calls = sum(at >= begin for at in times)
            if calls > 3 + max(0.0, phase.ends - begin) / 2:
                yield f"pressed: {calls} calls of one process at {service.name} while it is down"


def _overlaps(phase: Phase, phases: Sequence[Phase]) -> bool:
    return any(
        other is not phase and other.begins < phase.ends and phase.begins < other.ends for other in phases
    )


def _late(service: Service, scenario: Scenario, ledger: Ledger) -> Iterator[str]:
    """Of an endpoint that is well, whatever happens to the others."""
    burst = sum(many for _, _, many, wiki in scenario.bursts if service.name.startswith(wiki))
    bound = HOME_S + (30 + 1.5 * burst / (service.workers - 1)) * service.seconds
    for request in ledger.requests.values():
        if (
            request.endpoint == service.name
            and request.ends
            and (took := request.ends[0].at - request.came_at) > bound
        ):
            yield f"late: {shown(request)} took {took:.1f} s, and its endpoint is well"


def _unfair(service: Service, scenario: Scenario, ledger: Ledger, lift_wing: LiftWing) -> Iterator[str]:
    """Of what came while an endpoint was in trouble: called within waiting / max(rate - arrivals, rate / 2) x
    1.5 + 5 s once it is back."""
    if (
        scenario.kills
        or scenario.rescales
        or scenario.failing
        or scenario.troubles
        or scenario.deployment.is_bounded
    ):
        return
    of_endpoint = [each for each in ledger.requests.values() if each.endpoint == service.name]
    for phase in service.phases:
        back = min((at for at in service.answered_at if at >= phase.ends), default=None)
        waiting = [
            each
            for each in of_endpoint
            if each.came_at < phase.ends and (not each.ends or each.ends[0].at >= phase.ends)
        ]
        if not waiting:
            continue
        if back is None or back > phase.ends + BACK_S:
            yield (
                f"not called: {service.name} is back since {phase.ends - EPOCH:.1f} and answered first "
                f"{_after(back, EPOCH)}"
            )
            continue
        back = max(back, _known_to_all(service, phase))
        bound = _bound_s(service, of_endpoint, len(waiting), back)
        for request in waiting:
            called = lift_wing.called_at.get((service.name, request.name.rev_id))
            if called is None and request.ends:
                yield f"never called: {shown(request)}"
            elif called is None or called - back > bound:
                yield (
                    f"starved: {shown(request)} was called {_after(called, back)} after {service.name} "
                    f"was back; bound {bound:.1f} s, {len(waiting)} waiting"
                )


def _known_to_all(service: Service, phase: Phase) -> float:
    """When each process that called in a trouble has called again, by itself: it knows of no other."""
    called = {name for at, name in service.called if phase.begins <= at < phase.ends}
    again = [
        min((at for at, name in service.called if name == each and at >= phase.ends), default=phase.ends)
        for each in called
    ]
    return min(phase.ends + BACK_S, max(again, default=phase.ends))


def _after(at: float | None, begin: float) -> str:
    return "never" if at is None else f"{at - begin:.1f} s"


def _bound_s(service: Service, requests: list[Request], waiting: int, back: float) -> float:
    """How long what waits for an endpoint that is back may have to wait for its call."""
    rate = (service.workers - 1) / (service.seconds * MEAN_OF_LOGNORMAL)
    arrivals = sum(back <= each.came_at < back + WINDOW_S for each in requests) / WINDOW_S
    return waiting / max(rate - arrivals, rate / 2) * 1.5 + 5.0 + START_S
