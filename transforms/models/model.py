"""What the steps know of a model: its endpoints on Lift Wing, its rule, its stream.
`pipeline/config/models_file.py` reads them from YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from transforms.events.score_events import ScoreStream
from transforms.events.source_events import REVISION_CREATE
from transforms.models.adapters import KINDS
from transforms.models.wikis import Wikis, shipped_wikis

ANY_WIKI = "*"


@dataclass(frozen=True)
class Endpoint:
    """One model of one wiki as Lift Wing serves it, or of all wikis."""

    wiki: str  # database name: enwiki; or ANY_WIKI
    model: str
    namespace: str  # Kubernetes namespace of the service: revscoring-editquality-damaging
    on: str  # ORES' event kind, a key of event_kinds.EVENT_KINDS
    concurrency: int  # calls at once, per worker process, at most; 0: its requests wait until that changes
    enabled: bool = True
    url: str | None = None  # None: Lift Wing's
    kind: str = "revscoring"  # a key of adapters.KINDS
    service: str | None = None  # where its name is not the model's

    @cached_property
    def name(self) -> str:
        """What KServe calls the model."""
        return self.model if self.wiki == ANY_WIKI else f"{self.wiki}-{self.model}"

    @cached_property
    def readiness_path(self) -> str:
        """The path where KServe says whether the model is loaded."""
        return f"/v1/models/{self.name}"

    @cached_property
    def path(self) -> str:
        """The path that is asked for scores."""
        return f"{self.readiness_path}:predict"

    @cached_property
    def host(self) -> str:
        """The Host header, by which Lift Wing's gateway finds the service."""
        return f"{self.service or self.name}.{self.namespace}.wikimedia.org"


@dataclass(frozen=True)
class Model:
    """A model, the wikis it serves and the stream its scores go to."""

    name: str
    stream: str
    endpoints: Mapping[str, Endpoint]  # by wiki or ANY_WIKI, those that are switched off included
    match: Mapping[str, Any] = field(default_factory=dict)
    match_not: tuple[Mapping[str, Any], ...] = ()
    # how long a call takes, for estimates; the default is what all of them take in the mean
    call_s: float = 0.5
    mediawiki_calls: int = 1  # what a call asks of the wiki's own API, for estimates
    kind: str = "revscoring"  # a key of adapters.KINDS
    source: str = REVISION_CREATE  # the kind of event that asks for it, a key of events.source_events.STREAMS
    older_schema: str | None = None  # of its events, in place of its kind's

    @property
    def schema(self) -> str:
        """The `$schema` of its events."""
        return self.older_schema or KINDS[self.kind].schema

    @cached_property
    def score_stream(self) -> ScoreStream:
        """Where the events of its scores go."""
        return ScoreStream(self.name, self.stream, self.schema)

    @property
    def active(self) -> list[Endpoint]:
        """Its endpoints that are on."""
        return [endpoint for endpoint in self.endpoints.values() if endpoint.enabled]

    def endpoint(self, wiki: str) -> Endpoint | None:
        """Returns where a wiki's revisions are scored; None for a wiki that it does not serve."""
        return self.endpoints.get(wiki) or self.endpoints.get(ANY_WIKI)

    def with_endpoints(self, changed: Callable[[Endpoint], Endpoint]) -> Model:
        """Returns the model with each endpoint changed."""
        return replace(self, endpoints={wiki: changed(endpoint) for wiki, endpoint in self.endpoints.items()})


@dataclass(frozen=True)
class LiftWingSettings:
    """Where Lift Wing is and how long to wait for it."""

    url: str
    timeout_s: float = 30.0
    max_age_s: float = 3600.0  # a request that found no answer for so long becomes a failure
    # calls at once over all endpoints, per worker process; below the sum of their limits a model can take the
    # room of another
    in_flight: int = 2000
    ca_file: str | None = None  # PEM bundle that signs Lift Wing's certificate; None: the host's own
    calls_per_s: float | None = None  # over all endpoints, per worker process; None: as many as they take
    by_host: bool = True  # the Host header names the service; the public gateway finds it by the path
    token: str | None = field(default=None, repr=False)  # of the public gateway
    wikis: Wikis = field(default_factory=shipped_wikis, repr=False)  # by which a request names its wiki
    token_file: str | None = None  # the same, read again when the file changes; before `token`
    contact: str | None = None  # of whoever runs this, for the User-Agent


@dataclass(frozen=True)
class Configuration:
    """A whole models file."""

    lift_wing: LiftWingSettings
    models: Mapping[str, Model]
    failure_stream: str
    datacenters: tuple[str, ...]  # the prefixes a topic may have: eqiad, codfw

    @property
    def wikis(self) -> Wikis:
        """The wikis there are."""
        return self.lift_wing.wikis
