"""What the live page says of a model, and above all of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pipeline.health.problems import ILL, STOPPED, Problem
from pipeline.times import duration
from pipeline.watch.headline import Headline, all_silent, headline
from pipeline.watch.model_stats import ModelStats
from pipeline.watch.verdicts import ModelFacts, Verdict, verdict, verdict_by_problems
from tests.support.watched import NOW

TIMEOUT_S = 30.0


# verdicts


def of(*, asked: list[float], answered: Mapping[int, float], failed: tuple[int, ...] = ()) -> ModelStats:
    """A model whose edits came so many seconds before NOW, and of which some were answered so many seconds
    before NOW."""
    model = ModelStats(3600)
    steps = [(before, "asked", index) for index, before in enumerate(asked)] + [
        (before, "answered", index) for index, before in answered.items()
    ]
    for before, what, index in sorted(steps, key=lambda step: (-step[0], step[1] == "answered")):
        if what == "asked":
            model.note_edit(("enwiki", index), NOW - before, NOW)
        else:
            model.note_answer(
                ("enwiki", index), NOW - before, NOW, "503: no upstream" if index in failed else None
            )
    return model


STEADY = [60.0 - index for index in range(50)]
QUICK = {index: before - 0.5 for index, before in enumerate(STEADY)}

USUAL = Verdict("ok", "Half of the scores come within 0.50 s of the edit, 99 of 100 within 0.50 s.")
ALL_BUT_THREE = {index: before for index, before in QUICK.items() if index < 26} | {
    30: 25.0,
    31: 24.0,
    32: 12.5,
}
BROKEN = (
    "It gives no sign of life, and gets a probe now and then. 3 edits wait, the oldest for 9 s; none is lost."
)
HUNG = "No answer for 15 s. " + BROKEN.replace("9 s", "15 s")
PARKED = "Parked in the models file (concurrency: 0): "


@pytest.mark.parametrize(
    ("model", "gauges", "is_parked", "wanted"),
    [
        (
            of(asked=[], answered={}),
            {},
            False,
            Verdict("idle", "No edit asked for it in the last ten minutes."),
        ),
        (of(asked=[3.0], answered={}), {}, False, Verdict("ok", "1 edit waits, for 3 s.")),
        (of(asked=STEADY, answered=QUICK), {}, False, USUAL),
        (of(asked=STEADY, answered=QUICK), {"broken": 0}, False, USUAL),
        (of(asked=[*STEADY, 9.0, 8.0, 7.0], answered=QUICK), {"broken": 1}, False, Verdict("broken", BROKEN)),
        (of(asked=[15.0, 14.0, 13.0], answered={}), {"broken": 1}, False, Verdict("broken", HUNG)),
        (
            of(asked=[90.0, 5.0], answered={}),
            {"broken": 1},
            True,
            Verdict("parked", f"{PARKED}2 edits wait, the oldest for 1 min 30 s; none is lost."),
        ),
        (of(asked=[], answered={}), {}, True, Verdict("parked", f"{PARKED}no edit waits.")),
        (
            of(asked=[15.0, 14.0, 13.0], answered={}),
            {},
            False,
            Verdict("silent", "No answer for 15 s. 3 edits wait, the oldest for 15 s."),
        ),
        (of(asked=[15.0, 14.0], answered={}), {}, False, Verdict("ok", "2 edits wait, the oldest for 15 s.")),
        (
            of(asked=[31.0], answered={}),
            {},
            False,
            Verdict("silent", "No answer for 31 s. 1 edit waits, for 31 s."),
        ),
        (
            of(asked=STEADY, answered=QUICK, failed=(40, 41, 42)),
            {},
            False,
            Verdict(
                "failing",
                "3 of the 50 answers of the last minute are failures, most of them: 503: no upstream.",
            ),
        ),
        (
            of(asked=STEADY, answered=ALL_BUT_THREE),
            {},
            False,
            Verdict(
                "slow",
                "Slower than usual: half of the scores take more than 5 s, in the last ten minutes 0.50 s.",
            ),
        ),
        (
            of(asked=[70.0, *STEADY], answered={index + 1: before for index, before in QUICK.items()}),
            {},
            False,
            Verdict("slow", "Some calls are tried again: 1 edit waits, for 1 min 10 s."),
        ),
    ],
)
def test_a_model_is_told_in_a_word_and_a_sentence(
    model: ModelStats, gauges: Mapping[str, float], is_parked: bool, wanted: Verdict
) -> None:
    assert verdict(ModelFacts(model, 1, is_parked, gauges), TIMEOUT_S, NOW) == wanted


def test_of_many_endpoints_it_is_told_how_many_are_broken() -> None:
    facts = ModelFacts(of(asked=[1.0], answered={}), 35, is_parked=False, gauges={"broken": 3})
    told = verdict(facts, TIMEOUT_S, NOW).text
    assert told.startswith(
        "3 of its 35 endpoints give no sign of life, and get a probe now and then. 1 edit waits"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.034, "0.03 s"),
        (1.26, "1.3 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


OK, SILENT = Verdict("ok", "Half of the scores come."), Verdict("silent", "No answer for 15 s.")
JOB = Problem(
    ("flink",), STOPPED, "no JobManager answers at a:1; nothing is scored until then", "Flink runs the job"
)
BAD = Problem(
    ("model", "damaging", "broken", "503"),
    ILL,
    "damaging is broken: an endpoint answers 503",
    "well",
    frozenset(["damaging"]),
)
LAG = Problem(("lag",), ILL, "the stream is 2,000 events behind", "it catches up")

REFUSED = Problem(
    ("stream", "codfw.mediawiki.revision-score-damaging"),
    ILL,
    "the output stream x is not taken: 3 events wait",
    "it is taken again",
)


# the headline


def test_a_model_is_as_the_cause_says_or_as_its_stream_is_taken() -> None:
    stream = "mediawiki.revision-score-damaging"
    not_taken = Verdict("refused", "The output stream x is not taken: 3 events wait")
    assert verdict_by_problems("damaging", stream, [LAG, REFUSED]) == not_taken
    assert verdict_by_problems("damaging", stream, [REFUSED, BAD]) == Verdict(
        "broken", "An endpoint answers 503"
    )
    assert verdict_by_problems("goodfaith", "mediawiki.revision-score-goodfaith", [LAG, REFUSED, BAD]) is None


@pytest.mark.parametrize(
    ("problems", "of_page", "verdicts", "wanted"),
    [
        ([], [], {"a": OK, "b": OK}, Headline("well", "All is well: 2 models.")),
        ([], [], {"a": OK, "b": Verdict("parked", "")}, Headline("well", "All is well: 2 models, b parked.")),
        ([], [], {"a": OK, "b": SILENT}, Headline("ill", "b is silent.")),
        (
            [BAD],
            [],
            {"damaging": SILENT, "b": SILENT},
            Headline("ill", "damaging is broken: an endpoint answers 503.", ("b is silent.",)),
        ),
        (
            [LAG, BAD],
            [],
            {"damaging": OK},
            Headline(
                "ill", "The stream is 2,000 events behind.", ("damaging is broken: an endpoint answers 503.",)
            ),
        ),
        (
            [JOB, BAD],
            ["no event came for 2 min"],
            {"damaging": SILENT},
            Headline("stopped", "No JobManager answers at a:1; nothing is scored until then."),
        ),
        ([], ["no event came for 2 min"], {"a": OK}, Headline("stopped", "No event came for 2 min.")),
    ],
)
def test_the_headline_is_the_cause(
    problems: list[Problem], of_page: list[str], verdicts: Mapping[str, Verdict], wanted: Headline
) -> None:
    assert headline(problems, of_page, verdicts) == wanted


def test_many_silent_models_are_one_sentence_about_the_stream() -> None:
    sentence = "no score of any model came for 40 s: no stream runs, or what it needs is away"
    assert list(all_silent({"a": SILENT, "b": SILENT, "c": SILENT, "d": Verdict("idle", "")}, 40.0)) == [
        sentence
    ]
    assert list(all_silent({"a": SILENT, "b": SILENT, "c": OK}, 40.0)) == []
    assert list(all_silent({"a": SILENT, "b": SILENT}, 40.0)) == []
