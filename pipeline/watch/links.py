"""Where a reader of the page finds more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Links:
    """Addresses that the command line names; None: nobody named one."""

    lift_wing: str | None = None
    runbook: str | None = None
    grafana: str | None = None

    def shown(self, flink: str) -> list[tuple[str, str]]:
        """Returns name and address of each that there is; `flink` is HOST:PORT of the JobManager."""
        found = {
            "Runbook": self.runbook,
            "Flink": f"http://{flink}" if flink else None,
            "Grafana": self.grafana,
        }
        return [(name, url) for name, url in found.items() if url]
