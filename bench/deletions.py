"""Hard deletions: how soon they are found, and what that takes, beside listing everything again and again.

A day in simulated time, by the very ``poll`` that the daemon runs and a real file; the same numbers on any machine.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from math import ceil
from pathlib import Path
from random import Random
from statistics import mean
from tempfile import TemporaryDirectory
from typing import NamedTuple

from figures import Figure, Table, most
from listing import EPOCH_MS, STREAM

from poller.diff import digest
from poller.model import Organization, Page, Record, State, Stream, format_time
from poller.plan import Plan, Watch
from poller.poll import poll
from poller.running import Tools
from poller.sources import Increment, Sweep
from poller.sources.keyset import PAGE_RECORDS
from poller.sources.spaceinvoices import RESOURCES
from poller.stores.sqlite import SqliteStore

DAY_S = 86_400
CHURN = 0.01
TARGET_RATIO = 0.1
OVERLAP_S, SWEEP_EVERY_S = 300.0, 6 * 3600.0
"""As they are where nothing is set."""


class Way(NamedTuple):
    """How a stream is followed: a poll every so many seconds, a count every so many polls."""

    every_s: int
    count_every: int


WAYS = {Way(60, 10): "for deletions", Way(60, 1): "requests a day"}
"""And which requests are to be a tenth of those of full listings: where all changes are found as soon, all of them.

The first is what is done where nothing is set."""
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""What is synced there takes no time; here time is simulated."""


class Account:
    """The ``Source`` of one stream whose records come, change and go; ``asked`` are its requests by kind."""

    name = "spaceinvoices"
    resources = RESOURCES

    def __init__(self, records: int) -> None:
        self.now_ms = EPOCH_MS
        self.asked = Counter[str]()
        self._ids: list[str] = []
        self._records: dict[str, Record] = {}  # in order of their stamps
        for _ in range(records):
            self.create()

    def create(self, _rng: Random | None = None) -> None:
        """A record more; its id is the highest."""
        number = int(self._ids[-1], 16) + 1 if self._ids else 1 << 90
        self._ids.append(f"{number:024x}")
        self._write(self._ids[-1])

    def update(self, rng: Random) -> None:
        """Save one of them."""
        self._write(rng.choice(self._ids))

    def delete(self, rng: Random) -> str:
        """Take one of them away without a trace; its id."""
        gone = self._ids.pop(rng.randrange(len(self._ids)))
        del self._records[gone]
        return gone

    def _write(self, one: str) -> None:
        self._records.pop(one, None)
        body = f'{{"id":"{one}","name":"Example","updatedAt":"{format_time(self.now_ms)}"}}'.encode()
        self._records[one] = Record(one, self.now_ms, deleted=False, body=body, digest=digest(body))

    def organizations(self) -> Sequence[Organization]:
        """One organization."""
        return [Organization(STREAM.org, "")]

    def list(self, _stream: Stream, query: Increment | Sweep, _parent: str = "") -> Iterator[Page]:
        """Page after page, the last of them empty, as the API is asked for them."""
        if isinstance(query, Increment):
            newest = takewhile(lambda each: (each.updated_ms or 0) >= query.since_ms, reversed(self._records.values()))
            found = [*newest][::-1]
        else:
            above = self._ids[bisect_right(self._ids, query.after) :]
            bare = {} if query.bodies else {"body": b"", "digest": b""}
            found = [self._records[one]._replace(**bare) for one in above]
        kind = type(query).__name__
        for begin in range(0, len(found) + PAGE_RECORDS, PAGE_RECORDS):
            self.asked[kind] += 1
            page = found[begin : begin + PAGE_RECORDS]
            yield Page(tuple(each.id for each in page), tuple(page), began_ms=self.now_ms)
            if not page:
                return

    def fetch(self, _stream: Stream, ids: Sequence[str], _parent: str = "") -> Page:
        """Those that are there."""
        self.asked["fetch"] += 1
        found = [one for one in sorted(ids) if one in self._records]
        return Page(tuple(found), tuple(self._records[one] for one in found))

    def count(self, _stream: Stream, _parent: str = "", after: str = "") -> int:
        """As many as there are."""
        self.asked["count"] += 1
        return len(self._ids) - bisect_right(self._ids, after)

    def rate(self) -> float:
        """It takes any number."""
        return 1e9

    def close(self) -> None:
        """There is nothing to close."""


