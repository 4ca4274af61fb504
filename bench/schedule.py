"""How soon changes are seen at equal requests: polled at fixed intervals, and by the rule for a budget.

In simulated time, by the very code that the daemon runs; the same numbers on any machine.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

import refusals
from activity import RESOURCES, Activity, changes, streams
from figures import Figure, Table, most

from poller.allotment import REPRICE_S, Allotment
from poller.budget import Bounds, History
from poller.model import Stream

HOUR_S = 3600.0
SHORTEST_S = 5.0
LONGEST = 3
"""No stream waits longer than so many of the fixed intervals."""


class Seen(NamedTuple):
    """How long changes waited, in order; the longest time between two polls of one stream; requests a second."""

    delays_s: list[float]
    longest_s: float
    requests_s: float

    def quantile_s(self, part: float) -> float:
        """So many of all changes waited no longer."""
        return self.delays_s[int(len(self.delays_s) * part)]


class Account:
    """A simulated account, asked so many times a second; what happens before ``from_s`` does not count."""

    def __init__(
        self, happens: dict[Stream, list[float]], every: list[Stream], requests_s: float, from_s: float
    ) -> None:
        self._happens = happens
        self._requests_s = requests_s
        self._from_s = from_s
        self._read = dict.fromkeys(every, 0)
        self._due_s: dict[Stream, float] = {}
        self._queue: list[tuple[float, Stream]] = []
        self._polled_s = dict.fromkeys(every, 0.0)
        self._delays_s: list[float] = []
        self._longest_s, self._polls = 0.0, 0

    def plan(self, stream: Stream, due_s: float) -> None:
        """Have the stream polled then, instead of when it was planned before."""
        if self._due_s.get(stream) != due_s:
            self._due_s[stream] = due_s
            heappush(self._queue, (due_s, stream))

    def run(self, upto_s: float, polled: Callable[[Stream, int, float], None]) -> Seen:
        """Poll what is due; ``polled`` is told how many changes each poll found, and plans anew."""
        full_s = 0.0
        while self._queue:
            due_s, stream = heappop(self._queue)
            if self._due_s[stream] != due_s:
                continue
            now_s = max(due_s, full_s - 1)  # a token bucket that holds a second's worth
            if now_s > upto_s:
                break
            full_s = max(full_s, now_s) + 1 / self._requests_s
            del self._due_s[stream]
            polled(stream, self._look(stream, now_s), now_s)
        return Seen(sorted(self._delays_s), self._longest_s, self._polls / (upto_s - self._from_s))

    def _look(self, stream: Stream, now_s: float) -> int:
        times, begin = self._happens.get(stream, []), self._read[stream]
        end = begin
        while end < len(times) and times[end] <= now_s:
            end += 1
        self._read[stream] = end
        if now_s >= self._from_s:
            self._polls += 1
            self._delays_s += [now_s - at_s for at_s in times[begin:end] if at_s >= self._from_s]
            self._longest_s = max(self._longest_s, now_s - self._polled_s[stream])
        self._polled_s[stream] = now_s
        return end - begin


def fixed(account: Account, every: list[Stream], interval_s: float, upto_s: float) -> Seen:
    """Poll each stream at the same interval."""
    for number, stream in enumerate(every):
        account.plan(stream, interval_s * number / len(every))
    return account.run(upto_s, lambda stream, _found, now_s: account.plan(stream, now_s + interval_s))


def by_budget(account: Account, every: list[Stream], requests_s: float, bounds: Bounds, upto_s: float) -> Seen:
    """Poll where most is expected."""
    allotment, reprice_s = Allotment(), REPRICE_S
    for number, stream in enumerate(every):
        allotment.follow(stream, History(), bounds)
        account.plan(stream, number / requests_s)
    allotment.reprice(0.0, requests_s)

    def polled(stream: Stream, found: int, now_s: float) -> None:
        nonlocal reprice_s
        moved = allotment.polled(stream, found, 1, now_s)
        if now_s >= reprice_s:
            reprice_s = now_s + REPRICE_S
            moved = list(allotment.reprice(now_s, requests_s))
        for one in moved:
            if allotment.history(one).at_s:
                account.plan(one, allotment.due_s(one, now_s))

    return account.run(upto_s, polled)


def compare(activity: Activity, requests_s: float, hours: float, seed: int = 1) -> tuple[Seen, Seen]:
    """Both ways, over the same changes; the first half is for learning."""
    upto_s, every = hours * HOUR_S, streams(activity)
    happens = changes(activity, upto_s, Random(seed))
    Random(seed).shuffle(every)
    interval_s = len(every) / requests_s
    bounds = Bounds(SHORTEST_S, LONGEST * interval_s)
    return (
        fixed(Account(happens, every, requests_s, upto_s / 2), every, interval_s, upto_s),
        by_budget(Account(happens, every, requests_s, upto_s / 2), every, requests_s, bounds, upto_s),
    )


SITUATIONS = {
    "sittings, 2 a day for each organization": Activity(),
    "sittings, 6 a day for each organization": Activity(sittings=6),
    "at any time, no sittings": Activity(steady=True),
    "at any time, no sittings, exponent 1.5": Activity(steady=True, exponent=1.5),
}
"""What people do; only the first two are like people."""
TARGET_RATIO = 1 / 3
COLUMNS: dict[str, Callable[[Seen], float]] = {
    "mean": lambda seen: sum(seen.delays_s) / len(seen.delays_s),
    "median": lambda seen: seen.quantile_s(0.5),
    "p95": lambda seen: seen.quantile_s(0.95),
    "p99": lambda seen: seen.quantile_s(0.99),
    "longest wait": lambda seen: seen.longest_s,
    "requests/s": lambda seen: seen.requests_s,
}
"""Seconds from a change to the poll that finds it; the longest time between two polls of a stream."""


def report(hours: float, orgs: int = 200, runs: int = 1) -> list[Table]:
    """How soon changes are seen at equal requests, and how often a limit is met that only refusals announce."""
    size = (
        f"{orgs} organizations by Zipf's law, {len(RESOURCES)} streams each, {orgs / 20:g} requests/s, {hours:g} hours"
    )
    tables = [
        _compared(f"{name}: {size}", activity._replace(orgs=orgs), hours, runs) for name, activity in SITUATIONS.items()
    ]
    outcomes = {name: refusals.simulate(made(), max(600.0, hours * 300)) for name, made in refusals.LIMITERS.items()}
    figures = [
        Figure(name, {"let through a second": [found.passed], "refused, %": [found.refused * 100]}, (most(1),))
        for name, found in outcomes.items()
    ]
    return [
        *tables,
        Table("A limit of 100 requests/s that only 429 announces, after the first minute, by what it counts", figures),
    ]


def _compared(title: str, activity: Activity, hours: float, runs: int) -> Table:
    pairs = [compare(activity, activity.orgs / 20, hours, seed + 1) for seed in range(runs)]
    theirs, ours = ({name: [of(pair[way]) for pair in pairs] for name, of in COLUMNS.items()} for way in (0, 1))
    ratio = {name: [one / other for one, other in zip(ours[name], theirs[name], strict=True)] for name in COLUMNS}
    figures = [
        Figure("fixed intervals", theirs),
        Figure("by budget", ours, (most(LONGEST * 20 * len(RESOURCES), "longest wait"),)),
        Figure("ratio", ratio, () if activity.steady else (most(TARGET_RATIO, "p95"),)),
    ]
    return Table(title, figures)
