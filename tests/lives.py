"""One poller through all its processes: the account before it, the receivers behind it, the files that it leaves.

It is the real service with both its loops on a real file, but for threads and clock: a test says what happens
next, which send is answered, and at which point the process dies or the machine under it fails.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import structlog
from ledger import File, Key, Ledger, Row
from mirror import CountedSource, NoWait, Told, plan, read_event
from points import Died, Doom, Points, Trouble, no_trouble, unwatched, watched
from scripted import SINKS, Api, Flights, Receiver, Wire
from upstream import FOLLOWED, IGNORE, Change, World

from poller import search, service
from poller.plan import Case, Plan, Route, Target
from poller.service import Service
from poller.sources.spaceinvoices import RESOURCES
from poller.stores import Keep, StoreError
from poller.stores.sqlite import SqliteStore

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # what is synced there takes no time
ROUTES: tuple[dict[str, tuple[str, ...]], ...] = (
    {},
    {"all": ("*",), "batches": ("client.*", "poller.sink.*"), "loose": ("*.deleted", "poller.*")},
    {"all": ("*",), "streams": ("price.*", "price_list.created", "poller.*"), "batches": ("*.updated", "*.created")},
)
"""Which triggers go to which sink; without any, all go to all. "all" gets all of records always."""

RECORDS = "trigger NOT GLOB 'poller.*'"
"""What the ledger knows of; the receivers have operator events by themselves."""

KEPT = "none lost, none invented, order kept"
"""What may be said of lives whose checks have all passed: each of them fails at the first event that is not so."""

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
        self.backup = folder / "backup.db"
        self._grave = folder / "grave"
        self.drift: Sequence[tuple[int, Change]] = ()
        self.restoring = False
        self.asked = 0
        self.dropping: set[Key] = set()
        self._stack = ExitStack()
        self._logs = self._stack.enter_context(structlog.testing.capture_logs())
        self._stack.enter_context(patch.multiple(service, wall_ms=self.now_ms, DRAIN_S=0.0))
        for resource in FOLLOWED if records else ():
            self.world.change(Change("bulk create", resource, 0, records // 2))
        self.configure(("all", "batches"))

    def now_ms(self) -> int:
        """The poller's clock: the server's, but for how far it is ahead."""
        return self.world.clock() + self.ahead_ms

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
        self.plan = Plan(
            followed.watches, tuple(Route(on, (Case((name,)),)) for name, on in self.routes.items()), targets
        )

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
            self.store = SqliteStore(self.path, source.name, accept_loss=self.restoring)
        self.restoring = False
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
            "SELECT sink, id, state, attempts, settled_ms, d.sequence, turn "
            f"FROM delivery d JOIN event USING (sequence) WHERE {RECORDS}"
        )
        return {(sink, one): Row(*row) for sink, one, *row in unwatched(self.store._connection, sql)}

    def look(self) -> None:
        """Hold everything that can be seen from outside against what must be."""
        self.hear()
        assert not [line for line in self._logs if line["event"].endswith(".broken")]
        self._logs.clear()
        connection, last = self.store._connection, self.ledger.file.last
        sql = f"SELECT unpacked(dictionary, body) FROM event WHERE sequence > ? AND {RECORDS} ORDER BY sequence"
        self.ledger.tell([read_event(body) for (body,) in unwatched(connection, sql, last)], self.wanting)
        before, now = self.ledger.file.rows, self.rows()
        kept = {one for (one,) in unwatched(connection, f"SELECT id FROM event WHERE {RECORDS}")}
        gone = [key for key in before if key not in now and self._may_go(key, before[key])]
        self.ledger.forget(gone, self.ledger.file.told.keys() - kept)
        self.ledger.again(key for key, row in now.items() if key in before and row.turn != before[key].turn)
        self.ledger.keep(now)
        self._look_at_notices()
        self.dropping = set()

    def _look_at_notices(self) -> None:
        """Operator events have one id for one thing, and come as they were committed."""
        found = dict(
            unwatched(self.store._connection, f"SELECT id, unpacked(dictionary, body) FROM event WHERE NOT {RECORDS}")
        )
        assert not [one for one in found if one.count("_") > 1], "one state of a sink or a stream was told twice"
        for receiver in self.receivers.values():
            for one, body in receiver.notices:
                assert found.get(one, body) == body, "the same id with other bytes"

    def hear(self) -> None:
        """What could not be is raised here: a drain takes it for trouble of the sink."""
        for receiver in self.receivers.values():
            if receiver.wrong:
                raise receiver.wrong

    def _may_go(self, key: Key, row: Row) -> bool:
        """Whether a delivery is old enough to be forgotten, or an operator said so."""
        if row.state == "pending":
            return False
        keep_s = KEEP.delivered_s if row.state == "delivered" else KEEP.parked_s
        return key in self.dropping or (row.settled_ms or 0) < self.now_ms() - keep_s * 1000

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

    def _before_request(self, _request: object) -> None:
        self.asked += 1
        self.world.clock.advance(7)
        for at, change in self.drift:
            if at == self.asked:
                self.world.change(change)


@contextmanager
def life(doom: Doom | None = None, **how: Any) -> Iterator[Life]:
    """A life that has begun, in memory where the system has a folder there; its first process may die at its start.

    So few records are counted one by one.
    """
    with patch.object(search, "PAGE_MARKS", 1), TemporaryDirectory(dir=MEMORY) as folder:
        lived = Life(Path(folder), **how)
        try:
            lived.begin(doom)
            yield lived
        finally:
            lived.close()
