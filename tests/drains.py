"""What tests of the second loop share: a rig of a drain with a real store, a scripted sink, and a clock of its own."""

import json
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from structlog.testing import capture_logs

from poller.deliver import IDLE_S, Drain
from poller.model import Change, Delivered, Kind, Later, Refused, Stream
from poller.plan import Order, Target
from poller.stores import Outgoing, Progress, Step
from poller.stores.sqlite import SqliteStore

MEMORY = "/dev/shm"
NOW_MS = 1_790_000_000_000
DAY_S = 86_400
SLOW, NO, STRANGE = Later("no answer"), Refused("400"), Refused("401: wrong?", strange=True)


class Clock:
    def __init__(self):
        self.now_ms = NOW_MS

    def __call__(self):
        return self.now_ms


class Inline(Executor):
    """Sends within the turn itself, so that days pass in no time."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Sink:
    """Answers each delivery as ``script`` says, by the record's id, else by ``always``; records what it was sent when.

    An answer is an outcome, a list of them to be used up, or an exception to raise.
    """

    def __init__(self, clock, concurrency=4, batch_size=1):
        self.concurrency, self.batch_size, self.batch_wait_s = concurrency, batch_size, 0.0
        self.careful = False
        self.script, self.always = {}, Delivered()
        self.sent, self.times_ms, self.batches = [], [], []
        self.taken, self.steps, self.begun = [], [], []
        self.open = threading.Event()
        self.open.set()
        self.busy, self.most_busy = 0, 0
        self._clock = clock
        self._lock = threading.Lock()

    def send(self, batch):
        with self._lock:
            objects = [json.loads(delivery.body)["data"]["object"] for delivery in batch]
            names = [f"{fields['id']}{fields['text']}" for fields in objects]
            self.sent += names
            self.times_ms += [self._clock()] * len(batch)
            self.batches.append(len(batch))
            self.steps += [delivery.steps for delivery in batch]
            self.begun += [delivery.begun for delivery in batch]
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        self.open.wait(10)
        with self._lock:
            self.busy -= 1
            outcomes = [self._answer(fields["id"]) for fields in objects]
            self.taken += [name for name, said in zip(names, outcomes, strict=True) if said == Delivered()]
            return outcomes

    def _answer(self, name):
        planned = self.script.get(name, self.always)
        if isinstance(planned, list):
            planned = planned.pop(0) if planned else self.always
        if isinstance(planned, Exception):
            raise planned
        return planned

    def close(self):
        pass


class Rig:
    """A drain, with its store, sink and clock."""

    def __init__(self, path: Path, executor: Executor, chance=lambda: 0.5) -> None:
        self.clock = Clock()
        self.store = SqliteStore(path, "spaceinvoices")
        self.sink = Sink(self.clock)
        self.executor, self.chance = executor, chance
        self.order, self.route, self.delay_s = Order.RECORD, "", 0.0
        self.logs: list[dict] = []
        self.restart()

    def restart(self) -> None:
        self.queue = Drain("it", self.sink, self.store, self.executor, self.clock, self.chance)

    def tell(self, *names: str, resource: str = "clients") -> None:
        """Commit an event for each: ``a1`` is the first of record a, ``r12/1`` that of record r12."""
        outgoing = [
            Outgoing(
                _change(*_parts(name)),
                "client.created",
                (Target("it", self.order, self.route, "shape" if self.route else "", self.delay_s),),
            )
            for name in names
        ]
        self.store.commit(Stream("o", resource), Step(Progress(), outgoing=outgoing), self.clock.now_ms)

    def run(self) -> float:
        """Turns until there is nothing to do now; the pause that it then asks for."""
        for _ in range(100_000):
            pause_s = self.queue.turn()
            if not self.queue.flying:
                return pause_s
            wait(list(self.queue._flying), 5)
        raise AssertionError("the drain does not rest")

    def live(self, span_s: float) -> None:
        """Run for so long, with the pauses that it asks for; where it would only look, time flies on."""
        ends_ms = self.clock.now_ms + int(span_s * 1000)
        while self.clock.now_ms < ends_ms:
            pause_s = self.run()
            assert pause_s > 0
            next_ms = self.clock.now_ms + max(1, int(pause_s * 1000))
            later_ms = max(next_ms, self._nothing_until_ms()) if pause_s == IDLE_S else next_ms
            self.clock.now_ms = max(self.clock.now_ms, min(ends_ms, later_ms))
        self.run()

    def _nothing_until_ms(self) -> int:
        """Before this nothing can be due, unless something happens."""
        now_ms, found = self.clock.now_ms, self.breaker
        if found.wait_until_ms > now_ms or found.paused:
            return found.wait_until_ms
        return self.store.next_due_ms("it", now_ms) or now_ms + DAY_S * 1000

    def pass_s(self, seconds: float) -> None:
        self.clock.now_ms += int(seconds * 1000)

    @property
    def breaker(self):
        return self.store.breaker("it")

    def states(self) -> list[str]:
        """State, attempts and error of each delivery, in the order of their events."""
        rows = self.store._all("SELECT state, attempts, error FROM delivery ORDER BY sequence")
        return [f"{state} {attempts} {error}".strip() for state, attempts, error in rows]

    def count(self, state: str) -> int:
        return int(self.store._one("SELECT count(*) FROM delivery WHERE state = ?", state)[0])


def _parts(name: str) -> tuple[str, str]:
    record, _, text = name.rpartition("/") if "/" in name else (name[0], "", name[1:])
    return record, text


def _change(record: str, text: str) -> Change:
    body = json.dumps({"id": record, "text": text}, separators=(",", ":")).encode()
    return Change(Kind.CREATED, record, 0, 0, f"{record}/{text}".encode(), body)


@contextmanager
def rig(folder: Path, executor: Executor | None = None, seed: int | None = None) -> Iterator[Rig]:
    """A rig in memory where the system has a folder there; it sends by four threads if by no other executor."""
    where = MEMORY if os.access(MEMORY, os.W_OK) else folder
    chance = (lambda: 0.5) if seed is None else random.Random(seed).random
    with (
        TemporaryDirectory(dir=where) as state,
        executor or ThreadPoolExecutor(4) as threads,
        capture_logs() as logs,
    ):
        made = Rig(Path(state) / "poller.db", threads, chance)
        made.logs = logs
        try:
            yield made
        finally:
            made.sink.open.set()
            made.queue.finish(5)
            made.store.close()


def delays_s(rig, told):
    """How long after it was told each event arrived, in seconds; ``told`` gives times by name."""
    arrived = dict(zip(rig.sink.sent[::-1], rig.sink.times_ms[::-1], strict=True))
    return {name: (arrived[name] - time_ms) / 1000 for name, time_ms in told.items()}
