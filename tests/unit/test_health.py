"""What is said of a stream that is not well: by what Flink, Kafka and the disk tell of it, and in which
words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.health.diagnosis import Diagnosis
from pipeline.health.facts import Facts, FlinkFacts, KafkaFacts, Metric, Partition, counts
from pipeline.health.notifier import Notifier
from pipeline.process.disk import Room

NOW = 1_700_000_000.0
MODELS = ("damaging", "goodfaith", "articletopic")
WELL = FlinkFacts(
    job_id="7", state="RUNNING", started_at=NOW - 1000, task_managers=1, last_checkpoint=NOW + 1000
)


def with_metrics(**metrics: float) -> FlinkFacts:
    return replace(WELL, metrics={name: Metric(value, value) for name, value in metrics.items()})


def said(*looks: Facts, models: tuple[str, ...] = MODELS, topics: tuple[str, ...] = ()) -> list[str]:
    """Of the last of several looks."""
    diagnosis = Diagnosis(models, topics)
    return [problem.text for problem in [diagnosis.find(facts) for facts in looks][-1]]


def of_flink(**metrics: float) -> Facts:
    return Facts(NOW, with_metrics(**metrics))


BROKEN = {
    "ScoreWithLiftWing_broken_damaging": 1,
    "ScoreWithLiftWing_waiting_damaging": 458,
    "ScoreWithLiftWing_retries_damaging_503": 7,
}
ALL_BROKEN = {
    f"ScoreWithLiftWing_{name}_{model}": value
    for model in MODELS
    for name, value in {"broken": 1, "waiting": 10, "retries_timeout_of": 0}.items()
} | {f"ScoreWithLiftWing_retries_{model}_timeout": 5 for model in MODELS}


@pytest.mark.parametrize(
    ("facts", "texts"),
    [
        (
            Facts(NOW, WELL, KafkaFacts(lag={Partition("a", 0): 900}), Room(Path("/s"), 9**12, 9**12, 0, 0)),
            [],
        ),
        (Facts(NOW), []),
        (
            of_flink(**BROKEN),
            [
                "damaging is broken: an endpoint answers 503, and gets a probe now and then; 458 requests "
                "wait, none is lost"
            ],
        ),
        (
            of_flink(**ALL_BROKEN),
            ["Lift Wing: all 3 models are broken, as their endpoints time out; 30 requests wait"],
        ),
        (
            Facts(NOW, FlinkFacts("no JobManager answers at a:1")),
            ["no JobManager answers at a:1; nothing is scored until then"],
        ),
        (
            Facts(NOW, replace(WELL, task_managers=0)),
            ["Flink has no TaskManager, and waits for one; nothing is scored until then"],
        ),
        (Facts(NOW, replace(WELL, state="RESTARTING", why="x: y")), ["Flink starts the job again: x: y"]),
        (Facts(NOW, replace(WELL, failed_at=NOW - 10, why="x")), ["Flink starts the job again: x"]),
        (Facts(NOW, replace(WELL, failed_at=NOW - 20, why="x")), []),
        (Facts(NOW, replace(WELL, last_checkpoint=NOW - 185)), ["no checkpoint was completed for 3 min 5 s"]),
        (Facts(NOW, replace(WELL, started_at=NOW - 60, last_checkpoint=None)), []),
        (Facts(NOW, replace(WELL, state="INITIALIZING", started_at=NOW - 60)), []),
        (Facts(NOW, replace(with_metrics(**BROKEN), state="INITIALIZING", failed_at=NOW - 30)), []),
        (
            Facts(NOW, replace(WELL, state="INITIALIZING", started_at=NOW - 70)),
            ["the job has been starting for 1 min 10 s: its processes are not up yet, or restore its state"],
        ),
        (
            Facts(NOW, replace(WELL, restarts=3, failed_at=NOW - 500, why="x")),
            ["the job restarts again and again, 3 times or more in ten minutes, last because: x"],
        ),
        (Facts(NOW, replace(WELL, restarts=3, failed_at=NOW - 700, why="x")), []),
        (
            Facts(NOW, WELL, KafkaFacts("no broker answers at b:1 (x)")),
            ["Kafka is away: no broker answers at b:1 (x); the stream waits for it"],
        ),
        (
            Facts(NOW, with_metrics(**BROKEN), KafkaFacts("gone")),
            ["Kafka is away: gone; the stream waits for it"],
        ),
        (
            Facts(NOW, WELL, KafkaFacts(missing=["eqiad.a"])),
            ["the broker has no topic eqiad.a; what goes there waits"],
        ),
        (of_flink(WritePerModel_waiting_deliveries_a_b=12), []),
        (
            Facts(NOW, WELL, None, Room(Path("/s"), 2 * 10**8, 10**11, 0, 0)),
            ["the disk of --state is nearly full: 200.0 MB of 100.0 GB are free at /s"],
        ),
        (
            Facts(NOW, WELL, None, Room(Path("/s"), 0, 10**9, 0, 0)),
            ["the disk of --state is full: 0.0 MB of 1.0 GB are free at /s"],
        ),
    ],
)
def test_what_is_wrong_now_is_a_sentence(facts: Facts, texts: list[str]) -> None:
    assert said(facts) == texts


def grown(first: Mapping[str, float], then: Mapping[str, float], seconds: float = 50) -> list[str]:
    return said(Facts(NOW, with_metrics(**first)), Facts(NOW + seconds, with_metrics(**then)))


def test_what_grows_within_a_minute_is_told() -> None:
    requests = "SelectModels_requests_damaging"
    failures = {"ScoreWithLiftWing_failures_damaging": 30, "ScoreWithLiftWing_failures_damaging_no_score": 30}
    text = "damaging fails: 30 requests of the last minute became failures (no_score)"
    assert grown({requests: 100}, {requests: 200, **failures}) == [text]
    assert grown({requests: 100, **failures}, {requests: 200, **failures}) == []
    assert grown({}, {"ReadEvents_lost_expired": 7}) == [
        "7 events are lost, as Kafka had removed them before they were read"
    ]
    unforeseen = (
        "1 event ended as a failure by an exception that nobody foresaw; the log of the "
        "TaskManager has its traceback"
    )
    assert grown({}, {"BuildRevisionScore_unforeseen": 1}) == [unforeseen]
    refused = "7 scores of the last minute were refused by {}, for good, and became failures"
    assert grown({}, {"WritePerModel_failures": 7}) == [refused.format("their topics")]
    assert grown({}, {"WritePerModel_failures": 7, "WritePerModel_refused_a_b": 7}) == [refused.format("a_b")]
    by_two = {"WritePerModel_failures": 7, "WritePerModel_refused_a_b": 3, "WritePerModel_refused_c": 4}
    assert said(Facts(NOW, with_metrics()), Facts(NOW + 9, with_metrics(**by_two)), topics=("a.b",)) == [
        refused.format("a.b and 1 more")
    ]
    stuck = "no score is written: 40 wait for Kafka or EventGate"
    assert grown({"BuildRevisionScore_scores_damaging": 1}, {"BuildRevisionScore_scores_damaging": 41}) == [
        stuck
    ]


def test_a_model_that_hangs_is_silent_long_before_its_calls_time_out() -> None:
    out = {"ScoreWithLiftWing_in_flight_damaging": 12, "BuildRevisionScore_scores_damaging": 100}
    looks = [Facts(NOW + 3 * number, with_metrics(**out)) for number in range(6)]
    assert said(*looks) == ["damaging is silent: no answer for 15 s, 12 calls are out"]
    assert said(*looks[:4]) == []
    assert (
        said(*looks, Facts(NOW + 18, with_metrics(**{**out, "BuildRevisionScore_scores_damaging": 101})))
        == []
    )
    assert said(*looks, Facts(NOW + 18, with_metrics(**out, ScoreWithLiftWing_retries_damaging_503=1))) == []


def test_a_silent_model_is_not_well_again_when_its_calls_time_out() -> None:
    """Its breaker opens, and the cause is known, some seconds later."""
    told: list[str] = []
    diagnosis, notifier = Diagnosis(MODELS), Notifier(told.append)
    out = {"ScoreWithLiftWing_in_flight_damaging": 12}
    ended = {**out, "ScoreWithLiftWing_calls_damaging": 12}
    opened = {**ended, "ScoreWithLiftWing_retries_damaging_timeout": 12}
    broken = {**opened, "ScoreWithLiftWing_broken_damaging": 1}
    well = {**broken, "ScoreWithLiftWing_broken_damaging": 0}
    looks = [out] * 9 + [ended] * 5 + [opened] * 5 + [broken] * 9 + [well] * 4
    for number, metrics in enumerate(looks):
        notifier.update(diagnosis.find(Facts(NOW + 3 * number, with_metrics(**metrics))), NOW + 3 * number)
    assert told == [
        "damaging is silent: no answer for 15 s, 12 calls are out",
        "damaging is broken: an endpoint times out, and gets a probe now and then; 0 requests wait, "
        "none is lost",
        "damaging is well again, after 24 s",
    ]


def test_a_stream_that_falls_behind_is_told_until_it_catches_up() -> None:
    diagnosis = Diagnosis(MODELS)
    found = []
    for number, behind in enumerate([0, 900, 1500, 2000, 2500, 2400, 2300, 1500, 300]):
        lag = {Partition("a", 0): behind - 50, Partition("b", 1): 50}
        found.append(
            [problem.text for problem in diagnosis.find(Facts(NOW + 15 * number, WELL, KafkaFacts(lag=lag)))]
        )
    text = "the stream is {} events behind and does not catch up, {} of them in a/0"
    wanted = [
        text.format("1,500", "1,450"),
        text.format("2,000", "1,950"),
        text.format("2,500", "2,450"),
        text.format("2,400", "2,350"),
    ]
    assert found == [
        [],
        [],
        [wanted[0]],
        [wanted[1]],
        [wanted[2]],
        [wanted[3]],
        [text.format("2,300", "2,250")],
        [],
        [],
    ]


def test_what_several_models_had_stays_one_sentence_until_none_has_it() -> None:
    all_but_one = {
        name: value
        for name, value in ALL_BROKEN.items()
        if not name.endswith(("_damaging", "_damaging_timeout"))
    }
    one = {
        name: value
        for name, value in ALL_BROKEN.items()
        if name.endswith(("_goodfaith", "_goodfaith_timeout"))
    }
    looks = [
        Facts(NOW, with_metrics(**ALL_BROKEN)),
        Facts(NOW + 3, with_metrics(**all_but_one, SelectModels_requests_damaging=5)),
    ]
    assert said(*looks) == [
        "Lift Wing: 2 models (articletopic, goodfaith) are broken, as their endpoints time out; 20 "
        "requests wait"
    ]
    assert said(looks[1]) == [
        f"{name} is broken: an endpoint times out, and gets a probe now and then; 10 requests wait, "
        "none is lost"
        for name in ("articletopic", "goodfaith")
    ]
    assert said(*looks, Facts(NOW + 6, with_metrics(**one))) == [
        "goodfaith is broken: an endpoint times out, and gets a probe now and then; 10 requests wait, "
        "none is lost"
    ]


def test_a_stream_is_not_taken_when_events_wait_for_ten_seconds() -> None:
    looks = [
        Facts(NOW + 3 * number, with_metrics(WritePerModel_waiting_deliveries_a_b=12 - number))
        for number in range(4)
    ]
    assert said(*looks) == ["the output stream a_b is not taken: 9 events wait for it, none is lost"]
    delivered = [
        replace(
            look, flink=with_metrics(WritePerModel_waiting_deliveries_a_b=12, WritePerModel_failing_a_b=0)
        )
        for look in looks
    ]
    assert said(*delivered) == []
    assert said(*looks, topics=("a.b", "a-c")) == [
        "the output stream a.b is not taken: 9 events wait for it, none is lost"
    ]
    for_a_moment = Facts(NOW + 6, with_metrics(WritePerModel_waiting_deliveries_a_b=0))
    assert said(*looks[:2], for_a_moment, looks[3]) == []


def test_a_broken_model_is_told_with_its_cause_or_a_little_later_without() -> None:
    broken = with_metrics(ScoreWithLiftWing_broken_damaging=2)
    looks = [Facts(NOW + 3 * number, broken) for number in range(5)]
    assert said(*looks[:3]) == []
    assert said(*looks) == [
        "damaging is broken: 2 endpoints give no sign of life, and get a probe now and then; 0 requests "
        "wait, none is lost"
    ]


def test_another_job_counts_from_nothing() -> None:
    first = Facts(NOW, with_metrics(ReadEvents_lost_expired=5))
    again = Facts(NOW + 3, replace(with_metrics(ReadEvents_lost_expired=9), job_id="8"))
    assert said(first, again) == []


def test_the_counts_are_of_each_element_once() -> None:
    facts = with_metrics(
        ReadEvents_events=1990,
        ReadEvents_failures=10,
        WritePerModel_events_damaging=1900,
        BuildRevisionScore_scores_damaging=1900,
        ScoreWithLiftWing_failures_damaging=90,
        ScoreWithLiftWing_failures_damaging_400=90,
        ScoreWithLiftWing_failures_damaging_loss=3,
        ScoreWithLiftWing_retries_damaging_503=50,
    )
    assert counts(facts, ["damaging"]) == {"events": 2000, "scores": 1900, "failures": 100}