class Day(NamedTuple):
    """How long each deletion waited, in order, and how many requests there were.

    All but the ``increments`` are there for deletions: counts, searches, sweeps, and what confirms them.
    """

    delays_s: list[float]
    requests: int
    increments: int


ACTS: tuple[Callable[[Account, Random], str | None], ...] = (Account.create, Account.update, Account.delete)
"""As many records come as change and as go."""


def happens(records: int, rng: Random) -> list[tuple[float, int]]:
    """What is done at which time of the day, in order; by its place in ``ACTS``."""
    return sorted((rng.uniform(0, DAY_S), act) for act in range(len(ACTS)) for _ in range(int(records * CHURN)))


def ours(records: int, way: Way, seed: int) -> Day:
    """A day by ``poll``; what is deleted last counts as found at its end."""
    account, rng = Account(records), Random(seed)
    watch = Watch(RESOURCES[STREAM.resource], way.every_s, SWEEP_EVERY_S, OVERLAP_S, count_every=way.count_every)
    to_come, open_s, delays_s = happens(records, rng)[::-1], dict[str, float](), list[float]()
    with TemporaryDirectory(prefix="poller-bench-", dir=MEMORY) as folder:
        store = SqliteStore(Path(folder) / "poller.db", account.name)
        tools = Tools(account, store, Plan({STREAM.resource: watch}), lambda: account.now_ms)
        poll(tools, STREAM)
        account.asked.clear()
        for now_s in range(way.every_s, DAY_S + 1, way.every_s):
            while to_come and to_come[-1][0] <= now_s:
                at_s, act = to_come.pop()
                account.now_ms = EPOCH_MS + int(at_s * 1000)
                if gone := ACTS[act](account, rng):
                    open_s[gone] = at_s
            account.now_ms = EPOCH_MS + now_s * 1000
            if poll(tools, STREAM):
                found = [mark.id for mark in store.marks(STREAM, open_s).values() if mark.state == State.DELETED]
                delays_s += [now_s - open_s.pop(one) for one in found]
        store.close()
    delays_s += [DAY_S - at_s for at_s in open_s.values()]
    return Day(sorted(delays_s), account.asked.total(), account.asked["Increment"])


def listings(records: int, mean_s: float, seed: int) -> Day:
    """A day of full listings as often as it takes for this mean delay, without an empty page at the end of each."""
    every_s = 2 * mean_s
    deleted_s = [at_s for at_s, act in happens(records, Random(seed)) if ACTS[act] == Account.delete]
    delays_s = sorted(every_s - at_s % every_s for at_s in deleted_s)
    return Day(delays_s, round(DAY_S / every_s * ceil(records / PAGE_RECORDS)), 0)


COLUMNS: dict[str, Callable[[Day], float]] = {
    "requests a day": lambda day: day.requests,
    "for deletions": lambda day: day.requests - day.increments,
    "mean delay, s": lambda day: mean(day.delays_s),
    "95 %, s": lambda day: day.delays_s[int(len(day.delays_s) * 0.95)],
}
"""The delay is that from a deletion to its event."""


def report(records: int, runs: int) -> list[Table]:
    """Both at the same mean delay, for each way, and their quotients."""
    return [_compared(records, way, runs, column) for way, column in WAYS.items()]


def _compared(records: int, way: Way, runs: int, column: str) -> Table:
    days = [ours(records, way, seed) for seed in range(runs)]
    theirs = [listings(records, mean(day.delays_s), seed) for seed, day in enumerate(days)]
    samples = [{name: [of(day) for day in each] for name, of in COLUMNS.items()} for each in (theirs, days)]
    quotients = {
        name: [one / other for one, other in zip(samples[1][name], samples[0][name], strict=True)] for name in COLUMNS
    }
    often = "every poll" if way.count_every == 1 else f"every {way.count_every}th"
    title = f"Hard deletions, a poll in {way.every_s} s, a count in {often}"
    figures = [
        Figure("full listings", samples[0]),
        Figure("polls, counts and searches", samples[1]),
        Figure("quotient", quotients, (most(TARGET_RATIO, column),)),
    ]
    return Table(f"{title}: {records:,} records, {CHURN:.0%} of them a day come, change and go each", figures)
