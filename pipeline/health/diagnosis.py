"""What is wrong with a stream, a sentence each, by what Flink, Kafka and the disk tell of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence

from pipeline.health.conditions import ILL, STOPPED, Condition, Facts, duration
from pipeline.health.flink_facts import FlinkFacts
from transforms.delivery.waiting_deliveries import gauge_name

_MINUTE_S, _HALF_A_MINUTE_S = 60.0, 30.0
_SILENT_S, _SILENT_CALLS = 12.0, 3
_CAUSE_S = 9.0  # what an endpoint answers may be known a little later than that it is broken
_NOT_TAKEN_S = 10.0  # a stream that is slow for a moment is no trouble
_NO_CHECKPOINT_S = 120.0
_LOOP, _LOOP_S = 3, 600.0
_FAILING, _FAILURES = 0.05, 2
_FAR_BEHIND, _CAUGHT_UP = 1_000, 500
_GRACE_S = 60.0  # of a job that has just been started, for its processes
_NO_ANSWER = ("timeout", "connection")
_CAUSES = {
    "timeout": "time out",
    "connection": "do not answer",
    "401": "answer 401: they do not let us in",
    "403": "answer 403: they do not let us in",
}


class Diagnosis:
    """Finds the conditions of a stream with these models, which writes to these topics, out of its facts over
    a minute."""

    def __init__(self, models: Collection[str], topics: Collection[str] = ()) -> None:
        self.models = sorted(models)
        self._topics = {gauge_name("", topic): topic for topic in topics}
        self._history: deque[Facts] = deque()
        self._answered: dict[str, float] = {}  # by model, when it last did
        self._broken_since: dict[str, float] = {}  # by model
        # kinds and causes that several models had at once, until none has
        self._together: set[tuple[str, ...]] = set()
        self._is_behind = False

    def of(self, facts: Facts) -> list[Condition]:
        """The gravest first."""
        if (
            facts.flink
            and self._history
            and self._history[-1].flink
            and self._history[-1].flink.job_id != facts.flink.job_id
        ):
            self._history.clear()  # another job counts from nothing
            self._answered.clear()
        self._history.append(facts)
        while self._history[0].at < facts.at - _MINUTE_S:
            self._history.popleft()
        found = [*self._of_kafka(facts), *self._of_flink(facts), *self._of_room(facts)]
        if facts.kafka and facts.kafka.trouble:
            self._answered.clear()  # what waits for Kafka is no fault of a model
        else:
            found += [*self._of_models(facts), *self._of_sink(facts)]
        return sorted(found, key=lambda condition: condition.severity != STOPPED)

    def _of_kafka(self, facts: Facts) -> Iterator[Condition]:
        kafka = facts.kafka
        if kafka is None:
            return
        if kafka.trouble:
            yield Condition(
                ("kafka",),
                STOPPED,
                f"Kafka is away: {kafka.trouble}; the stream waits for it",
                "Kafka answers again",
            )
            return
        for topic in kafka.missing:
            yield Condition(
                ("topic", topic),
                ILL,
                f"the broker has no topic {topic}; what goes there waits",
                f"the broker has the topic {topic} again",
            )
        behind, before = kafka.behind, self._behind_before(facts.at)
        if self._is_behind:
            self._is_behind = behind >= _CAUGHT_UP and (before is None or behind >= 0.9 * before)
        else:
            self._is_behind = behind >= _FAR_BEHIND and before is not None and behind >= before
        if self._is_behind:
            worst = max(kafka.lag, key=lambda place: kafka.lag[place])
            where = f"{kafka.lag[worst]:,} of them in {worst.topic}/{worst.number}"
            yield Condition(
                ("lag",),
                ILL,
                f"the stream is {behind:,} events behind and does not catch up, {where}",
                "the stream catches up",
            )

    def _behind_before(self, now: float) -> int | None:
        """Half a minute ago."""
        old = [
            each
            for each in self._history
            if each.at <= now - _HALF_A_MINUTE_S and each.kafka and not each.kafka.trouble
        ]
        return old[-1].kafka.behind if old and old[-1].kafka else None

    def _of_flink(self, facts: Facts) -> Iterator[Condition]:
        flink = facts.flink
        if flink is None:
            return
        if flink.trouble:
            yield Condition(
                ("flink",), STOPPED, f"{flink.trouble}; nothing is scored until then", "Flink runs the job"
            )
            return
        if flink.task_managers == 0:
            yield Condition(
                ("task managers",),
                STOPPED,
                "Flink has no TaskManager, and waits for one; nothing is scored until then",
                "Flink has a TaskManager again",
            )
        elif flink.state in ("RESTARTING", "FAILING", "FAILED"):
            yield Condition(
                ("restart", flink.why),
                STOPPED,
                f"Flink starts the job again: {flink.why or 'it does not say why'}",
                "the job runs again",
            )
        elif (
            flink.state in ("INITIALIZING", "CREATED")
            and facts.at - max(flink.started_at, flink.failed_at) > _GRACE_S
        ):
            since = facts.at - max(flink.started_at, flink.failed_at)
            text = (
                f"the job has been starting for {duration(since)}: its processes are not up yet, or "
                "restore its state"
            )
            yield Condition(("starting",), STOPPED, text, "the job runs")
        elif flink.state not in ("RUNNING", "INITIALIZING", "CREATED"):
            yield Condition(
                ("state", flink.state), STOPPED, f"the job is {flink.state}", "the job runs again"
            )
        if flink.task_managers and self._restarts(flink, facts.at) >= _LOOP:
            text = (
                f"the job restarts again and again, {flink.restarts} times or more in ten minutes, last "
                f"because: {flink.why}"
            )
            yield Condition(("loop",), STOPPED, text, "the job has not restarted for ten minutes")
        since = max(flink.last_checkpoint or 0.0, flink.started_at)
        if flink.task_managers and facts.at - since > _NO_CHECKPOINT_S:
            yield Condition(
                ("checkpoint",),
                ILL,
                f"no checkpoint was completed for {duration(facts.at - since)}",
                "a checkpoint was completed",
            )
        if lost := self._grown("ReadEvents_lost_expired"):
            yield Condition(
                ("lost",),
                ILL,
                f"{lost:,} events are lost, as Kafka had removed them before they were read",
                "no more events are lost",
            )
        unforeseen = sum(self._grown(name) for name in flink.metrics if name.endswith("_unforeseen"))
        if unforeseen:
            ended = (
                "1 event ended as a failure"
                if unforeseen == 1
                else f"{unforeseen:,} events ended as failures"
            )
            text = (
                f"{ended} by an exception that nobody foresaw; the log of the TaskManager has its traceback"
            )
            yield Condition(("unforeseen",), ILL, text, "no more exceptions that nobody foresaw")

    @staticmethod
    def _restarts(flink: FlinkFacts, now: float) -> int:
        return flink.restarts if now - flink.failed_at < _LOOP_S else 0

    def _of_models(self, facts: Facts) -> Iterator[Condition]:
        """What several models have in common is one condition, until none has it any more."""
        if facts.flink is None or facts.flink.state != "RUNNING":
            self._answered.clear()  # none comes back to a job that does not run
            return
        ill = {model: found for model in self.models if (found := self._of_model(model, facts))}
        alike = Counter(found[:2] for found in ill.values())
        busy = [
            model
            for model in self.models
            if self._grown(f"SelectModels_requests_{model}")
            or facts.flink.count(f"ScoreWithLiftWing_waiting_{model}")
        ]
        self._together &= set(alike)
        for (kind, cause), count in alike.items():
            names = [model for model, found in ill.items() if found[:2] == (kind, cause)]
            if count > 2:
                self._together.add((kind, cause))
            if (kind, cause) not in self._together:
                for name in names:
                    yield Condition(
                        ("model", name, kind, cause),
                        ILL,
                        f"{name} {ill[name][2]}",
                        f"{name} is well again",
                        frozenset([name]),
                    )
                continue
            waiting = sum(
                facts.flink.count(f"ScoreWithLiftWing_{where}_{model}")
                for model in names
                for where in ("waiting", "in_flight")
            )
            everything = count >= len(busy) and count > 2
            which = f"all {count} models" if everything else f"{count} models ({', '.join(names)})"
            text = (
                f"Lift Wing: {which} {_plural(kind, cause)}; {waiting:,} requests wait"
                if count > 1
                else f"{names[0]} {ill[names[0]][2]}"
            )
            yield Condition(
                ("models", kind, cause),
                STOPPED if everything else ILL,
                text,
                "Lift Wing: its models are well again",
                frozenset(names),
            )

    def _of_model(self, model: str, facts: Facts) -> tuple[str, str, str] | None:
        """Kind, cause and sentence of what is wrong with a model."""
        flink = facts.flink
        assert flink
        waiting, in_flight = (
            flink.count(f"ScoreWithLiftWing_{name}_{model}") for name in ("waiting", "in_flight")
        )
        cause = self._cause(model, flink)
        broken = flink.count(f"ScoreWithLiftWing_broken_{model}")
        self._note_broken(model, broken > 0, facts.at)
        if broken and (cause or facts.at - self._broken_since[model] > _CAUSE_S):
            self._answered[model] = facts.at  # a silence after this is another
            endpoints, get = ("an endpoint", "gets") if broken == 1 else (f"{broken} endpoints", "get")
            return (
                "broken",
                cause,
                f"is broken: {endpoints} {_verb(cause, broken)}, and {get} a probe now and then; "
                f"{waiting:,} requests wait, none is lost",
            )
        self._note_answered(model, facts)
        silent = facts.at - self._answered.get(model, facts.at)
        if in_flight >= _SILENT_CALLS and silent > _SILENT_S:
            return (
                "silent",
                "timeout",
                f"is silent: no answer for {duration(silent)}, {in_flight} calls are out",
            )
        failed, requests = (
            self._grown(f"ScoreWithLiftWing_failures_{model}"),
            self._grown(f"SelectModels_requests_{model}"),
        )
        if failed >= _FAILURES and failed > _FAILING * requests:
            return (
                "failing",
                cause,
                f"fails: {failed:,} requests of the last minute became failures "
                f"({cause or 'of different causes'})",
            )
        return None

    def _note_broken(self, model: str, is_broken: bool, now: float) -> None:
        if not is_broken:
            self._broken_since.pop(model, None)
        else:
            self._broken_since.setdefault(model, now)

    def _note_answered(self, model: str, facts: Facts) -> None:
        before = self._history[-2].flink if len(self._history) > 1 else None
        flink = facts.flink
        assert flink
        idle = not flink.count(f"ScoreWithLiftWing_in_flight_{model}")
        if (
            before is None
            or idle
            or self._answers(model, flink) != self._answers(model, before)
            or model not in self._answered
        ):
            self._answered[model] = facts.at

    def _answers(self, model: str, flink: FlinkFacts) -> int:
        """Calls that timed out, or found nobody, are none."""
        refusals = (
            flink.count(name) for name, cause in self._without_score(model, flink) if cause not in _NO_ANSWER
        )
        return flink.count(f"BuildRevisionScore_scores_{model}") + sum(refusals)

    def _cause(self, model: str, flink: FlinkFacts) -> str:
        """By what most tries of the last minute ended without a score; of a model that gets but probes,
        ever."""
        found: Counter[str] = Counter()
        ever: Counter[str] = Counter()
        for name, cause in self._without_score(model, flink):
            found[cause] += self._grown(name)
            ever[cause] += flink.count(name)
        most = (+found or +ever).most_common(1)
        return most[0][0] if most else ""

    def _without_score(self, model: str, flink: FlinkFacts) -> Iterator[tuple[str, str]]:
        """The counters of tries that ended so, each with its cause."""
        prefixes = [f"ScoreWithLiftWing_{kind}_{model}_" for kind in ("retries", "failures")]
        for name in flink.metrics:
            prefix = next(filter(name.startswith, prefixes), "")
            if prefix and not self._is_of_longer_name(name, model):
                yield name, name.removeprefix(prefix)

    def _is_of_longer_name(self, name: str, model: str) -> bool:
        return any(
            other != model and other.startswith(f"{model}_") and f"_{other}_" in name for other in self.models
        )

    def _of_sink(self, facts: Facts) -> Iterator[Condition]:
        flink = facts.flink
        if flink is None or flink.state != "RUNNING":
            return
        for name, metric in flink.metrics.items():
            if (
                name.startswith("WritePerModel_waiting_deliveries_")
                and metric.total
                and self._lasts(name, facts.at)
            ):
                failing = flink.metrics.get(name.replace("waiting_deliveries", "failing", 1))
                if failing and not failing.total:
                    continue  # it is taken, and what waited is being delivered
                stream = self._topic_of(name, "waiting_deliveries")
                events = "1 event waits" if metric.total == 1 else f"{round(metric.total):,} events wait"
                text = f"the output stream {stream} is not taken: {events} for it, none is lost"
                yield Condition(("stream", stream), ILL, text, f"the output stream {stream} is taken again")
        if refused := self._grown("WritePerModel_failures"):
            where = [
                self._topic_of(name, "refused")
                for name in flink.metrics
                if name.startswith("WritePerModel_refused_") and self._grown(name)
            ]
            text = (
                f"{refused:,} scores of the last minute were refused by "
                f"{_some(where) or 'their topics'}, for good, and became failures"
            )
            yield Condition(("refused",), ILL, text, "no more scores are refused where they go")
        scored, written = (
            sum(self._grown(name) for name in flink.metrics if name.startswith(kind))
            for kind in ("BuildRevisionScore_scores_", "WritePerModel_events_")
        )
        if scored and not written and self._history[0].at < facts.at - _HALF_A_MINUTE_S:
            yield Condition(
                ("written",),
                STOPPED,
                f"no score is written: {scored:,} wait for Kafka or EventGate",
                "scores are written again",
            )

    def _topic_of(self, name: str, kind: str) -> str:
        """Of a metric; as the metric has it where the topic is not known."""
        of_metric = name.removeprefix(f"WritePerModel_{kind}")
        return self._topics.get(of_metric, of_metric[1:])

    def _of_room(self, facts: Facts) -> Iterator[Condition]:
        if facts.room and facts.room.is_nearly_full:
            full = "full" if facts.room.is_too_small else "nearly full"
            yield Condition(
                ("room", full),
                STOPPED if facts.room.is_too_small else ILL,
                f"the disk of --state is {full}: {facts.room}",
                "the disk of --state has room again",
            )

    def _lasts(self, name: str, now: float) -> bool:
        """Whether a gauge has not been 0 for a while."""
        recent = [
            each
            for each in self._history
            if each.at >= now - _NOT_TAKEN_S - 1 and each.flink and not each.flink.trouble
        ]
        return recent[0].at <= now - _NOT_TAKEN_S + 1 and all(
            each.flink.count(name) for each in recent if each.flink
        )

    def _grown(self, name: str) -> int:
        """By how much a counter grew within the last minute; one that is new grew from nothing."""
        of_flink = [each.flink for each in self._history if each.flink and not each.flink.trouble]
        return max(0, of_flink[-1].count(name) - of_flink[0].count(name)) if of_flink else 0


def _some(names: Sequence[str]) -> str:
    """The first, and how many more."""
    return f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else "".join(names)


def _verb(cause: str, count: int) -> str:
    text = _CAUSES.get(cause, f"answer {cause}" if cause else "give no sign of life")
    if count > 1:
        return text
    first, _, rest = text.partition(" ")
    return " ".join(
        filter(None, [{"do": "does", "give": "gives", "time": "times"}.get(first, f"{first}s"), rest])
    ).replace("they do not", "it does not")


def _plural(kind: str, cause: str) -> str:
    return {
        "broken": "are broken, as their endpoints ",
        "silent": "are silent, as their calls ",
        "failing": "fail, as their endpoints ",
    }[kind] + _verb(cause, 2)
