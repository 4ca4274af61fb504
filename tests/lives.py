"""One poller through all its processes: the account before it, the receivers behind it, the files that it leaves.

It is the real service with both its loops on a real file, but for threads and clock: a test says what happens
next, which send is answered, and at which point the process dies or the machine under it fails.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import structlog
from ledger import File, Key, Ledger, Row
from mirror import CountedSource, NoWait, Told, plan, read_event
from points import Died, Doom, Points, Trouble, no_trouble, unwatched, watched
from scripted import SINKS, Api, Flights, Receiver, Wire
from upstream import FAULTS, FOLLOWED, IGNORE, POLLED, Change, World

from poller import service
from poller.model import Plan, Route, Stream, Target
from poller.service import Service
from poller.simulator.server import Seen
from poller.sources.spaceinvoices import RESOURCES
from poller.stores import Keep, StoreError
from poller.stores.outbox import Selection
from poller.stores.reading import View
from poller.stores.sqlite import SqliteStore

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what is synced there takes no time
ROUTES: tuple[dict[str, tuple[str, ...]], ...] = (
    {},
    {"all": ("*",), "batches": ("client.*",), "loose": ("*.deleted",)},
    {"all": ("*",), "streams": ("price.*", "price_list.created"), "batches": ("*.updated", "*.created")},
)
"""Which triggers go to which sink; without any, all go to all. "all" gets all of them always."""

KEEP = Keep()
MOST_TURNS = 5000


@dataclass
class Tally:
    """What many lives came to.

    ``repeats`` are events that a receiver took once more: because of sends that were ``in_flight`` at a death, of
    answers that were ``lost``, or by an operator's wish.
    """

    deaths: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    events: int = 0
    taken: int = 0
    repeats: int = 0
    in_flight: int = 0
    lost: int = 0

    def __str__(self) -> str:
        return (
            f"{self.lives} pollers, {self.deaths.total()} deaths at {len(self.deaths)} different points, "
            f"{self.events} events, taken {self.taken} times, {self.repeats} of them again "
            f"({self.in_flight} in flight at a death, {self.lost} answers lost)"
        )


class Life:
    """``world`` is the account, ``ledger`` what is known of the poller, ``receivers`` are by their sinks' names.

    ``alone``: increments have to do without sweeps and counts.
    """

    def __init__(
        self, folder: Path, *, records: int = 0, page_cap: int = 5, alone: bool = False, tally: Tally | None = None
    ) -> None:
        self.tally = tally or Tally()
        self.world = World()
        self.ahead_ms = 0
        self.ledger = Ledger(self.world, {name: shape.order for name, shape in SINKS.items()}, self.rows)
        self.receivers = {name: Receiver(name, shape, self.ledger) for name, shape in SINKS.items()}
        self.simulator = Api(self.world.account, page_cap=page_cap, on_request=self._before_request)
        self.simulator.served = self.ledger.served
        self.path = folder / "state" / "poller.db"
        self.saved: File | None = None
        self._alone = alone
        self._backup = folder / "backup.db"
        self._grave = folder / "grave"
        self._drift: Sequence[tuple[int, Change]] = ()
        self._restoring, self._restored_ms = False, 0
        self._asked = 0
        self._dropping: set[Key] = set()
        self._stack = ExitStack()
        self._logs = self._stack.enter_context(structlog.testing.capture_logs())
        self._stack.enter_context(patch.multiple(service, wall_ms=self.now_ms, DRAIN_S=0.0))
        for resource in FOLLOWED if records else ():
            self.world.change(Change("bulk create", resource, 0, records // 2))
        self.configure(("all", "batches"))

    def now_ms(self) -> int:
        """The poller's clock: the server's, but for how far it is ahead."""
        return self.world.clock() + self.ahead_ms

    def set_back(self, span_ms: int, *, server: bool) -> None:
        """A clock goes back, the server's with the poller's or the poller's alone.

        Not behind the last restoring of a backup: what the lost state gave out must not be given out again.
        """
        self.world.clock.advance(-span_ms if server else 0)
        self.ahead_ms -= 0 if server else span_ms
        self.ahead_ms += max(0, self._restored_ms - self.now_ms())

    def close(self) -> None:
        self.points.bury()
        self.simulator.stop()
        self._stack.close()
        self.tally.lives += 1
        self.tally.events += self.ledger.events
        self.tally.taken += self.ledger.taken.total()
        self.tally.repeats += self.ledger.repeats
        self.tally.lost += self.ledger.lost

    # The process

    def configure(self, sinks: Iterable[str], routes: int = 0) -> None:
        """Say what the next process is to do."""
        self.sinks = [name for name in SINKS if name in sinks]
        self.routes = {name: on for name, on in ROUTES[routes].items() if name in self.sinks}
        often = {} if self._alone else {"count_every": 2, "sweep_every_s": 120.0, "full_every": 3}
        followed = plan(*FOLLOWED, alone=self._alone, emit_first=True, ignore=IGNORE, **often)
        targets = tuple(Target(name, SINKS[name].order) for name in self.sinks)
        self.plan = Plan(followed.watches, tuple(Route(on, (name,)) for name, on in self.routes.items()), targets)

    def wanting(self, event: Told) -> list[str]:
        """The sinks that an event is for: a second opinion."""
        trigger = f"{RESOURCES[event.resource].singular}.{event.kind}"
        on = self.routes or dict.fromkeys(self.sinks, ("*",))
        return [name for name, patterns in on.items() if any(fnmatchcase(trigger, one) for one in patterns)]

    def start(self, doom: Doom | None = None) -> None:
        """A process begins. With a doom it dies, here or later on."""
        self.points = Points(self.path, self._grave, self.tally.deaths, doom)
        source = CountedSource(self.world.account.token, "http://simulated/v1")
        source._thread.client = Wire(self.simulator, self.points, self.ledger.served)
        with watched(self.points):
            self.store = SqliteStore(self.path, source.name, accept_loss=self._restoring)
        self._restoring = False
        sinks = {name: self.receivers[name] for name in self.sinks}
        self.service = Service(self.plan, source, self.store, sinks, NoWait())
        self.flights = {queue.name: Flights() for queue in self.service.drains}
        for queue in self.service.drains:
            self.receivers[queue.name].points = self.points
            queue.executor, queue.chance = self.flights[queue.name], lambda: 0.5

    def restart(self) -> None:
        """A process ends as it should, and another one begins; what is in the air never arrives."""
        self.service.close()
        self.start(self.points.doom)

    def dies(self, act: Callable[[], object], doom: Doom, again: Doom | None = None) -> None:
        """Act, and die on the way or when it is done; then rise, perhaps by way of another death."""
        self.points.doom = doom
        with suppress(Died):
            with suppress(StoreError):
                act()
            self.points.die("between two acts")
        self._bury()
        self.begin(again)
        self._rise()

    def begin(self, doom: Doom | None = None) -> None:
        """A process begins, perhaps only after another one that died on its way."""
        with suppress(Died):
            self.start(doom)
        if self.points.dead:
            self._bury()
            self.start()
        self.points.doom = None

    def _bury(self) -> None:
        """What the dead process left takes the place of what it had."""
        self.points.bury()
        shutil.rmtree(self.path.parent)
        self._grave.rename(self.path.parent)

    def _rise(self) -> None:
        """What was in flight is not known to have been taken, and may come again; nothing else may."""
        self.look()
        for name, shape in SINKS.items():
            orphans = self.ledger.orphans(name)
            assert len(orphans) <= shape.in_flight, f"{name}: more will be sent again than was in flight"
            self.ledger.excuse(orphans)
            self.tally.in_flight += len(orphans)

    # What is there to be seen

    def rows(self) -> dict[Key, Row]:
        """Every delivery as it is now."""
        sql = (
            "SELECT sink, id, state, attempts, settled_ms, d.sequence, turn FROM delivery d JOIN event USING (sequence)"
        )
        return {(sink, one): Row(*row) for sink, one, *row in unwatched(self.store._connection, sql)}

    def look(self) -> None:
        """Hold everything that can be seen from outside against what must be."""
        self._hear()
        assert not [line for line in self._logs if line["event"].endswith(".broken")]
        self._logs.clear()
        connection, last = self.store._connection, self.ledger.file.last
        sql = "SELECT body FROM event WHERE sequence > ? ORDER BY sequence"
        self.ledger.tell([read_event(body) for (body,) in unwatched(connection, sql, last)], self.wanting)
        before, now = self.ledger.file.rows, self.rows()
        kept = {one for (one,) in unwatched(connection, "SELECT id FROM event")}
        gone = [key for key in before if key not in now and self._may_go(key, before[key])]
        self.ledger.forget(gone, self.ledger.file.told.keys() - kept)
        self.ledger.again(key for key, row in now.items() if key in before and row.turn != before[key].turn)
        self.ledger.keep()
        self._dropping = set()

    def _hear(self) -> None:
        """What could not be is raised here: a drain takes it for trouble of the sink."""
        for receiver in self.receivers.values():
            if receiver.wrong:
                raise receiver.wrong

    def _may_go(self, key: Key, row: Row) -> bool:
        """Whether a delivery is old enough to be forgotten, or an operator said so."""
        if row.state == "pending":
            return False
        keep_s = KEEP.delivered_s if row.state == "delivered" else KEEP.parked_s
        return key in self._dropping or (row.settled_ms or 0) < self.now_ms() - keep_s * 1000

    # Acts

    def act(self, act: Callable[[], object]) -> None:
        """Do this, as far as it can be done, and look."""
        with suppress(StoreError):
            act()
        self.look()

    def fails(self, act: Callable[[], object], trouble: Trouble) -> None:
        """Do this on a machine that is in trouble."""
        self.points.trouble = trouble
        self.act(act)
        self.points.trouble = no_trouble

    def poll(
        self,
        resource: str,
        *,
        full: bool = False,
        spoiled: Sequence[tuple[int, int, str]] = (),
        drift: Sequence[tuple[int, Change]] = (),
    ) -> str:
        """Poll once; what went wrong. ``spoiled`` are answers: which one, how many of them, and how."""
        stream = Stream(self.world.org, resource)
        for at, times, name in spoiled:
            for nth in range(at, at + times):
                self.simulator.faults.at(nth, FAULTS[name]())
        self._asked, self._drift = 0, drift
        before, asked = self._watermarks(), len(self.simulator.requests)
        try:
            error = self.service.poll(stream, full=full).error
        finally:
            self._drift = ()
            if spoiled:
                self.simulator.faults.clear()
        if error and self.points.trouble is no_trouble:
            self._proves_nothing(before, self.simulator.requests[asked:])
        return error

    def _watermarks(self) -> dict[str, dict[str, int]]:
        found = unwatched(self.store._connection, "SELECT resource, watermarks FROM stream")
        return {resource: json.loads(text) for resource, text in found}

    def _proves_nothing(self, before: Mapping[str, Mapping[str, int]], asked: Sequence[Seen]) -> None:
        """Where it was an increment that failed, no watermark of its stream has moved."""
        if not asked or "updatedAt ASC" not in ((asked[-1].filter or {}).get("order") or ()):
            return
        if any(one.path.endswith("/count") for one in asked):
            return  # it was the second one of this poll
        path = asked[-1].path.rsplit("/", 1)[1]
        (resource,) = (name for name in FOLLOWED if RESOURCES[name].path == path)
        after = self._watermarks()[resource]
        known = before.get(resource, {})
        assert {parent: after.get(parent) for parent in known} == known, "the watermark moved, and the poll failed"

    def _before_request(self, _request: object) -> None:
        self._asked += 1
        self.world.clock.advance(7)
        for at, change in self._drift:
            if at == self._asked:
                self.world.change(change)

    def deliver(self, picks: Iterable[int] = ()) -> None:
        """Let every sink take a turn, then these sends arrive and be answered."""
        self._turn()
        for pick in picks:
            name = self.sinks[pick % len(self.sinks)]
            self.flights[name].land(pick // len(self.sinks))

    def _turn(self) -> list[float]:
        pauses_s = []
        self._hear()
        for queue in self.service.drains:
            paused, before = self.store.breaker(queue.name).paused, len(self.flights[queue.name].air)
            pauses_s.append(queue.turn())
            assert not paused or len(self.flights[queue.name].air) <= before, "it is paused, and sends"
        return pauses_s

    def deliver_due(self) -> None:
        """Turns and answers until nothing more is due now."""
        for _ in range(MOST_TURNS):
            pauses_s = self._turn()
            if not any(queue.flying for queue in self.service.drains) and min(pauses_s) > 0:
                return
            for flights in self.flights.values():
                flights.land_all()
        raise AssertionError("the queue does not end")

    def deliver_all(self) -> None:
        """Turns, answers and time until nothing is pending."""
        for _ in range(MOST_TURNS):
            pauses_s = self._turn()
            if not unwatched(self.store._connection, "SELECT 1 FROM delivery WHERE state = 'pending' LIMIT 1"):
                return
            if not any(queue.flying for queue in self.service.drains):
                self.ahead_ms += max(1, int(min(pauses_s) * 1000))
            for flights in self.flights.values():
                flights.land_all()
        raise AssertionError("the queue does not end")

    def work(self) -> None:
        """What a process does all day."""
        for resource in POLLED:
            self.act(partial(self.poll, resource))
            self.act(self.deliver_due)

    def tidy(self) -> None:
        self.service.tidy(KEEP)

    def replay(self, sink: str | None = None) -> None:
        """Send everything once more."""
        self.store.again(Selection(sink=sink), ["delivered", "parked"], self.now_ms())

    def retry(self, sink: str | None = None) -> None:
        """Send what was given up once more."""
        self.store.again(Selection(sink=sink), ["parked"], self.now_ms())

    def pause(self, sink: str) -> None:
        self.store.pause(sink, "an operator said so", self.now_ms())

    def resume(self, sink: str) -> None:
        self.store.pause(sink, "", self.now_ms())

    def reconfigure(self, sinks: Iterable[str], routes: int) -> None:
        self.configure(sinks, routes)
        self.restart()

    def drop(self, sink: str) -> None:
        self._dropping = {key for key, row in self.ledger.file.rows.items() if key[0] == sink and row.state == "parked"}
        self.store.drop(Selection(sink=sink))

    def backup(self) -> None:
        """Make a copy of the state, whole or not at all; what a dead process left of one is in nobody's way."""
        before = self._backup.stat().st_ino if self._backup.exists() else 0
        try:
            with watched(self.points), View(self.path) as view:
                view.backup(self._backup)
        except Died:
            self._backup.with_name(f"{self._backup.name}.part").write_bytes(b"half a backup")
            raise
        finally:
            if self._backup.exists() and self._backup.stat().st_ino != before:
                self.saved = self.ledger.file.copy()

    def restore(self) -> None:
        """Go on from the backup, by a clock that is right."""
        if self.saved is None:
            return
        self.service.close()
        self._restored_ms = max(self._restored_ms, self.ledger.file.last // 1000 + 1)
        self.set_back(0, server=False)
        for end in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        shutil.copyfile(self._backup, self.path)
        self.ledger.restore(self.saved)
        self._restoring = True
        self.start(self.points.doom)


@contextmanager
def life(doom: Doom | None = None, **how: Any) -> Iterator[Life]:
    """A life that has begun, in memory where the system has a folder there; its first process may die at its start."""
    with TemporaryDirectory(dir=MEMORY) as folder:
        lived = Life(Path(folder), **how)
        try:
            lived.begin(doom)
            yield lived
        finally:
            lived.close()
