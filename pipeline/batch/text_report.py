"""The report of a run, for the terminal."""

from __future__ import annotations

import schemas
from pipeline.batch import direct_runner
from pipeline.batch.run_outcome import Outcome
from pipeline.console.columns import counted
from transforms.datasets.storage_paths import Place, address_of
from transforms.lift_wing.responses import NOT_CALLED
from transforms.models.model import Configuration

_REASONS_SHOWN = 10


def print_report(configuration: Configuration, outcome: Outcome, output: Place, narrowed: str) -> None:
    """Prints what became of a run below `output`; `narrowed`: the options that left events out, as they were
    given."""
    if not outcome.counters and not outcome.unfinished:
        print("\nnothing to ask for: every partition has what its input, rule and wikis ask for now")
    else:
        _print_counts(outcome, narrowed)
        direct_runner.print_models(
            configuration,
            outcome.counters,
            "dataset",
            lambda model: address_of(output / schemas.table_name(model.stream)),
        )
    if outcome.unwanted:
        _print_unwanted(outcome)
    if outcome.failures:
        _print_failures(outcome, address_of(output / schemas.table_name(configuration.failure_stream)))
    if outcome.unread:
        _print_unread(outcome)
    if outcome.unfinished:
        _print_unfinished(outcome)
    if outcome.ended:
        print(f"\nno model that was asked gave a score, so nothing more was asked: {outcome.ended}")


def _print_counts(outcome: Outcome, narrowed: str) -> None:
    counters = outcome.counters
    events, without = counters["ReadEvents/events"], counters["SelectModels/dropped_no_model"]
    of_models = narrowed and f" of {narrowed}"
    print(f"\n{counted(events, 'event')}, {without:,} of them without a model{of_models}")
    if done := counters["SelectModels/done_before"]:
        were = "was" if done == 1 else "were"
        print(f"{counted(done, 'score')} {were} there already, or not to be asked for")


def _print_failures(outcome: Outcome, place: str) -> None:
    print(f"\n{counted(outcome.failures.total(), 'failure')}, with their originals in {place}")
    direct_runner.print_reasons(outcome.failures, _REASONS_SHOWN)


def _print_unread(outcome: Outcome) -> None:
    print(
        f"\n{counted(len(outcome.unread), 'file')} could not be read; the partitions have what the "
        "others hold, and --resume tries again:"
    )
    for reason in outcome.unread:
        print(f"          {reason}")


def _print_unwanted(outcome: Outcome) -> None:
    """Names the rows that stay though no event of the input, no rule and no wiki asks for them any more."""
    print(
        f"\n{counted(outcome.unwanted.total(), 'row')} kept that the input, the rules and the wikis do not "
        "ask for any more; --overwrite removes them:"
    )
    for model in sorted({model for model, _ in outcome.unwanted}):
        of_model = {
            partition: count for (name, partition), count in sorted(outcome.unwanted.items()) if name == model
        }
        print(
            f"{sum(of_model.values()):>8}  {model} "
            f"({next(iter(of_model))}{', …' if len(of_model) > 1 else ''})"
        )


def _print_unfinished(outcome: Outcome) -> None:
    count = len(outcome.unfinished)
    print(
        f"\n{counted(count, 'partition')} {'is' if count == 1 else 'are'} not written, as not all their "
        "scores could be had; --resume goes on with them:"
    )
    alike: dict[tuple[str, str], list[str]] = {}
    for (model, partition), reasons in outcome.unfinished.items():
        reason = reasons.most_common(1)[0][0].rpartition(NOT_CALLED)[2]
        alike.setdefault((model, reason), []).append(partition)
    for (model, reason), partitions in alike.items():
        print(
            f"{len(partitions):>8}  {model}: {reason} ({partitions[0]}{', …' if len(partitions) > 1 else ''})"
        )
