"""Chromium, for pictures of the live page and for its tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Yields a headless browser. Raises FileNotFoundError when none is installed."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        raise FileNotFoundError("chromium is not on the PATH; install it: make browser")
    running = playwright.chromium.launch(executable_path=found, args=_OPTIONS)
    try:
        yield running
    finally:
        running.close()
