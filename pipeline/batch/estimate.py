"""`regenerate --dry-run`: what a run would ask of Lift Wing and of the wikis behind it, how long that takes
and what it leaves; asks nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pipeline.batch.chunks import chunks, partitions_of
from pipeline.batch.plan import Planner
from pipeline.console.columns import print_columns
from transforms.datasets.event_files import InputFile, read_file
from transforms.events.parsing import NotAnEventError, event_in, why_dropped
from transforms.events.source_events import event_of
from transforms.models.model import Configuration, Endpoint
from transforms.models.scorable import why_no_score
from transforms.models.selection import Selection
from transforms.select_models import AlreadyScored

# measured on the edits of the demo; titles and names differ by wiki
_BYTES_A_SCORE = {"parquet": 330, "avro": 400, "jsonl": 250}
_SHOWN = 5


@dataclass
class _Counts:
    """What the input holds."""

    events: int = 0
    unreadable: int = 0  # pieces that are no event or cannot become a score
    there: int = 0  # scores that are there already
    calls: Counter[Endpoint] = field(default_factory=Counter)


def run(configuration: Configuration, files: Sequence[InputFile], planner: Planner) -> int:
    """Prints the estimate. Returns 0."""
    counts = _Counts()
    for chunk in chunks(files):
        plan = planner.plan(configuration, chunk, partitions_of(chunk))
        for text in [*plan.remarks, *plan.blocked.values()]:
            print(text)
        _count(counts, configuration, chunk, planner.done(plan))
    _print_events(counts)
    _print_models(configuration, counts.calls, _BYTES_A_SCORE[planner.writer.format])
    if counts.calls:
        _print_time(configuration, counts.calls)
        _print_busiest(configuration, counts.calls)
    print("nothing was called")
    return 0


def _count(
    counts: _Counts, configuration: Configuration, files: Sequence[InputFile], done: AlreadyScored
) -> None:
    selection = Selection(configuration.models, configuration.wikis)
    for file in files:
        for raw in read_file(file):
            try:
                event = event_of(event_in(raw), raw.datacenter, raw.partition)
            except NotAnEventError:
                counts.unreadable += 1
                continue
            if not why_dropped(event.raw):
                counts.events += 1
                for endpoint in selection.endpoints(event.raw):
                    if done(event, endpoint.model):
                        counts.there += 1
                    elif why_no_score(event.raw, configuration.models[endpoint.model].schema):
                        counts.unreadable += 1
                    else:
                        counts.calls[endpoint] += 1


def _print_events(counts: _Counts) -> None:
    print(
        f"\n{counts.events} events, {sum(counts.calls.values())} calls"
        + (f"; {counts.there} scores are there already" if counts.there else "")
    )
    if counts.unreadable:
        one = counts.unreadable == 1
        print(
            f"{counts.unreadable} {'row or file is no event' if one else 'rows or files are no events'}, and "
            f"will be {'a failure' if one else 'failures'}"
        )


def _print_models(configuration: Configuration, calls: Counter[Endpoint], bytes_a_score: int) -> None:
    rows: list[Sequence[object]] = []
    for model in configuration.models.values():
        of_model = {endpoint: count for endpoint, count in calls.items() if endpoint.model == model.name}
        if of_model:
            total = sum(of_model.values())
            at_the_limits = _time(_seconds(configuration, of_model))
            size = _size(total * bytes_a_score)
            rows.append(
                [model.name, total, len(of_model), total * model.mediawiki_calls, at_the_limits, size]
            )
    print()
    header = ["model", "calls", "wikis", "to MediaWiki", "at the limits", "output"]
    print_columns(header, rows, right=header[1:])


def _seconds(configuration: Configuration, calls: Counter[Endpoint] | dict[Endpoint, int]) -> float:
    """Returns how long the busiest of the endpoints takes, at as many calls at once as it is allowed."""
    return max(
        count * configuration.models[endpoint.model].call_s / endpoint.concurrency
        for endpoint, count in calls.items()
    )


def _print_time(configuration: Configuration, calls: Counter[Endpoint]) -> None:
    settings, rate = configuration.lift_wing, configuration.lift_wing.calls_per_s
    in_turn = sum(count * configuration.models[endpoint.model].call_s for endpoint, count in calls.items())
    paced = sum(calls.values()) / rate if rate else 0.0
    seconds = max(in_turn / settings.in_flight, paced, _seconds(configuration, calls))
    limits = f"{settings.in_flight} calls at once" + (f" and {rate:g} a second" if rate else "")
    print(f"\nall models together, {limits} at most: {_time(seconds)}")


def _print_busiest(configuration: Configuration, calls: Counter[Endpoint]) -> None:
    """Names the endpoints that take longest, and the wikis with most calls."""
    seconds = {endpoint: _seconds(configuration, {endpoint: count}) for endpoint, count in calls.items()}
    slowest = sorted(calls, key=lambda endpoint: -seconds[endpoint])[:_SHOWN]
    print("longest: " + _names(f"{endpoint.name} {_time(seconds[endpoint])}" for endpoint in slowest))
    wikis: Counter[str] = Counter()
    for endpoint, count in calls.items():
        wikis[endpoint.wiki] += count
    print("busiest wikis: " + _names(f"{wiki} {count}" for wiki, count in wikis.most_common(_SHOWN)))


def _names(texts: Iterable[str]) -> str:
    return ", ".join(texts)


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
