"""Which topics a command reads and writes: DATACENTER.STREAM each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.usage_error import UsageError
from transforms.events.source_events import REVISION_CREATE, STREAMS
from transforms.models.model import Configuration


def input_topics(configuration: Configuration, given: str | None) -> list[str]:
    """Returns the topics that are given with commas between, or those of what the models want.

    Each has a datacenter of the models file as its prefix, under which its scores are written. Raises
    UsageError for another topic.
    """
    if given is None:
        models = [model for model in configuration.models.values() if model.active]
        sources = dict.fromkeys(model.source for model in models) or [REVISION_CREATE]
        return [
            f"{datacenter}.{STREAMS[source]}"
            for datacenter in configuration.datacenters
            for source in sources
        ]
    return _of_datacenters("--input-topics", configuration, given)


def failure_topics(configuration: Configuration, given: str | None) -> list[str]:
    """Returns the topics of failures that are given with commas between, or those of all datacenters. Raises
    UsageError for a topic of no datacenter of the models file."""
    if given is None:
        return [f"{datacenter}.{configuration.failure_stream}" for datacenter in configuration.datacenters]
    return _of_datacenters("--failures", configuration, given)


def _of_datacenters(option: str, configuration: Configuration, given: str) -> list[str]:
    topics = [topic.strip() for topic in given.split(",")]
    for topic in topics:
        if topic.partition(".")[0] not in configuration.datacenters:
            raise UsageError(
                f"{option}: expected topics that begin with "
                f"{' or '.join(f'{name}.' for name in configuration.datacenters)}, got {topic!r}"
            )
    return topics


def output_topics(configuration: Configuration, read: Iterable[str], more: Sequence[str] = ()) -> list[str]:
    """Returns the topics of the scores and failures of what is read, with the same datacenters: a topic for
    each model that is on, and for each stream in `more`."""
    models = [model for model in configuration.models.values() if model.active]
    streams = [*(model.stream for model in models), *more, configuration.failure_stream]
    datacenters = dict.fromkeys(topic.partition(".")[0] for topic in read)
    return [f"{datacenter}.{stream}" for datacenter in datacenters for stream in streams]
