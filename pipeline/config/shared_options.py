"""Options that several commands have. Each class adds to those of its parents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import schemas
from pipeline.config.overrides import Overrides, names_in
from pipeline.console.command_log import LEVELS
from pipeline.options import check_reached, directory, option
from pipeline.usage_error import UsageError
from transforms.datasets.storage_paths import Place
from transforms.models.model import Model

_MODELS = Path(__file__).parents[1] / "models.yaml"
# of `stream`, and of what looks at one
GROUP, STATE = "revision-scores", Path("revision-scores-state")


@dataclass(frozen=True, kw_only=True)
class ModelsOptions:
    """Options of commands that read a models file."""

    models: Path = option(
        "--models", type=Path, default=_MODELS, metavar="FILE", help="models file (default: the shipped one)"
    )
    lift_wing: str | None = option(
        "--lift-wing", metavar="URL", help="address of Lift Wing, in place of the models file's"
    )

    @property
    def overrides(self) -> Overrides:
        return Overrides(lift_wing=self.lift_wing)


@dataclass(frozen=True, kw_only=True)
class SomeModelsOptions(ModelsOptions):
    """Options of commands that can work for some models alone."""

    only: str | None = option("--only", metavar="MODELS", help="only these models, with commas between")

    @property
    def overrides(self) -> Overrides:
        return replace(super().overrides, only=self.only)


@dataclass(frozen=True, kw_only=True)
class SomeWikisOptions(SomeModelsOptions):
    """Options of commands that can work for some models and wikis alone."""

    wikis: str | None = option("--wikis", metavar="WIKIS", help="only these wikis, with commas between")

    @property
    def scope(self) -> frozenset[str] | None:
        """The wikis that are asked about; None: all."""
        return None if self.wikis is None else frozenset(names_in(self.wikis))

    @property
    def overrides(self) -> Overrides:
        return replace(super().overrides, wikis=self.wikis)


@dataclass(frozen=True, kw_only=True)
class DatasetsOptions(SomeModelsOptions):
    """Options of commands that read datasets of models."""

    root: Place = option("root", type=directory, metavar="ROOT", help="the --output of regenerate")

    def models_there(self, models: Iterable[Model]) -> list[Model]:
        """Returns those of the models whose dataset lies in the root. Raises UsageError when none does."""
        check_reached(self.root, "ROOT")
        there = [model for model in models if (self.root / schemas.table_name(model.stream)).is_dir()]
        if not there:
            raise self.no_dataset()
        return there

    def no_dataset(self) -> UsageError:
        return UsageError(f"no dataset of a model lies in {self.root}; name the --output of regenerate")


@dataclass(frozen=True, kw_only=True)
class ClientOptions(SomeWikisOptions):
    """Options of commands that call Lift Wing."""

    token_file: Path | None = option(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="a token for Lift Wing's gateway, read again when the file changes",
    )
    contact: str | None = option(
        "--contact", metavar="TEXT", help="who runs this, for the User-Agent: an email address or a page"
    )

    @property
    def overrides(self) -> Overrides:
        return replace(super().overrides, token_file=self.token_file, contact=self.contact)


@dataclass(frozen=True, kw_only=True)
class KafkaOptions:
    """Options of commands that enter Kafka."""

    kafka: str = option("--kafka", required=True, metavar="HOST:PORT", help="brokers, with commas between")
    kafka_properties: Path | None = option(
        "--kafka-properties",
        type=Path,
        metavar="FILE",
        help="TLS and SASL, in the words of Kafka's Java clients; a cluster reads it by the same path",
    )


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """Options of commands that an init system keeps running."""

    log_format: str = option(
        "--log-format",
        choices=["text", "json"],
        default="text",
        help="of what it says: text, or JSON lines with ECS fields (default: text)",
    )
    log_level: str = option(
        "--log-level", choices=list(LEVELS), default="info", help="the least that it says (default: info)"
    )


@dataclass(frozen=True, kw_only=True)
class EventFilesOptions:
    """Options of commands that read events in files."""

    input: str = option(
        "--input",
        required=True,
        metavar="PATH",
        help="events: a file, or a directory in Hive layout or not; here, or in hdfs:// or s3://",
    )
    since: str | None = option(
        "--from", metavar="TIME", help="only partitions from then on, such as 2024-02-15T13:00, in UTC"
    )
    until: str | None = option("--to", metavar="TIME", help="only partitions before then")
