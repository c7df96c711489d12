"""The command `live`: public edits from EventStreams, scored by Lift Wing's public gateway as they come, on
the DirectRunner.

What comes within a second goes through the steps together. How far that is stands in a file beside the
scores, from which the next run goes on.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.batch import direct_runner
from pipeline.commands.live_position import LiveOutput, say
from pipeline.commands.live_scoring import LiveScoring
from pipeline.config.beam_options import check as check_beam_options
from pipeline.config.overrides import load_with, with_lift_wing_url, with_rate_limit
from pipeline.config.shared_options import ClientOptions
from pipeline.options import local_directory, option
from pipeline.process.directory_lock import locked
from pipeline.process.signals import stop_on_signals
from pipeline.times import time_of
from pipeline.usage_error import UsageError
from transforms.connectors.eventstreams import LARGEST_EVENT, EventStreams, RefusedError
from transforms.connectors.eventstreams_position import Position
from transforms.elements import SourceRecord
from transforms.events.source_events import STREAMS
from transforms.http.server_sent_events import ServerSentEvent
from transforms.lift_wing.client import LiftWingClient
from transforms.lift_wing.credentials import is_token
from transforms.models.model import Configuration
from transforms.worker.environment import REAL
from transforms.worker.shared import SHARED

PUBLIC_LIFT_WING = "https://api.wikimedia.org/service/lw/inference"
_PUBLIC_STREAMS = "https://stream.wikimedia.org/v2/stream"
_PUBLIC_RATE = 13.0  # 50,000 an hour is what the public gateway lets somebody without a token ask
_TOGETHER_S, _MOST_TOGETHER = 1.0, 500
_WAITING = 2_000  # events that are read and not yet scored; then the stream waits
_MAX_AGE_S = 30.0  # of a request in a pass; what had no answer till then waits for another one

_Item = tuple[ServerSentEvent, Position] | Exception


@dataclass(frozen=True, kw_only=True)
class Options(ClientOptions):
    streams: str = option(
        "--streams", default=_PUBLIC_STREAMS, metavar="URL", help=f"EventStreams (default: {_PUBLIC_STREAMS})"
    )
    since: str | None = option(
        "--since",
        metavar="TIME",
        help="begin then, such as 2024-02-15T13:00, in UTC (default: where --output stopped, or now)",
    )
    output: Path | None = option(
        "--output",
        type=local_directory,
        metavar="DIR",
        help="files of JSON lines, one a stream; the next run goes on from there",
    )
    events: int | None = option(
        "--events", type=int, metavar="N", help="end after so many, and what came with the last of them"
    )
    max_rate: float = option(
        "--max-rate",
        type=float,
        default=_PUBLIC_RATE,
        metavar="N",
        help=f"calls a second (default: {_PUBLIC_RATE:g}, what the gateway lets anybody ask)",
    )
    token: str | None = option(
        "--token",
        default=os.environ.get("LIFT_WING_TOKEN"),
        metavar="TOKEN",
        help="of api.wikimedia.org (default: LIFT_WING_TOKEN)",
    )


def run(options: Options, beam_options: list[str]) -> int:
    """Scores until SIGTERM or Ctrl-C, or `--events` were read. Returns 0."""
    configuration = load_with(options.models, options.overrides)
    check_beam_options(beam_options)
    time_of("--since", options.since)
    for given in beam_options:
        if given.startswith(("--runner", "--direct_running_mode")):
            raise UsageError(f"{given}: live runs in this process alone; use stream for other runners")
    configuration = direct_runner.without_stopped(_public(configuration, options))
    folder = options.output
    if folder is None:
        _live(configuration, options, beam_options)
        return 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output: {folder} cannot be made: {error.strerror}") from error
    with locked(folder, f"--output: another run writes to {folder}; stop it, or name another directory"):
        _live(configuration, options, beam_options)
    return 0


def _public(configuration: Configuration, options: Options) -> Configuration:
    configuration = with_rate_limit(
        with_lift_wing_url(configuration, options.lift_wing or PUBLIC_LIFT_WING), options.max_rate
    )
    settings = configuration.lift_wing
    token = None if settings.token_file else options.token or None
    if token and not is_token(token):
        raise UsageError(
            "--token: expected a token of printable ASCII without spaces; LIFT_WING_TOKEN may hold one too"
        )
    max_age_s = min(settings.max_age_s, _MAX_AGE_S)
    return dataclasses.replace(
        configuration,
        lift_wing=dataclasses.replace(settings, by_host=False, token=token, max_age_s=max_age_s),
    )


def _live(configuration: Configuration, options: Options, beam_options: list[str]) -> None:
    stop, output = stop_on_signals(), LiveOutput(options.output)
    streams = list(dict.fromkeys(STREAMS[model.source] for model in configuration.models.values()))
    position = output.begin(options.since)
    reader = EventStreams(options.streams, streams, position, configuration.lift_wing.contact, say)
    items = _read_in_thread(reader)
    say(
        f"reading {', '.join(streams)} of {options.streams}, asking {configuration.lift_wing.url}; "
        "Ctrl-C stops"
    )
    left = options.events
    scoring = LiveScoring(configuration, beam_options, output, stop)
    # its connections and limits outlast a pipeline
    SHARED.acquire(LiftWingClient, configuration.lift_wing, REAL)
    try:
        for batch, reached in _batches(items, stop):
            if not scoring.score(batch):
                return
            if reached:
                output.note(reached)
            if left is not None and (left := left - len(batch)) <= 0:
                return
    finally:
        SHARED.release(LiftWingClient, configuration.lift_wing, REAL)
        scoring.close()


def _read_in_thread(reader: EventStreams) -> queue.Queue[_Item]:
    """Returns where the events come that the reader reads, and the error that ends it."""
    items: queue.Queue[_Item] = queue.Queue(_WAITING)
    threading.Thread(target=_read, args=(reader, items), name="event streams", daemon=True).start()
    return items


def _read(reader: EventStreams, items: queue.Queue[_Item]) -> None:
    try:
        for event in reader.events():
            items.put((event, dataclasses.replace(reader.position, offsets=dict(reader.position.offsets))))
    except Exception as error:  # for the main thread to say
        items.put(error)


def _batches(
    items: queue.Queue[_Item], stop: threading.Event
) -> Iterator[tuple[list[SourceRecord], Position | None]]:
    """Yields what came together, and how far the stream is with it; nothing and None, when nothing came for a
    second."""
    while not stop.is_set():
        batch: list[SourceRecord] = []
        reached = None
        until = time.monotonic() + _TOGETHER_S
        while len(batch) < _MOST_TOGETHER and (wait := until - time.monotonic()) > 0 and not stop.is_set():
            try:
                item = items.get(timeout=wait)
            except queue.Empty:
                break
            if isinstance(item, RefusedError):
                raise UsageError(f"--streams: {item}") from item
            if isinstance(item, Exception):
                raise item
            event, reached = item
            problem = f"expected an event of at most {LARGEST_EVENT:,} bytes" if event.too_large else ""
            batch.append(SourceRecord(event.data, _datacenter(event), problem=problem))
        yield batch, reached


def _datacenter(event: ServerSentEvent) -> str:
    """Returns the prefix of the event's topic."""
    return "codfw" if b'"topic":"codfw.' in event.data else "eqiad"
