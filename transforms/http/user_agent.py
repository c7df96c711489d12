"""Who we say we are, in all calls."""

from __future__ import annotations

from importlib.metadata import version

import pycurl

_HOME = "https://gitlab.wikimedia.org/repos/machine-learning/revision-scores"


def user_agent(contact: str | None = None) -> str:
    """Returns the User-Agent of all our calls. Wikimedia refuses agents that name no contact: the project's
    home, and `contact` of whoever runs it."""
    return (
        f"revision-scores/{version('revision-scores')} ({_HOME}{f'; {contact}' if contact else ''}) "
        f"libcurl/{pycurl.version_info()[1]}"
    )


USER_AGENT = user_agent()
