"""The token that a client shows Lift Wing's gateway: given once, or in a file that is read again when it
changes."""

from __future__ import annotations

import logging
import os
import re
import threading
from functools import cache
from pathlib import Path

from transforms.models.model import LiftWingSettings

_TOKEN = re.compile(r"[\x21-\x7e]+")  # what may stand in a header as it is
_LOGGER = logging.getLogger(__name__)


class TokenError(ValueError):
    """A file holds no token; the text says what was expected, and never what the file holds."""


def authorization(settings: LiftWingSettings) -> list[str]:
    """Returns the header lines that say who calls, with the token of this moment. Costs one stat() of the
    token's file."""
    token = _token_file(settings.token_file).current() if settings.token_file else settings.token
    return [f"Authorization: Bearer {token}"] if token else []


def read_token(path: str | Path) -> str:
    """Returns the token in a file. Raises OSError, or TokenError when the file is not one line of printable
    ASCII."""
    text = Path(path).read_bytes().decode("ascii", "replace").strip()
    if not is_token(text):
        raise TokenError("expected one line with a token of printable ASCII without spaces")
    return text


def is_token(text: str) -> bool:
    """Returns whether a header can hold it."""
    return _TOKEN.fullmatch(text) is not None


class _TokenFile:
    """A token file that is read again when it is another one. While it cannot be read, the last token counts.
    Safe from any thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._token: str | None = None
        self._seen: tuple[int, ...] = ()
        self._told = ""  # what is wrong with the file

    def current(self) -> str | None:
        with self._lock:
            try:
                status = os.stat(self._path)
                seen = (status.st_mtime_ns, status.st_ino, status.st_size)
                if seen != self._seen:
                    self._token, self._seen = read_token(self._path), seen
                    self._told = ""
            except (OSError, TokenError) as error:
                self._tell(error.strerror or "cannot be read" if isinstance(error, OSError) else str(error))
            return self._token

    def _tell(self, what: str) -> None:
        if what != self._told:
            self._told = what
            _LOGGER.error(
                "token file %s: %s; the last token that was read is used until it can be read",
                self._path,
                what,
            )


@cache
def _token_file(path: str) -> _TokenFile:
    """One for the process, so that all connections see a change at once."""
    return _TokenFile(path)
