"""Random histories: folding all events over an empty mirror gives exactly what the API shows.

A history changes an account, polls it now and then, changes it between two requests of one poll, and spoils
answers with the simulator's faults. Afterwards the faults end, what was late shows, and the poller comes to rest.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mirror import OVERLAP_S, SECOND_MS, Clock, Mirror, Rig, plan

from poller import diff
from poller import poll as polling
from poller import sweep as sweeping
from poller.model import format_time
from poller.simulator import Account, Simulator, faults
from poller.simulator.script import Fault
from poller.sources import Increment, SourceError
from poller.sources.keyset import Changes
from poller.stores import Decision
from poller.stores.sqlite import SqliteStore

HISTORIES = 200
POLLED = ("clients", "prices")
"""The streams that have polls; price lists are polled with their prices."""

FOLLOWED = ("clients", "price_lists", "prices")
IGNORE = frozenset({"custom.seen"})
LATEST_MS = int(OVERLAP_S * SECOND_MS) * 3 // 4
MOST_ROUNDS = 12
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what is synced there takes no time

HONEST: dict[str, Callable[[], Fault]] = {
    "status 500": lambda: faults.server_error,
    "status 502": lambda: faults.bad_gateway,
    "status 503": lambda: faults.maintenance,
    "status 429": lambda: faults.rate_limited("1"),
    "status 401": lambda: faults.unauthorized,
    "status 403": lambda: faults.forbidden,
    "status 404": lambda: faults.organization_gone,
    "reset": lambda: faults.reset,
    "cut": lambda: faults.cut,
    "truncated": lambda: faults.truncated,
    "hang": faults.hang,
    "oversized": lambda: faults.oversized(33 << 20),
    "html": lambda: faults.html,
    "an object": lambda: faults.an_object,
    "shuffled": faults.shuffled,
    "repeated": lambda: faults.repeated,
    "overlapping": faults.overlapping,
    "page of one": lambda: faults.page_cap(1),
    "bad id": lambda: faults.bad_id,
    "number for an id": lambda: faults.number_id,
    "no id": lambda: faults.no_id,
    "lone surrogate": lambda: faults.lone_surrogate,
    "NaN": lambda: faults.not_a_number,
    "not UTF-8": lambda: faults.not_utf8,
    "bare value": lambda: faults.bare_value,
    "no where": lambda: faults.ignores_where,
    "no fields": lambda: faults.ignores_fields,
}
"""Faults that show, or that only cost requests."""

LIES: dict[str, Callable[[], Fault]] = {
    "empty list": lambda: faults.empty_list,
    "same page": faults.same_page,  # the empty one at a listing's end, in place of the next listing's first
    "no tombstones": lambda: faults.ignores_deleted,
    "no date": lambda: faults.no_date,
    "date ahead": lambda: faults.date_off(7200),
    "date behind": lambda: faults.date_off(-7200),
}
"""Faults that look like proper answers: what they hide, a sweep has to find."""


class Change(NamedTuple):
    """One write: what it is done to is chosen by ``pick`` among the records that there are."""

    kind: str
    resource: str
    pick: int
    value: int
    late_ms: int = 0


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


class World:
    """An account, the changes to it, and what of it was ever deleted."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.account = Account(self.clock)
        self.org = self.account.organizations[0]
        self.deleted: set[str] = set()
        self._ids: dict[str, list[str]] = {name: [] for name in FOLLOWED}

    def change(self, change: Change) -> None:
        with suppress(KeyError):  # a late deletion shows as soon as its record is written to
            _CHANGES[change.kind](self, change)

    def some(self, change: Change, *, deleted: bool = False) -> str | None:
        ids = self._tombstones(change.resource) if deleted else sorted(self.account.live(self.org, change.resource))
        return ids[change.pick % len(ids)] if ids else None

    def _tombstones(self, resource: str) -> list[str]:
        known = {one: self.account.get(resource, one) for one in self._ids[resource]}
        return sorted(one for one, body in known.items() if body and body["_isDeleted"])

    def create(self, change: Change) -> None:
        parent = self._parent(change) if change.resource == "prices" else ""
        one = self.account.create(self.org, change.resource, _fields(change), parent=parent, late_ms=change.late_ms)
        self._ids[change.resource].append(one)

    def bulk_create(self, change: Change) -> None:
        parent = self._parent(change) if change.resource == "prices" else ""
        rows = [_fields(change)] * (2 + change.value)
        self._ids[change.resource] += self.account.bulk_create(self.org, change.resource, rows, parent=parent)

    def _parent(self, change: Change) -> str:
        lists = sorted(self.account.live(self.org, "price_lists"))
        if not lists:
            lists = [self.account.create(self.org, "price_lists")]
            self._ids["price_lists"] += lists
        return lists[change.value % len(lists)]

    def update(self, change: Change) -> None:
        if one := self.some(change):
            self.account.update(self.org, change.resource, one, _fields(change), late_ms=change.late_ms)

    def bulk_update(self, change: Change) -> None:
        ids = sorted(self.account.live(self.org, change.resource))
        self.account.bulk_update(self.org, change.resource, ids[change.pick :], _fields(change))

    def touch(self, change: Change) -> None:
        if one := self.some(change):
            self.account.touch(self.org, change.resource, one)

    def flip_back(self, change: Change) -> None:
        if one := self.some(change):
            before = self.account.get(change.resource, one) or {}
            self.account.update(self.org, change.resource, one, _fields(change))
            back = {name: before.get(name) for name in _fields(change)}
            self.account.update(self.org, change.resource, one, back)

    def silently(self, change: Change) -> None:
        """Change a record without a stamp, as the API does with what it derives."""
        if one := self.some(change):
            fields = (self.account.get(change.resource, one) or {}) | _fields(change)
            self.account.put_raw(self.org, change.resource, one, json.dumps(fields).encode())

    def soft_delete(self, change: Change) -> None:
        if one := self.some(change):
            self.deleted.add(one)
            self.account.soft_delete(self.org, change.resource, one, late_ms=change.late_ms)

    def hard_delete(self, change: Change) -> None:
        if one := self.some(change):
            self.deleted.add(one)
            self.account.hard_delete(self.org, change.resource, one)

    def forget_tombstone(self, change: Change) -> None:
        if one := self.some(change, deleted=True):
            self.account.hard_delete(self.org, change.resource, one)

    def purge(self, change: Change) -> None:
        for one in sorted(self.account.live(self.org, change.resource))[change.value :]:
            self.deleted.add(one)
            self.account.hard_delete(self.org, change.resource, one)

    def restore(self, change: Change) -> None:
        if one := self.some(change, deleted=True):
            self.account.restore(self.org, change.resource, one)


