"""Under which names the page may be asked for: a stranger's page whose name is made to lead here (DNS
rebinding) must not read it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit


class AllowedHosts:
    """Addresses, localhost, this machine's own name, and the `others` that lead here, as behind a proxy. An
    address cannot be made to lead elsewhere."""

    REPAIR = (
        b"this page is not served under that name; open it by its address, or start watch with "
        b"--host-names NAME\n"
    )

    def __init__(self, others: str | None = None) -> None:
        """`others`: names with commas between."""
        self._names = {
            name.strip().lower().rstrip(".") for name in [socket.gethostname(), *(others or "").split(",")]
        } - {""}

    def allow(self, headers: Sequence[str]) -> bool:
        """Returns whether a request with these Host headers may have the page. A browser sends one."""
        if len(headers) != 1 or set(headers[0]) & set("@/?#\\"):
            return False
        try:
            name = (urlsplit(f"//{headers[0].strip()}").hostname or "").rstrip(".")
        except ValueError:  # no port, no address
            return False
        return name == "localhost" or name.endswith(".localhost") or name in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
