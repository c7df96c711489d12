"""The command `watch` itself: reads, counts, and publishes once a second."""

from __future__ import annotations

import argparse
import time

from pipeline.kafka_settings import Kafka, input_topics
from pipeline.signals import stop_on_signals
from pipeline.watch.board import BoardMaker
from pipeline.watch.gauges import FlinkGauges
from pipeline.watch.messages import Messages
from pipeline.watch.recent import slice_of
from pipeline.watch.server import Events, PageServer
from pipeline.watch.tally import Tally
from pipeline.wrong_use import WrongUse
from transforms.models import Configuration

_TAKE_S, _PUBLISH_S = 0.2, 1.0


def run(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Serves the page until SIGTERM or Ctrl-C. Gives 0."""
    kafka = Kafka(arguments.kafka, arguments.kafka_properties)
    stop, events = stop_on_signals(), Events()
    tally = Tally(configuration, input_topics(configuration, arguments.input_topics))
    messages = Messages(kafka, tally.topics)
    flink = FlinkGauges(arguments.flink, arguments.group, tally.models) if arguments.flink else None
    maker = BoardMaker(configuration, tally, messages, flink)
    try:
        server = PageServer(arguments.address, arguments.port, events)
    except OSError as error:
        raise WrongUse(f"--port: {arguments.address}:{arguments.port} cannot be listened on: {error.strerror}; name another one") from error
    print(f"watching {kafka.address} at {server.url}; Ctrl-C stops", flush=True)
    due, told, begun = 0.0, 0, False
    while not stop.is_set():
        for message in messages.take(_TAKE_S):
            tally.take(message.topic(), message.value(), message.timestamp()[1] / 1000, time.time())
        if messages.has_history and not begun:
            begun = True
            tally.begin()
        if (now := time.time()) >= due:
            due = now + _PUBLISH_S
            tally.forget(now, maker.parked)
            maker.note_calls(now)
            events.publish("board", maker.board(now))
            if slice_of(now) > told:
                told = slice_of(now)
                events.publish("lines", maker.lines(now))
    server.shutdown()
    messages.close()
    return 0
