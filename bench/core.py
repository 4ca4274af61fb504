"""List, diff, commit: through the polling loop, into a real file; beside the floor, without the fetch and with it."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from operator import methodcaller
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
from api import api
from figures import Figure, Table, Target, Timing, least, most, rates, timed
from floor import Floor, fetched, prepared
from listing import STREAM, Scripted, pages_of

from poller.plan import Plan, Watch
from poller.plan import Target as Sink
from poller.poll import poll
from poller.running import Poll, Tools
from poller.sources import Source
from poller.sources.spaceinvoices import RESOURCES, SpaceInvoices
from poller.stores import Pass
from poller.stores.sqlite import SqliteStore
from poller.sweep import sweep

NEVER_S = 10**9
TIMES = "times its floor"


class Work(NamedTuple):
    """A kind of work: a method of ``Poller`` and one of ``Floor``; what is to hold without the fetch, and with it."""

    name: str
    ours: str
    floor: str
    targets: tuple[Target, ...] = ()
    fetching: tuple[Target, ...] = ()


WORKS = (
    Work("idle sweep with bodies", "idle", "idle", (least(60_000, "a second"),), (most(1.6, TIMES),)),
    Work("idle sweep of ids", "ids", "ids"),
    Work("all new, silent", "new", "new"),
    Work("all new, with events", "announced", "announced"),
    Work("all changed, by an increment", "changed", "changed", (least(15_000, "a second"),), (most(2.5, TIMES),)),
    Work("all changed, by a sweep", "swept", "changed", (least(15_000, "a second"),), (most(2.5, TIMES),)),
)


def plan(*, emit: bool = False) -> Plan:
    """Follow clients, with one sink, and without sweeps or counts that nobody asked for."""
    watch = Watch(RESOURCES[STREAM.resource], 60.0, NEVER_S, 300.0, emit_first=emit, count_every=NEVER_S)
    return Plan({STREAM.resource: watch}, sinks=(Sink("webhook"),))


@contextmanager
def kit(source: Source, *, emit: bool = False) -> Iterator[Tools]:
    """Everything a poll needs, with a new database that is gone afterwards."""
    with TemporaryDirectory(prefix="poller-bench-") as folder:
        store = SqliteStore(Path(folder) / "poller.db", source.name)
        try:
            yield Tools(source, store, plan(emit=emit), lambda: time.time_ns() // 1_000_000)
        finally:
            store.close()


def report(records: int, runs: int) -> list[Table]:
    """Records a second, idle, new and changed, and how many times as much CPU as the floor that took."""
    first, stamps, second = (
        list(pages_of(records, version, bodies=bodies)) for version, bodies in ((0, True), (0, False), (1, True))
    )
    size = sum(map(len, first)) // records
    floor = Floor(lambda: prepared(first), lambda: prepared(stamps), lambda: prepared(second))
    with ExitStack() as stack:
        ours = Poller(records, Scripted(lambda: first), Scripted(lambda: stamps), Scripted(lambda: second), stack)
        figures = [_beside(work, work.targets, ours, floor, runs) for work in WORKS]
    yardstick = rates("json.loads of the same pages", records, runs, lambda: _read(first))
    return [
        Table(f"List, diff, commit: records ({records:,} of {size} bytes, the pages there already)", figures),
        Table("For comparison", [yardstick]),
        _fetching(records, runs),
    ]


def _fetching(records: int, runs: int) -> Table:
    """The same, with the pages asked for at a server in another process."""
    with api(records) as url, httpx.Client(trust_env=False) as client, ExitStack() as stack:
        sources = [SpaceInvoices("t" * 64, base_url=f"{url}/{part}/v1", rate=1e9) for part in ("first", "second")]
        for source in sources:
            source.count(STREAM)  # a client is made, and connected
        client.get(f"{url}/none/v1/count")
        floor = Floor(
            lambda: fetched(client, f"{url}/first"),
            lambda: fetched(client, f"{url}/first", bodies=False),
            lambda: fetched(client, f"{url}/second"),
        )
        ours = Poller(records, sources[0], sources[0], sources[1], stack)
        figures = [_beside(work, work.fetching, ours, floor, runs) for work in WORKS]
    return Table(f"Fetch, list, diff, commit: records ({records:,}, from a server; the floor fetches too)", figures)


def _beside(work: Work, targets: tuple[Target, ...], ours: "Poller", floor: Floor, runs: int) -> Figure:
    """Both by turns: rates, and the quotient of their CPU in each run."""
    samples: dict[str, list[float]] = {"a second of CPU": [], "a second": [], "its floor, of CPU": [], TIMES: []}
    for _ in range(runs):
        timings: tuple[Timing, Timing] = methodcaller(work.ours)(ours), methodcaller(work.floor)(floor)
        quotient = timings[0].cpu_s / timings[1].cpu_s
        rate = [ours.records / spent for spent in (timings[0].cpu_s, timings[0].wall_s, timings[1].cpu_s)]
        for values, value in zip(samples.values(), [*rate, quotient], strict=True):
            values.append(value)
    return Figure(work.name, samples, targets)


def _read(answers: Sequence[bytes]) -> Timing:
    with timed() as timing:
        for answer in answers:
            json.loads(answer)
    return timing


class Poller:
    """The works as poller does them; each answers what it took.

    Of the sources ``first`` gives all records, ``stamps`` the same without bodies, ``second`` all of them changed.
    """

    def __init__(self, records: int, first: Source, stamps: Source, second: Source, stack: ExitStack) -> None:
        self.records = records
        self._first, self._stamps, self._second = first, stamps, second
        self._idle = stack.enter_context(kit(first))
        poll(self._idle, STREAM)

    def idle(self) -> Timing:
        """Sweep with bodies, and find nothing."""
        return _sweep(self._idle, Pass.FULL, 0)

    def ids(self) -> Timing:
        """Sweep ids and stamps, and find nothing."""
        return _sweep(replace(self._idle, source=self._stamps), Pass.IDS, 0)

    def new(self) -> Timing:
        """See everything for the first time, and tell nothing."""
        with kit(self._first) as tools:
            return _poll(tools, 0)

    def announced(self) -> Timing:
        """See everything for the first time, and tell of it."""
        with kit(self._first, emit=True) as tools:
            return _poll(tools, self.records)

    def changed(self) -> Timing:
        """See by an increment that everything changed."""
        with kit(self._first) as tools:
            poll(tools, STREAM)
            return _poll(replace(tools, source=self._second), self.records)

    def swept(self) -> Timing:
        """See by a sweep that everything changed."""
        with kit(self._first) as tools:
            poll(tools, STREAM)
            return _sweep(replace(tools, source=self._second), Pass.FULL, self.records)


def _sweep(tools: Tools, kind: Pass, events: int) -> Timing:
    with timed() as timing:
        run = Poll(tools, STREAM)
        sweep(run, kind)
    _expect(run.events, events)
    return timing


def _poll(tools: Tools, events: int) -> Timing:
    with timed() as timing:
        found = poll(tools, STREAM)
    _expect(found, events)
    return timing


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise AssertionError(f"{found} events, not {wanted}: what was measured is not what was meant")
