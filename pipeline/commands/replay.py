"""The command `replay`: failures of a stream go through the same steps once more, on the DirectRunner."""

from __future__ import annotations

import logging
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException

from pipeline.batch import direct_runner
from pipeline.config.beam_options import check as check_beam_options
from pipeline.config.kafka import Kafka
from pipeline.config.overrides import load_with, names_in
from pipeline.config.shared_options import ClientOptions, KafkaOptions
from pipeline.config.topics import failure_topics, output_topics
from pipeline.graph import score_revisions
from pipeline.options import flag, option
from pipeline.times import time_of
from pipeline.usage_error import UsageError
from transforms.async_io.bundle_async import BundleAsync
from transforms.connectors.dead_letter_source import ReadDeadLetters, ReplayDecision, ReplayFilter, decisions
from transforms.connectors.kafka_sink import WriteToKafka
from transforms.connectors.offset_ranges import offset_ranges
from transforms.models.model import Configuration

_REASONS_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Options(KafkaOptions, ClientOptions):
    failures: str | None = option(
        "--failures",
        metavar="TOPICS",
        help="with commas between (default: the failure stream of each datacenter)",
    )
    reason: str | None = option(
        "--reason", metavar="REGEX", help="only failures whose message has something like this"
    )
    since: str | None = option(
        "--since", metavar="TIME", help="only failures from then on, such as 2024-02-15T13:00, in UTC"
    )
    dry_run: bool = flag(
        "--dry-run", help="say what would be tried again, by model and reason; calls nothing"
    )


def run(options: Options, beam_options: list[str]) -> int:
    """Tries again what failed before now, and prints what came of it. Returns 1 when some failed again."""
    configuration = load_with(options.models, options.overrides)
    check_beam_options(beam_options)
    topics = failure_topics(configuration, options.failures)
    configuration = direct_runner.without_stopped(configuration)
    chosen, since = _filter(configuration, options), time_of("--since", options.since)
    kafka = Kafka(options.kafka, options.kafka_properties)
    kafka.check_topics(topics, [] if options.dry_run else output_topics(configuration, topics))
    try:
        ranges = offset_ranges(kafka.client, topics, round(since.timestamp() * 1000) if since else None)
        again, refused = _counted(decisions(kafka.client, ranges, chosen))
    except KafkaException as error:
        raise UsageError(f"--failures: {', '.join(topics)} cannot be read: {error.args[0].str()}") from error
    _print_plan(again, refused, topics)
    if options.dry_run or not again:
        return 0
    print(f"asking {configuration.lift_wing.url}", flush=True)
    source = ReadDeadLetters(kafka.address, kafka.properties, ranges, chosen)
    return _report(configuration, _score(configuration, kafka, source, beam_options))


def _filter(configuration: Configuration, options: Options) -> ReplayFilter:
    reason = options.reason or ""
    try:
        re.compile(reason)
    except re.error as error:
        raise UsageError(
            f"--reason: expected a regular expression, got {reason!r} ({error}); put a backslash "
            "before what is meant as it is"
        ) from error
    only, wikis = (
        frozenset(names_in(given)) if given else frozenset() for given in (options.only, options.wikis)
    )
    return ReplayFilter(configuration.models, only, wikis, reason, configuration.wikis)


def _counted(all_decisions: Iterable[ReplayDecision]) -> tuple[Counter[str], Counter[str]]:
    """Returns how many are tried again, by model (or step) and reason, and how many are not, by refusal."""
    again: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for decision in all_decisions:
        if decision.again:
            again[f"{decision.owner}: {decision.reason}"] += 1
        else:
            refused[decision.refusal] += 1
    return again, refused


def _print_plan(again: Counter[str], refused: Counter[str], topics: Sequence[str]) -> None:
    print(f"{again.total() + refused.total()} failures in {', '.join(topics)}, {again.total()} to try again")
    direct_runner.print_reasons(again, _REASONS_SHOWN)
    if refused:
        print("not tried again:")
    for refusal, count in refused.most_common():
        print(f"{count:>8}  {refusal}")


def _score(
    configuration: Configuration, kafka: Kafka, source: ReadDeadLetters, beam_options: list[str]
) -> Counter[str]:
    """Runs the graph, and returns its counters by step and name. Ends the process on SIGTERM or Ctrl-C."""
    direct_runner.tune_gc()
    pipeline = direct_runner.new_pipeline(beam_options)
    sink = WriteToKafka(kafka.address, configuration.failure_stream, kafka.properties)
    score_revisions(pipeline, configuration, source, sink, BundleAsync())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return direct_runner.run(pipeline)[0]
    except KeyboardInterrupt:
        logging.disable()
        print("stopped; the failures are still there to be tried again", file=sys.stderr)
        raise SystemExit(130) from None


def _report(configuration: Configuration, counters: Counter[str]) -> int:
    print()
    direct_runner.print_models(configuration, counters, "stream", lambda model: model.stream)
    of_models = sum(counters[f"ScoreWithLiftWing/failures_{model}"] for model in configuration.models)
    failed = of_models + sum(
        counters[f"{step}/failures"]
        for step in ("ReadEvents", "SelectModels", "BuildRevisionScore", "WritePerModel")
    )
    print(
        f"{failed} failed again, and are in {configuration.failure_stream} again"
        if failed
        else "none failed again"
    )
    return 1 if failed else 0
