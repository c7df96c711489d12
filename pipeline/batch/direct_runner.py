"""What the commands that come to an end share: a run on the DirectRunner, whose bundles wait for Lift Wing,
and an account of it."""

from __future__ import annotations

import gc
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline.console.columns import print_columns
from pipeline.process.limits import release_memory
from transforms.models.model import Configuration, Model
from transforms.worker.fuse import blown_fuse_in

_GC_THRESHOLD = 50_000  # new containers between two walks; Python's default is 700


def without_stopped(configuration: Configuration) -> Configuration:
    """Returns the configuration without the endpoints that get no calls (`concurrency: 0`), for which no
    bundle can wait; prints which these are."""
    endpoints = [endpoint for model in configuration.models.values() for endpoint in model.endpoints.values()]
    if stopped := sorted(
        endpoint.name for endpoint in endpoints if endpoint.enabled and not endpoint.concurrency
    ):
        print(f"not called, as their concurrency is 0: {', '.join(stopped)}")
    models = {
        name: model.with_endpoints(
            lambda endpoint: replace(endpoint, enabled=endpoint.enabled and endpoint.concurrency > 0)
        )
        for name, model in configuration.models.items()
    }
    return replace(configuration, models=models)


def new_pipeline(options: Sequence[str]) -> beam.Pipeline:
    """Returns a pipeline for the runner that the options name, or else for the DirectRunner proper, which by
    name alone would first try to download and start Prism."""
    runner = None if any(option.startswith("--runner") for option in options) else FnApiRunner()
    return beam.Pipeline(runner=runner, options=PipelineOptions(list(options)))


def tune_gc() -> None:
    """Leaves what is imported, all of Beam, out of the collector's walks, which took a tenth of a run's CPU,
    and has it walk less often: events hold no circles."""
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)


def run(pipeline: beam.Pipeline) -> tuple[Counter[str], dict[str, tuple[int, int, int]]]:
    """Runs a pipeline to its end; returns its counters by step and name, and by model how many calls there
    were, their sum and the longest in ms.

    Ends the process with exit code 1 and one line when a step's fuse blows.
    """
    # what a step raises comes out of the run, too
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except RuntimeError as error:
        if blown := blown_fuse_in(error):
            raise SystemExit(f"revision-scores: the run ends at {blown}") from error
        raise
    finally:
        release_memory()  # a pipeline is full of circles
    counters: Counter[str] = Counter()
    metrics = result.metrics().query()
    for counter in metrics["counters"]:
        counters[f"{counter.key.metric.namespace}/{counter.key.metric.name}"] += counter.result or 0
    times = {each.key.metric.name.removeprefix("call_ms_"): each.result for each in metrics["distributions"]}
    return counters, {
        model: (time.count, time.sum, time.max) for model, time in times.items() if time and time.count
    }


def print_models(
    configuration: Configuration, counters: Mapping[str, int], destination: str, of: Callable[[Model], object]
) -> None:
    """Prints a line for each model that had requests, with where its scores are, which `of` tells."""
    rows: list[Sequence[object]] = []
    for model in configuration.models.values():
        requests, scores = (
            counters.get(f"SelectModels/requests_{model.name}", 0),
            counters.get(f"BuildRevisionScore/scores_{model.name}", 0),
        )
        if requests:
            rows.append([model.name, requests, scores, requests - scores, of(model)])
    header = ["model", "requests", "scores", "failures", destination]
    print_columns(header, rows, right=header[1:4])


def print_reasons(reasons: Counter[str], most: int) -> None:
    """Prints the `most` most common ones, and how many there are beside them."""
    for reason, count in reasons.most_common(most):
        print(f"{count:>8}  {reason}")
    if len(reasons) > most:
        print(f"          and {len(reasons) - most} other reasons")
