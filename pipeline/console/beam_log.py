"""The log of what Beam's client says."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from pipeline.console.command_log import formatter

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
# of Beam: how it reads our type hints, and that it passes over options which the job server takes
_CHATTER = (
    "apache_beam.typehints.native_type_compatibility",
    "apache_beam.options.pipeline_options",
    "apache_beam.transforms.core",
)


def log_to(file: Path, log_format: str, log_level: str) -> None:
    """Sends what Beam's client says into a file of its own, and the complaints of its threads when they are
    stopped. `log_format`: text or json."""
    handler = logging.FileHandler(file)
    handler.setFormatter(formatter("json", "stream") if log_format == "json" else logging.Formatter(_FORMAT))
    logging.basicConfig(handlers=[handler], level=log_level.upper(), force=True)
    # a disk that is full is told by the observer, not by a traceback for each line
    logging.raiseExceptions = False
    if log_level != "debug":
        for name in _CHATTER:
            logging.getLogger(name).setLevel(logging.ERROR)
    threading.excepthook = lambda trouble: logging.getLogger(__name__).info(
        "thread %s ended",
        trouble.thread,
        exc_info=(trouble.exc_type, trouble.exc_value or trouble.exc_type(), trouble.exc_traceback),
    )
