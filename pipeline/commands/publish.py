"""The command `publish`: what the datasets say, in tables of Iceberg."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pipeline.config.overrides import load_with
from pipeline.config.shared_options import DatasetsOptions
from pipeline.options import option
from pipeline.process.directory_lock import locked_dataset
from pipeline.usage_error import UsageError
from transforms.datasets.dataset_writer import DatasetWriter
from transforms.models.model import Configuration

NAMESPACE = "event"

Publish = Callable[[DatasetWriter, Configuration], bool]  # see publication.publish


@dataclass(frozen=True, kw_only=True)
class Options(DatasetsOptions):
    catalog: str = option(
        "--catalog", required=True, metavar="NAME", help="a catalog of pyiceberg's configuration"
    )
    namespace: str = option(
        "--namespace", default=NAMESPACE, metavar="NAME", help=f"of the tables (default: {NAMESPACE})"
    )


def run(options: Options) -> int:
    """Makes a snapshot of each table that has something new. Returns 1 when something cannot be read or
    committed."""
    configuration = load_with(options.models, options.overrides)
    options.models_there(configuration.models.values())
    writer, publish = DatasetWriter(options.root.resolve()), into(options.catalog, options.namespace)
    with locked_dataset(writer, ""):
        writer.recover()
        is_whole = publish(writer, configuration)
    return 0 if is_whole else 1


def into(catalog: str, namespace: str) -> Publish:
    """Returns what publishes a dataset in a catalog. Raises UsageError where that cannot be opened."""
    try:
        from pipeline.batch import publication
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--catalog: tables of Iceberg need pyiceberg ({error}); pip install 'revision-scores[iceberg]'"
        ) from error
    return partial(publication.publish, catalog=publication.open_catalog(catalog), namespace=namespace)
