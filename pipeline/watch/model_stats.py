"""The figures of one model, of its topics: how many edits asked for it, their answers, and which wait."""

from __future__ import annotations

from pipeline.watch.rolling_window import RecentCounts, Slice, Slices

Key = tuple[str, int]  # wiki, rev_id

_MOST_WAITING = 500_000
_LATE_S = 60  # after the time at which a request has to have ended
_MOST_EARLY = 20_000  # answers that were read before their edits, as they are in other topics


class ModelStats:
    """Counts by the times of Kafka's messages, seconds since the epoch.

    `last_answer` and `first_answer` are such times; `since_answer`: how many edits came after the last
    answer, the first of them at `silent_since`; `given_up`: edits that neither a score nor a failure came of,
    long after it had to.
    """

    def __init__(self, max_age_s: float) -> None:
        self._max_age_s = max_age_s
        self._waiting: dict[Key, float] = {}  # when its edit came; in that order, or nearly
        self._early: dict[Key, float] = {}
        self._slices = Slices()
        self.failures = RecentCounts()  # by reason
        self.last_answer: float | None = None
        self.first_answer: float | None = None
        self.since_answer = 0  # edits that came after the last answer
        self.silent_since: float | None = None  # when the first of them came
        self.given_up = 0  # edits that neither a score nor a failure came of, long after it had to

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def waiting_since(self) -> float | None:
        return next(iter(self._waiting.values()), None)

    def note_edit(self, key: Key, at: float, now: float) -> None:
        """Counts an edit that asks for this model."""
        at = min(at, now)
        self._slices.at(at, now).asked += 1
        if (answered := self._early.pop(key, None)) is not None:
            self._slices.at(answered, now).add_seconds(max(0.0, answered - at))
            return
        self._waiting[key] = at
        if len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        if self.last_answer is None or at > self.last_answer:
            self.since_answer += 1
            self.silent_since = at if self.silent_since is None else min(at, self.silent_since)

    def note_answer(self, key: Key, at: float, now: float, failure: str | None = None) -> float | None:
        """Counts a score, or a failure with its reason. Returns seconds since its edit, None where that was
        not seen."""
        at = min(at, now)
        of_time = self._slices.at(at, now)
        if failure is None:
            of_time.scored += 1
        else:
            of_time.failed += 1
            self.failures.add(failure, at, now)
        self.first_answer = min(at, self.first_answer or at)
        self.last_answer = max(at, self.last_answer or at)
        self.since_answer, self.silent_since = 0, None
        asked_at = self._waiting.pop(key, None)
        if asked_at is None:
            self._early[key] = at
            if len(self._early) > _MOST_EARLY:
                del self._early[next(iter(self._early))]
            return None
        seconds = max(0.0, at - asked_at)
        if failure is None:
            of_time.add_seconds(seconds)
        return seconds

    def finish_history(self) -> None:
        """Drops edits that came before the first answer, once all is read that was there before the page:
        nobody knows whether a stream ran that heard them."""
        if self.first_answer is not None:
            for key in [key for key, at in self._waiting.items() if at < self.first_answer]:
                del self._waiting[key]

    def forget(self, now: float, is_parked: bool) -> None:
        """Drops what is older than ten minutes, and edits whose request has to have ended, as one that is not
        parked does within `max_age_s`."""
        self._slices.forget(now)
        self.failures.forget(now)
        while (
            not is_parked
            and self._waiting
            and next(iter(self._waiting.values())) < now - self._max_age_s - _LATE_S
        ):
            del self._waiting[next(iter(self._waiting))]
            self.given_up += 1

    def note_calls(self, p50_s: float | None, p99_s: float | None, now: float) -> None:
        """Counts how long Lift Wing's last answers took, as Flink tells."""
        of_time = self._slices.at(now, now)
        of_time.call_p50_s, of_time.call_p99_s = p50_s, p99_s

    def last(self, slices: int, now: float) -> list[Slice]:
        return list(self._slices.last(slices, now))

    def all(self, now: float) -> list[Slice]:
        return list(self._slices.all(now))
