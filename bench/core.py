"""List, diff, commit: pages that are there already, through the polling loop, into a real file."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import Figure, Table, Timing, rates, timed
from listing import STREAM, Scripted, pages_of

from poller.plan import Plan, Target, Watch
from poller.poll import poll
from poller.running import Poll, Tools
from poller.sources import Source
from poller.sources.spaceinvoices import RESOURCES
from poller.stores import Pass
from poller.stores.sqlite import SqliteStore
from poller.sweep import sweep

NEVER_S = 10**9


def plan(*, emit: bool = False) -> Plan:
    """Follow clients, with one sink, and without sweeps or counts that nobody asked for."""
    watch = Watch(RESOURCES[STREAM.resource], 60.0, NEVER_S, 0.0, emit_first=emit, count_every=NEVER_S)
    return Plan({STREAM.resource: watch}, sinks=(Target("webhook"),))


@contextmanager
def kit(source: Source, *, emit: bool = False) -> Iterator[Tools]:
    """Everything a poll needs, with a new database that is gone afterwards."""
    with TemporaryDirectory(prefix="poller-bench-") as folder:
        store = SqliteStore(Path(folder) / "poller.db", source.name)
        try:
            yield Tools(source, store, plan(emit=emit), lambda: time.time_ns() // 1_000_000)
        finally:
            store.close()


def report(records: int, runs: int) -> Table:
    """Records a second: idle, new and changed."""
    first, stamps, second = (
        list(pages_of(records, version, bodies=bodies)) for version, bodies in ((0, True), (0, False), (1, True))
    )
    yardstick = rates("for comparison: json.loads", records, runs, lambda: _read(first))
    works: list[tuple[str, Callable[[], Timing], str]] = [
        ("all new, silent", lambda: _new(first, 0), ""),
        ("all new, with events", lambda: _new(first, records), ">= 10,000"),
        ("all changed, by an increment", lambda: _changed(first, second, records, by_sweep=False), ">= 10,000"),
        ("all changed, by a sweep", lambda: _changed(first, second, records, by_sweep=True), ">= 10,000"),
    ]
    figures = [yardstick, *_idle(first, stamps, records, runs)]
    figures += [rates(name, records, runs, work, target) for name, work, target in works]
    return Table(f"List, diff, commit: records ({records:,} of {_size(first, records)} bytes)", figures)


def _size(pages: Sequence[bytes], records: int) -> int:
    return sum(map(len, pages)) // records


def _read(answers: list[bytes]) -> Timing:
    with timed() as timing:
        for answer in answers:
            json.loads(answer)
    return timing


def _idle(first: list[bytes], stamps: list[bytes], records: int, runs: int) -> list[Figure]:
    source = Scripted(lambda: first)
    with kit(source) as tools:
        poll(tools, STREAM)
        full = rates("idle sweep with bodies", records, runs, lambda: _sweep(tools, Pass.FULL), ">= 40,000")
        source.answers = lambda: stamps
        ids = rates("idle sweep of ids", records, runs, lambda: _sweep(tools, Pass.IDS))
    return [full, ids]


def _sweep(tools: Tools, kind: Pass, events: int = 0) -> Timing:
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


def _new(first: list[bytes], events: int) -> Timing:
    with kit(Scripted(lambda: first), emit=events > 0) as tools:
        return _poll(tools, events)


def _changed(first: list[bytes], second: list[bytes], events: int, *, by_sweep: bool) -> Timing:
    source = Scripted(lambda: first)
    with kit(source) as tools:
        poll(tools, STREAM)
        source.answers = lambda: second
        return _sweep(tools, Pass.FULL, events) if by_sweep else _poll(tools, events)


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise AssertionError(f"{found} events, not {wanted}: what was measured is not what was meant")
