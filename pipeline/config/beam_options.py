"""Options for Beam and its runners. Beam itself passes over what it does not know; here that is an error."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection, Iterator, Sequence

import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from pipeline.usage_error import UsageError


def check(options: Sequence[str], also_known: Collection[str] = ()) -> None:
    """Raises UsageError when an option is neither Beam's nor `also_known`, the runner's own."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False, add_help=False, argument_default=argparse.SUPPRESS, exit_on_error=False
    )
    for family in _families(PipelineOptions):
        if "_add_argparse_args" in vars(family):
            family._add_argparse_args(parser)
    try:
        _, unknown = parser.parse_known_args(list(options))
    except argparse.ArgumentError as error:
        raise UsageError(f"Beam option {error}") from error
    own = {option for action in parser._actions for option in action.option_strings}
    for option in unknown:
        name = option.partition("=")[0]
        if name.startswith("--") and name.removeprefix("--") in also_known:
            continue
        if not option.startswith("--") and _is_value(option, options, also_known):
            continue
        near = difflib.get_close_matches(name, [*own, *(f"--{known}" for known in also_known)], n=1)
        raise UsageError(
            f"unknown option {name}"
            + (f"; did you mean {near[0]}?" if near else "; neither this command nor Beam has it")
        )


def _is_value(word: str, options: Sequence[str], also_known: Collection[str]) -> bool:
    """Returns whether a word follows an option of the runner, as its value."""
    before = options[options.index(word) - 1] if options.index(word) else ""
    return before.removeprefix("--") in also_known


def of_job_server(job_endpoint: str) -> set[str]:
    """Returns the names of the options that a job server's runner has.

    `job_endpoint`: HOST:PORT.
    """
    with grpc.insecure_channel(job_endpoint) as channel:
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        described = service.DescribePipelineOptions(
            beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=30
        )
    return {option.name for option in described.options}


def _families(base: type[PipelineOptions]) -> Iterator[type[PipelineOptions]]:
    for family in base.__subclasses__():
        yield family
        yield from _families(family)
