"""What a seed makes of a run: the models file, the layout, the traffic, and everything that goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import UUID

from tests.simulator.clock import EPOCH
from tests.simulator.flink import Layout
from tests.simulator.kafka import Trouble
from tests.simulator.lift_wing import HANGING, STALLED, Phase, Service
from transforms.events.source_events import PAGE_CHANGE
from transforms.models.model import ANY_WIKI, Configuration, Endpoint, LiftWingSettings, Model

# after which a request is tried again until it is too old
PASSING = (STALLED, HANGING, "refused", "502", "503", "504", "429", "401", "403")
LASTING = ("garbage", "nested", "500", "404")
PARTITIONS = 4


@dataclass(frozen=True)
class Deployment:
    """A models file, and how the stream is started. Few differ, as the graph of each is built once."""

    concurrency: int = 5  # of each endpoint
    max_age_s: float = 3600.0
    in_flight: int = 2000
    calls_per_s: float | None = None
    timeout_s: float = 10.0
    stopped: str = ""  # the endpoint that gets no calls
    each_event_once: bool = False

    @property
    def is_bounded(self) -> bool:
        """Whether one endpoint can take the room of another."""
        return self.in_flight < 1000 or self.calls_per_s is not None

    def configuration(self) -> Configuration:
        settings = LiftWingSettings(
            "http://lift-wing", self.timeout_s, self.max_age_s, self.in_flight, calls_per_s=self.calls_per_s
        )
        models = {
            "damaging": self._model("damaging", ["enwiki", "dewiki"]),
            "goodfaith": self._model("goodfaith", ["enwiki"]),
            "revertrisk": self._model("revertrisk", [ANY_WIKI], kind="revertrisk", source=PAGE_CHANGE),
        }
        return Configuration(settings, models, "errors", ("eqiad",))

    def _model(self, name: str, wikis: Sequence[str], **told: Any) -> Model:
        endpoints = {
            wiki: Endpoint(wiki, name, name, "edit", self.concurrency, kind=told.get("kind", "revscoring"))
            for wiki in wikis
        }
        endpoints = {
            wiki: replace(each, concurrency=0) if each.name == self.stopped else each
            for wiki, each in endpoints.items()
        }
        return Model(name, f"scores.{name}", endpoints, **told)


NAMES = ("enwiki-damaging", "dewiki-damaging", "enwiki-goodfaith", "revertrisk")  # of all endpoints
PLAIN = Deployment()
DEPLOYMENTS = (
    PLAIN,
    PLAIN,
    replace(PLAIN, concurrency=2),
    replace(PLAIN, concurrency=20),
    replace(PLAIN, each_event_once=True),
    replace(PLAIN, max_age_s=90.0),
    replace(PLAIN, in_flight=8),
    replace(PLAIN, calls_per_s=15.0),
)


@dataclass
class Scenario:
    seed: int
    deployment: Deployment
    layout: Layout
    services: list[Service]
    # by partition; when it comes, and the event
    messages: list[list[tuple[float, Any]]] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    older: list[float] = field(default_factory=list)  # kills after which it goes on at an older checkpoint
    rescales: list[tuple[float, Layout, Deployment]] = field(default_factory=list)
    failing: list[tuple[float, float, float]] = field(default_factory=list)  # from, to, share of elements
    # from, to, how many events, of which wiki
    bursts: list[tuple[float, float, int, str]] = field(default_factory=list)
    declined: float = 0.0
    checkpoint_s: float = 5.0

    @property
    def is_calm(self) -> bool:
        """Whether nothing that is written can be written twice."""
        return not (self.kills or self.rescales or self.failing or self.troubles)

    @property
    def ends(self) -> float:
        """When all that goes wrong is over, and all events have come."""
        times = [message[0] for partition in self.messages for message in partition]
        times += [phase.ends for service in self.services for phase in service.phases] + [
            trouble.ends for trouble in self.troubles
        ]
        return max(
            [*times, *self.kills, *(at for at, *_ in self.rescales), *(end for _, end, _ in self.failing)]
        )


def scenario_of(seed: int) -> Scenario:
    random = Random(seed)
    deployment, layout = random.choice(DEPLOYMENTS), _layout(random)
    services = [
        Service(
            name,
            random.choice((0.1, 0.3, 0.8)),
            deployment.concurrency + 1,
            rejected=random.choice((0.0, 0.0, 0.05)),
        )
        for name in NAMES
    ]
    scenario = Scenario(seed, deployment, layout, services, checkpoint_s=random.choice((1.5, 3.0, 5.0)))
    lasts = random.choice((10.0, 20.0, 40.0))
    for trouble in _TROUBLES[seed % len(_TROUBLES)]:
        trouble(scenario, random, lasts)
    scenario.messages = _messages(scenario, random, lasts)
    return scenario


def _layout(random: Random) -> Layout:
    return Layout(random.choice((1, 1, 2, 2, 3, 4)), random.choice((1, 2, 2, 4)), random.choice((1, 1, 2)))


# What goes wrong


def _endpoint_in_trouble(scenario: Scenario, random: Random, lasts: float) -> None:
    service = random.choice(scenario.services)
    begins = EPOCH + random.uniform(2, lasts / 2)
    ends = begins + random.choice((4.0, 8.0, 20.0, 40.0))
    what = random.choice((*PASSING, STALLED, HANGING, *LASTING))
    service.phases = [
        *service.phases,
        Phase(what, begins, ends, random.choice((0.0, 0.0, 3.0)) if what in ("429", "503") else 0.0),
    ]
    if random.random() < 0.3:  # so many that a model is asked for several at once
        scenario.bursts.append((begins, min(begins + 2.0, ends), random.randint(30, 80), ""))


def _stall(scenario: Scenario, random: Random, lasts: float) -> None:
    """One endpoint says nothing for less than a call may take, so that no call fails, while much comes for
    it; at times as much as it can take goes on coming once it is back."""
    scenario.deployment = replace(scenario.deployment, timeout_s=30.0, max_age_s=3600.0)
    service = random.choice(scenario.services[:2])
    begins = EPOCH + random.uniform(5, 12)
    service.seconds = 0.3
    ends = begins + random.choice((8.0, 15.0, 25.0))
    service.phases = [Phase(STALLED, begins, ends)]
    scenario.bursts = [(begins + 2.0, begins + 7.0, random.randint(150, 250), service.name[:6])]
    if random.random() < 0.3:
        lasting = 1000 * service.seconds / scenario.deployment.concurrency
        scenario.bursts.append((ends, ends + lasting, 1000, service.name[:6]))


def _kills(scenario: Scenario, random: Random, lasts: float) -> None:
    scenario.kills = sorted(EPOCH + random.uniform(1, lasts + 10) for _ in range(random.randint(1, 3)))
    scenario.older = [at for at in scenario.kills if random.random() < 0.2]


def _bundles_fail(scenario: Scenario, random: Random, lasts: float) -> None:
    begins = EPOCH + random.uniform(1, lasts)
    scenario.failing = [(begins, begins + random.uniform(1, 10), random.choice((0.002, 0.01)))]


def _rescales(scenario: Scenario, random: Random, lasts: float) -> None:
    layout, deployment = _layout(random), scenario.deployment
    if random.random() < 0.4:
        deployment = replace(deployment, stopped="" if deployment.stopped else random.choice(NAMES))
    at = EPOCH + random.uniform(2, lasts)
    scenario.rescales = [(at, layout, deployment)]
    if deployment.stopped:
        scenario.rescales.append((at + random.uniform(20, 60), _layout(random), scenario.deployment))


def _kafka_in_trouble(scenario: Scenario, random: Random, lasts: float) -> None:
    begins = EPOCH + random.uniform(1, lasts)
    topic = random.choice(("", "", "eqiad.scores.damaging", "eqiad.errors"))
    scenario.troubles = [
        Trouble(
            random.choice(("away", "slow", "slow", "refuses", "forgets")),
            begins,
            begins + random.uniform(1, 20),
            topic,
        )
    ]


def _checkpoints_declined(scenario: Scenario, random: Random, lasts: float) -> None:
    scenario.declined = random.choice((0.3, 0.7))


_TROUBLES = (
    (),
    (_endpoint_in_trouble,),
    (_stall,),
    (_kills,),
    (_kills, _rescales),
    (_bundles_fail, _checkpoints_declined),
    (_kafka_in_trouble, _kills),
    (_endpoint_in_trouble, _kills),
    (_endpoint_in_trouble, _endpoint_in_trouble, _rescales),
    (_endpoint_in_trouble, _kafka_in_trouble, _kills, _bundles_fail, _checkpoints_declined),
)


# What comes in


def _messages(scenario: Scenario, random: Random, lasts: float) -> list[list[tuple[float, Any]]]:
    """Events at a rate that the endpoints can take, with bursts, and a pause before the last ones."""
    partitions: list[list[tuple[float, Any]]] = [[] for _ in range(PARTITIONS)]
    rate = min(
        random.choice((1.0, 2.0, 4.0)),
        0.8 * scenario.deployment.concurrency,
        0.3 * (scenario.deployment.calls_per_s or 1000.0),
    )
    now, number = EPOCH + random.uniform(0, 3), 0
    times = []
    while now < EPOCH + lasts:
        now += random.expovariate(rate)
        times += [now] * (random.randint(20, 40) if random.random() < 0.01 else 1)
    if random.random() < 0.3:
        times += [now + 130.0 + each for each in range(5)]  # after this long an idle instance is gone
    wikis = [(at, "") for at in times] + [
        (random.uniform(begin, end), wiki) for begin, end, many, wiki in scenario.bursts for _ in range(many)
    ]
    for number, (at, wiki) in enumerate(wikis):
        event = _event(scenario.seed * 100_000 + number + 1, random, wiki)
        partition = random.choice(partitions)
        partition.append((at, event))
        if random.random() < 0.02:
            partition.append((at + random.uniform(0, 3), event))  # comes again
    for partition in partitions:
        partition.sort(key=lambda message: message[0])
    return partitions


def _event(number: int, random: Random, of: str) -> Mapping[str, Any]:
    wiki = of or random.choice(("enwiki", "enwiki", "dewiki"))
    meta = {
        "id": str(UUID(int=number)),
        "dt": "2023-11-14T22:13:20Z",
        "domain": f"{wiki[:2]}.wikipedia.org",
        "uri": "https://wikipedia.org/wiki/A",
    }
    if not of and random.random() < 0.3:
        return {
            "$schema": "/mediawiki/page/change/1.3.0",
            "meta": {**meta, "stream": "mediawiki.page_change.v1"},
            "dt": "2023-11-14T22:13:20Z",
            "changelog_kind": "update",
            "page_change_kind": "edit",
            "wiki_id": wiki,
            "page": {"page_id": number, "page_title": "A", "namespace_id": 0, "is_redirect": False},
            "performer": {"user_text": "B", "groups": ["*"], "is_bot": False},
            "revision": {
                "rev_id": number,
                "rev_dt": "2023-11-14T22:13:20Z",
                "rev_parent_id": 1,
                "is_minor_edit": False,
            },
        }
    return {
        "$schema": "/mediawiki/revision/create/2.0.0",
        "meta": {**meta, "stream": "mediawiki.revision-create"},
        "dt": "2023-11-14T22:13:20Z",
        "database": wiki,
        "page_id": number,
        "page_title": "A",
        "page_namespace": 0,
        "page_is_redirect": False,
        "performer": {"user_text": "B", "user_groups": ["*"], "user_is_bot": False},
        "rev_id": number,
        "rev_timestamp": "2023-11-14T22:13:20Z",
        "rev_parent_id": 1,
    }
