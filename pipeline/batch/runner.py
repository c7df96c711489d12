"""Where the jobs of a run of `regenerate` run, and what each of its workers may do there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.usage_error import UsageError
from transforms.models.model import Configuration


@dataclass(frozen=True)
class Runner:
    """A runner of Beam's, by its options. `workers`: how many ask at the same time, each by itself."""

    options: Sequence[str] = ()
    workers: int = 1
    is_cluster: bool = False  # whether a job takes seconds to start, so that one does all

    def share_of(self, configuration: Configuration) -> Configuration:
        """Returns the configuration of one worker, so that all together ask no more than one would: a share,
        rounded down, of what each endpoint gets at once and of the calls a second."""
        if self.workers == 1:
            return configuration
        settings = configuration.lift_wing
        rate = settings.calls_per_s and settings.calls_per_s / self.workers
        models = {
            name: model.with_endpoints(
                lambda endpoint: replace(endpoint, concurrency=endpoint.concurrency // self.workers)
            )
            for name, model in configuration.models.items()
        }
        return replace(configuration, models=models, lift_wing=replace(settings, calls_per_s=rate))

    def rounding(self, configuration: Configuration) -> str:
        """Returns in a line what the shares leave of concurrencies; nothing where that is all. Raises
        UsageError when a share would be no call at all."""
        active = [endpoint for model in configuration.models.values() for endpoint in model.active]
        for endpoint in active:
            if endpoint.concurrency < self.workers:
                raise UsageError(
                    f"--parallelism: {self.workers} workers cannot share the concurrency of {endpoint.name}, "
                    f"{endpoint.concurrency}; expected at most {endpoint.concurrency}, or a higher "
                    "concurrency in the models file"
                )
        left = {
            f"{endpoint.model} {endpoint.concurrency - lost} of {endpoint.concurrency}": None
            for endpoint in active
            if (lost := endpoint.concurrency % self.workers)
        }
        told = f"{self.workers} workers share what is asked at once, rounded down: "
        return told + ", ".join(left) if left else ""