def _fields(change: Change) -> dict[str, object]:
    """Another content for each value; two are as equal as JSON and Python can differ."""
    number = (1, 1.0, True, "1", None, 10.5)[change.value % 6]
    own = "amount" if change.resource == "prices" else "name"
    return {own: number, "custom": {"seen": change.value, "tag": change.value // 2, "deep": {"tag": number}}}


_SOFT: dict[str, Callable[[World, Change], None]] = {
    "create": World.create,
    "update": World.update,
    "touch": World.touch,
    "flip back": World.flip_back,
    "soft delete": World.soft_delete,
    "restore": World.restore,
    "bulk create": World.bulk_create,
    "bulk update": World.bulk_update,
}
_HARD: dict[str, Callable[[World, Change], None]] = {
    "silently": World.silently,
    "hard delete": World.hard_delete,
    "forget tombstone": World.forget_tombstone,
    "purge": World.purge,
}
_CHANGES = _SOFT | _HARD


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
    """Take the history to its end, before the faults end."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory, structlog.testing.capture_logs():
        running = Run(Path(directory), history, alone=alone)
        try:
            for act in history.acts:
                running.act(act)
            yield running
        finally:
            running.close()


any_history = histories(list(_CHANGES), [*HONEST, *LIES], st.booleans())
soft_history = histories(list(_SOFT), list(HONEST), st.just(value=False))
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

    def conclude(run, parent, missing, *, gone):
        del parent, gone
        bodies = run.tools.store.bodies(missing)
        run.commit(run.progress, [diff.vanished(mark, bodies[mark.id], run.rules()) for mark in missing])

    monkeypatch.setattr(sweeping, "_confirm_some", conclude)
    monkeypatch.setattr(sweeping, "disagreement", lambda _run: 0)


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
