"""The command `check`: looks at all that a run of `stream` with the same options needs, before there is one,
and changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from confluent_kafka import KafkaException

from pipeline.checks import certificates as check_certificates
from pipeline.checks import eventgate as check_eventgate
from pipeline.checks import flink as check_flink
from pipeline.checks import lift_wing as check_lift_wing
from pipeline.checks import metrics_port as check_metrics_port
from pipeline.checks import models_file as check_models_file
from pipeline.checks import schemas as check_schemas
from pipeline.checks import state as check_state
from pipeline.checks import topics as check_topics
from pipeline.checks.findings import WRONG, Finding, ok, skipped, tell, unseen, wrong
from pipeline.commands.stream_job import identity_of, topics_of, written_streams
from pipeline.commands.stream_options import Options as Options
from pipeline.commands.stream_options import check_use
from pipeline.config.beam_options import check as check_beam_options
from pipeline.config.eventgate import addresses, check_answers
from pipeline.config.kafka import Kafka
from pipeline.flink.job_server import find_jar
from pipeline.flink.state_identity import Identity
from pipeline.process.child_process import ServerError, find_java
from pipeline.usage_error import UsageError
from transforms.models.model import Configuration

_UNREADABLE = "the models file does not say"


def run(options: Options, beam_options: list[str]) -> int:
    """Looks at everything, whatever else is wrong, and so takes as long as the slowest look. Returns 1 when
    something is wrong or could not be looked at."""
    configuration, of_models = check_models_file.look(options.models, options.overrides)
    looks: list[Callable[[], Iterable[Finding]]] = [
        partial(usage, options, beam_options),
        java,
        jar,
        partial(kafka, configuration, options),
        partial(eventgate, configuration, options),
        partial(check_lift_wing.look, configuration),
        partial(event_schemas, configuration, options),
        partial(certificates, configuration, options),
        partial(state, configuration, options),
        partial(check_metrics_port.look, options.metrics_port, options.flink),
    ]
    if options.flink:
        looks.append(partial(check_flink.look, options.flink, options.workers, options.group, beam_options))
    with ThreadPoolExecutor(len(looks)) as pool:
        found = pool.map(lambda look: list(look()), looks)
    return tell([*of_models, *(finding for findings in found for finding in findings)])


def usage(options: Options, beam_options: Sequence[str]) -> Iterator[Finding]:
    """Yields what is wrong with options that exclude each other, and with Beam's."""
    try:
        check_use(options, beam_options)
    except UsageError as error:
        yield wrong("options", error)
    try:
        check_beam_options(beam_options)
    except UsageError as error:
        # without a dash, as those of Flink's runner are
        if unknown := re.match(r"unknown option --\w+(?=;)", str(error)):
            why = f"{unknown[0]} to Beam, but Flink's runner may know it, and tells at the start"
            yield skipped("options", why)
        else:
            yield wrong("options", error)


def java() -> Iterator[Finding]:
    try:
        yield ok("java", find_java())
    except ServerError as error:
        yield wrong("java", error)


def jar() -> Iterator[Finding]:
    try:
        yield ok("jar", str(find_jar()))
    except FileNotFoundError as error:
        yield wrong("jar", error)


def kafka(configuration: Configuration | None, options: Options) -> Iterator[Finding]:
    """Looks at the broker, and at the topics that it has."""
    read: list[str] = []
    written: list[str] = []
    hidden = None if configuration else unseen("topics", _UNREADABLE)
    try:
        read, written = topics_of(configuration, options) if configuration else ([], [])
    except UsageError as error:
        hidden = wrong("topics", error)
    try:
        broker = Kafka(options.kafka, options.kafka_properties)
        absent = broker.absent(read, written)
    except UsageError as error:
        yield wrong("kafka", error)
        yield hidden or unseen(
            "topics", f"no broker tells of the {len(read)} to read and the {len(written)} to write"
        )
        return
    yield ok("kafka", f"the broker at {options.kafka} lets us in")
    if hidden or absent.missing:
        yield hidden or wrong("topics", broker.lacks(absent.missing))
    made = list(_made(broker, read, written))
    yield from made
    if not hidden and not absent.missing and not any(finding.state == WRONG for finding in made):
        created = f", of which the broker creates {len(absent.created)}" if absent.created else ""
        yield ok("topics", f"{len(read)} to read, {len(written)} to write{created}")


def _made(broker: Kafka, read: Sequence[str], written: Sequence[str]) -> Iterator[Finding]:
    """Yields what is wrong with the topics that are there."""
    try:
        yield from check_topics.look(broker, read, written)
    except KafkaException as error:
        yield unseen("topics", f"how they are made ({error.args[0].str()})")


def eventgate(configuration: Configuration | None, options: Options) -> Iterator[Finding]:
    """Looks at each EventGate that `--output` names."""
    if options.output == "kafka":
        return
    if configuration is None:
        yield unseen("eventgate", f"{_UNREADABLE} of which datacenters")
        return
    try:
        urls = dict.fromkeys(addresses(options.output, configuration).values())
    except UsageError as error:
        yield wrong("eventgate", error)
        return
    for url in urls:
        try:
            check_answers(url)
            yield from check_eventgate.look(url, written_streams(configuration, options))
        except UsageError as error:
            yield wrong("eventgate", error)


def certificates(configuration: Configuration | None, options: Options) -> Iterator[Finding]:
    """Looks at the certificates of all servers over TLS, and at ours."""
    gates: Iterable[str] = ()
    with suppress(UsageError):  # another line tells
        if configuration and options.output != "kafka":
            gates = addresses(options.output, configuration).values()
    asked = check_certificates.servers(configuration, gates)
    try:
        broker = Kafka(options.kafka, options.kafka_properties)
    except UsageError:  # another line tells
        yield from check_certificates.look(asked)
    else:
        yield from check_certificates.look(
            [*asked, *check_certificates.brokers(broker.addresses(), broker.client)], broker.client
        )


def event_schemas(configuration: Configuration | None, options: Options) -> list[Finding]:
    """Looks at the schemas of all streams that are written."""
    if configuration is None:
        return [unseen("schemas", _UNREADABLE)]
    return check_schemas.look(written_streams(configuration, options))


def state(configuration: Configuration | None, options: Options) -> Iterator[Finding]:
    """Looks at the folder of the state, and whether what is there belongs to this Kafka and group."""
    return check_state.look(
        options.state_folder, partial(_identity, configuration, options), adopt=options.adopt_state
    )


def _identity(configuration: Configuration | None, options: Options) -> Identity | None:
    """Returns what the state of such a run belongs to; None where another line tells why nobody knows."""
    if configuration is None:
        return None
    try:
        kafka = Kafka(options.kafka, options.kafka_properties)
        return identity_of(options, kafka, topics_of(configuration, options)[0])
    except UsageError:
        return None
