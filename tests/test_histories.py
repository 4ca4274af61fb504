"""Random histories: folding all events over an empty mirror gives exactly what the API shows.

A history changes an account, polls it now and then, changes it between two requests of one poll, and spoils
answers with the simulator's faults. Afterwards the faults end, what was late shows, and the poller comes to rest.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mirror import OVERLAP_S, SECOND_MS, Mirror, Rig, plan
from upstream import CHANGES, FOLLOWED, HONEST, IGNORE, LATEST_MS, LIES, POLLED, SOFT, Change, World

from poller import absence, search
from poller import poll as polling
from poller.model import format_time
from poller.simulator import Simulator
from poller.sources import Increment, SourceError
from poller.sources.keyset import Changes
from poller.stores import Decision
from poller.stores.sqlite import SqliteStore

HISTORIES = 200
MOST_ROUNDS = 12
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what is synced there takes no time


class Wait(NamedTuple):
    """Time passes."""

    span_ms: int


class Poll(NamedTuple):
    """One poll. ``drift`` are changes before its nth request, ``spoiled`` its nth answers."""

    resource: str
    full: bool
    drift: tuple[tuple[int, Change], ...]
    spoiled: tuple[tuple[int, int, str], ...]


class Reopen(NamedTuple):
    """The process is started anew."""


class History(NamedTuple):
    """``before`` are how many records of each resource there are at the first sight, told one by one."""

    before: int
    page_cap: int
    acts: tuple[Change | Wait | Poll | Reopen, ...]


def histories(kinds: list[str], spoiling: list[str], full: st.SearchStrategy[bool]) -> st.SearchStrategy[History]:
    """Histories of these kinds of changes and faults; ``full`` says which polls are forced sweeps."""
    change = st.builds(
        Change,
        st.sampled_from(kinds),
        st.sampled_from(FOLLOWED),
        st.integers(0, 6),
        st.integers(0, 6),
        st.one_of(st.just(0), st.integers(1, LATEST_MS)),
    )
    request = st.integers(1, 9)
    poll = st.builds(
        Poll,
        st.sampled_from(POLLED),
        full,
        st.lists(st.tuples(request, change), max_size=4).map(tuple),
        st.lists(st.tuples(request, st.sampled_from([1, 4]), st.sampled_from(spoiling)), max_size=2).map(tuple),
    )
    wait = st.builds(Wait, st.sampled_from([1, 400, 1500, 20_000, 90_000, 400_000, 4_000_000]))
    act = st.one_of(change, change, change, poll, poll, poll, wait, st.builds(Reopen))
    some = st.lists(act, max_size=20)  # five on average, while shrinking can still empty each
    acts = st.tuples(some, some, some, some, some, some, some, some).map(lambda parts: tuple(chain(*parts)))
    return st.builds(History, st.integers(0, 13), st.integers(2, 5), acts)


def follow(*, emit: bool, alone: bool):
    """Sweeps and counts every now and then, or never."""
    often = {} if alone else {"count_every": 2, "sweep_every_s": 120.0, "full_every": 3}
    return plan(*FOLLOWED, alone=alone, emit_first=emit, ignore=IGNORE, **often)


class Run:
    """A history on its way: the world, the poller, and the mirror of what the poller said."""

    def __init__(self, directory: Path, history: History, *, alone: bool) -> None:
        self.world = World()
        self.simulator = Simulator(self.world.account, page_cap=history.page_cap)
        self.simulator.on_request = self._before_request
        self.mirror = Mirror(dict.fromkeys(FOLLOWED, IGNORE))
        self.rig = Rig(
            directory / "poller.db",
            follow(emit=history.before > 0, alone=alone),
            simulator=self.simulator,
            clock=self.world.clock,
        )
        self._drift: list[tuple[int, Change]] = []
        self._requests = 0
        self._begin(history.before)

    def _begin(self, records: int) -> None:
        """Records that are there at the first sight are told; without any, the first sight is silent."""
        for resource in FOLLOWED if records else ():
            self.world.change(Change("bulk create", resource, 0, records // 2))
        if not records:
            for resource in POLLED:
                assert self.rig.poll(self.world.org, resource) == []

    def close(self) -> None:
        self.rig.close()
        self.simulator.stop()

    def _before_request(self, _request: object) -> None:
        self._requests += 1
        self.world.clock.advance(7)
        for at, change in self._drift:
            if at == self._requests:
                self.world.change(change)

    def act(self, act: Change | Wait | Poll | Reopen) -> None:
        match act:
            case Change():
                self.world.change(act)
            case Wait():
                self.world.clock.advance(act.span_ms)
            case Reopen():
                self.rig.reopen()
            case Poll():
                self._poll(act)

    def _poll(self, act: Poll) -> None:
        self._requests, self._drift = 0, list(act.drift)
        for at, times, name in act.spoiled:
            fault = (HONEST | LIES)[name]()
            for nth in range(at, at + times):
                self.simulator.faults.at(nth, fault)
        with suppress(SourceError):
            self.rig.run(self.world.org, act.resource, full=act.full)
        self.simulator.faults.clear()
        self._drift = []
        self.fold()

    def fold(self) -> int:
        """Fold what is new; nothing may be deleted that never was."""
        events = self.rig.news()
        self.mirror.fold(events)
        for event in events:
            gone = {event.record_id, event.object.get("priceListId")} & self.world.deleted
            assert event.kind != "deleted" or gone, f"deleted, but it never was: {event.key}"
        return len(events)

    def round(self, *, full: bool) -> bool:
        """Poll everything once, and approve what is held; whether nothing happened and nothing is open."""
        self.world.clock.advance(61 * SECOND_MS)
        for resource in POLLED:
            self.rig.run(self.world.org, resource, full=full)
        progresses = [self.rig.progress(self.world.org, resource) for resource in FOLLOWED]
        held = [self.rig.decide(self.world.org, resource, Decision.APPROVE) for resource in FOLLOWED]
        return not (self.fold() or any(held) or any(one.missing for one in progresses))

    def rest(self, *, full: bool) -> None:
        """Let everything late show, and poll until there is twice nothing to tell: the first may end a first sight."""
        self.world.clock.advance(LATEST_MS)
        quiet = 0
        for _ in range(MOST_ROUNDS):
            quiet = quiet + 1 if self.round(full=full) else 0
            if quiet == 2:
                return
        raise AssertionError("it does not come to rest")

    def check(self) -> None:
        """The mirror is the account; the outbox has kept what was read of it; each event goes to its sink."""
        wrong = [
            line for name in FOLLOWED for line in self.mirror.differences(self.world.account, self.world.org, name)
        ]
        assert not wrong, "\n".join(wrong)
        again = Mirror(dict.fromkeys(FOLLOWED, IGNORE))
        again.fold(self.rig.outbox())
        assert again.records == self.mirror.records
        assert again._bytes == self.mirror._bytes
        assert self.rig.rows("SELECT sequence FROM delivery ORDER BY 1") == self.rig.rows(
            "SELECT sequence FROM event ORDER BY 1"
        )


@contextmanager
def run(history: History, *, alone: bool = False) -> Iterator[Run]:
    """Take the history to its end, before the faults end; so few records are counted one by one."""
    fine = patch.object(search, "PAGE_MARKS", 1)
    with fine, tempfile.TemporaryDirectory(dir=MEMORY) as directory, structlog.testing.capture_logs():
        running = Run(Path(directory), history, alone=alone)
        try:
            for act in history.acts:
                running.act(act)
            yield running
        finally:
            running.close()


any_history = histories(list(CHANGES), [*HONEST, *LIES], st.booleans())
soft_history = histories(list(SOFT), list(HONEST), st.just(value=False))
thorough = settings(
    max_examples=HISTORIES,
    deadline=None,
    derandomize=False,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def holds(history: History) -> None:
    with run(history) as running:
        running.rest(full=True)
        running.check()


def holds_without_sweeps(history: History) -> None:
    with run(history, alone=True) as running:
        running.rest(full=False)
        running.check()
        told = len(running.rig.outbox())
        running.rest(full=True)
        assert told == len(running.rig.outbox()), "a sweep found what no increment had told"
        running.check()


@thorough
@given(any_history)
def test_the_mirror_of_all_events_is_the_account(history):
    """Whatever happens, and whatever the API says meanwhile: in the end each change was told, and nothing else."""
    holds(history)


@settings(thorough, max_examples=HISTORIES // 2)
@given(soft_history)
def test_increments_alone_miss_nothing_that_moves_a_stamp(history):
    """Without sweeps and counts: ties, drift, late records and failed pages lose no change, nor repeat one."""
    holds_without_sweeps(history)


# The property itself, held to pollers that are broken


def dropping(monkeypatch):
    """The last event of every page is lost."""
    commit = SqliteStore.commit

    def drop(store, stream, step, now_ms):
        return commit(store, stream, step._replace(outgoing=step.outgoing[:-1]), now_ms)

    monkeypatch.setattr(SqliteStore, "commit", drop)


def inventing(monkeypatch):
    """The first event of every page is told twice."""
    commit = SqliteStore.commit

    def twice(store, stream, step, now_ms):
        return commit(store, stream, step._replace(outgoing=[*step.outgoing[:1], *step.outgoing]), now_ms)

    monkeypatch.setattr(SqliteStore, "commit", twice)


def hasty(monkeypatch):
    """The watermark moves on although a page failed."""
    read = polling._read

    def jump(run, parent, since_ms):
        try:
            return read(run, parent, since_ms)
        except SourceError:
            return run.tools.now_ms()

    monkeypatch.setattr(polling, "_read", jump)


def late_blind(monkeypatch):
    """An increment begins at the watermark itself."""
    monkeypatch.setattr(polling, "Increment", lambda since_ms: Increment(since_ms + int(OVERLAP_S * SECOND_MS)))


def tie_blind(monkeypatch):
    """The next page begins above the last stamp, not above the last record."""

    def where(listing):
        since_ms = listing._last[0] + 1 if listing._last else listing._since_ms
        return {"updatedAt": {"gte": format_time(since_ms)}}

    monkeypatch.setattr(Changes, "_where", where)


def credulous(monkeypatch):
    """What a listing did not show is deleted, without asking for it."""
    monkeypatch.setattr(absence, "_unshown", lambda _run, _parent, missing: missing)
    monkeypatch.setattr(absence, "disagreement", lambda _run: 0)


def poll_clients(*spoiled, full=False, drift=()):
    return Poll("clients", full, tuple(drift), spoiled)


AGES = Wait(4_000_000)
TIES = History(4, 2, (poll_clients(), AGES, poll_clients(), AGES, Change("bulk update", "clients", 0, 1)))
FAILED = TIES._replace(acts=(*TIES.acts, AGES, poll_clients((2, 1, "html")), AGES))
LATE = History(0, 5, (AGES, Change("create", "clients", 0, 1, LATEST_MS), Wait(20_000), poll_clients()))
EMPTY = TIES._replace(acts=(*TIES.acts[:-1], poll_clients((3, 1, "empty list"), full=True)))


@pytest.mark.parametrize(
    ("broken", "history", "check", "message"),
    [
        (dropping, TIES, holds, "there, but not announced"),
        (inventing, TIES, holds, "created, but it was there"),
        (hasty, FAILED, holds_without_sweeps, "differs in"),
        (late_blind, LATE, holds_without_sweeps, "there, but not announced"),
        (tie_blind, TIES, holds_without_sweeps, "differs in"),
        (credulous, EMPTY, holds, "deleted, but it never was"),
    ],
)
def test_the_property_fails_where_the_poller_is_broken(monkeypatch, broken, history, check, message):
    """One history each, which the poller as it is stands."""
    check(history)
    broken(monkeypatch)
    with pytest.raises(AssertionError, match=message):
        check(history)
