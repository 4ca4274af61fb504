"""The real process, killed at random while the account changes: nothing lost, nothing invented, order kept.

``KILLS`` in the environment sets how often (100 if it does not); ``KILL_SEED`` makes other histories.
"""

import json
import math
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import msgspec
import pytest
from process import TOKEN, Site, file, webhook
from receiver import Receiver, answer

from poller.simulator import Account, History, Simulator
from poller.simulator.faults import reset, server_error, truncated

KILLS = int(os.environ.get("KILLS", "100"))
SEED = int(os.environ.get("KILL_SEED", "1"))
RESOURCES = (
    "clients documents items payments recurrences taxes units categories prices orders".split()  # noqa: SIM905
)
LATE_MS = 300
FAULTY = 0.06
STEPS_A_SECOND = 40
MOST_AN_ACCOUNT = 100
IN_FLIGHT = {"hook": 4, "file": 100}
"""So many events each sink has under way at most, which a kill makes come again."""


class _Data(msgspec.Struct):
    object: msgspec.Raw
    changed: list[str] = []
    previous: dict = {}


class _Event(msgspec.Struct):
    id: str
    type: str
    sequence: str
    partitionkey: str
    data: _Data


_event = msgspec.json.Decoder(_Event).decode
_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode


class World:
    """A simulated account that changes all the time and fails now and then, and a receiver that takes its time."""

    def __init__(self, folder, seed, *, patch=""):
        self.rng = random.Random(seed)
        self.account = Account(token=TOKEN, organizations=2, seed=seed)
        self.history = History(self.account, random.Random(seed), late_ms=LATE_MS)
        self.history.populate(4)
        self.served = set()
        self.simulator = Simulator(self.account)
        self.simulator.faults.always(self._spoiled)
        self.receiver = Receiver(always=self._slowly)
        self.lines = folder / "events.jsonl"
        self.folder, self.patch = folder, patch
        self.faulty = True

    def _spoiled(self, request, proper):
        """A few answers are spoiled; of the others it is noted which records they showed."""
        if self.faulty and self.rng.random() < FAULTY:
            return self.rng.choice((server_error, server_error, truncated, reset))(request, proper)
        found = proper(request)
        if found.body.startswith(b"["):
            self.served.update(bytes(raw) for raw in _rows(found.body))
        return found

    def _slowly(self, wire):
        wire.stop.wait(self.rng.random() * 0.02)
        return answer()(wire)

    def _change(self, stop):
        while not stop.wait(1 / STEPS_A_SECOND):
            self.history.step()

    @contextmanager
    def changing(self):
        """The account changes until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._change, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def run(self, kills):
        """Kill it so many times, then let it finish."""
        self.kills = kills
        with self.simulator, self.receiver:
            self.site = Site(
                self.folder,
                self.simulator.url,
                webhook("hook", self.receiver.url) + file("file", self.lines),
                patch=self.patch,
                first_sync="emit",
                sweep_every="1s",
                count_every=3,
                full_sweep=2,
            )
            with self.changing():
                for number in range(kills):
                    self.live_and_die(early=number % 6 == 5)
            time.sleep(LATE_MS / 1000)
            self.faulty = False
            for _ in range(2):  # the first one ends the sweeps that were under way, from where they had come to
                done = self.site.run("once", "--sweep", timeout_s=60)
                assert done.code == 0, done.err

    def live_and_die(self, *, early):
        """Start it and kill it: a moment after it is up, or somewhere on the way there."""
        with self.site.start() as poller:
            if not early:
                poller.up()
            time.sleep(self.rng.uniform(0.02, 0.35))
            assert not poller.ended(), poller.err
        assert "Traceback" not in poller.err, poller.err

    def check(self):
        """Both sinks were told what happened: nothing else, nothing less; how many events, and what came again."""
        verified = self.site.run("verify")
        assert verified.code == 0, verified.out
        live = {
            f"{org}/{resource}/{key}": content(fields)
            for org in self.account.organizations
            for resource in RESOURCES
            for key, fields in self.account.live(org, resource).items()
        }
        told = self.site.query("SELECT count(*) FROM event")[0][0]
        again, sent_to = {}, {"hook": [record.body for record in self.receiver.records], "file": self.whole_lines()}
        for sink, sent in sent_to.items():
            once = in_order(sent)
            again[sink] = len(sent) - len(once)
            assert again[sink] <= self.kills * IN_FLIGHT[sink]
            mirror = fold(once, self.served)
            assert [key for key in {*mirror, *live} if mirror.get(key) != live.get(key)] == []
            assert len(once) == told
        return told, again

    def whole_lines(self):
        """The file's lines; one that a kill cut short must come again, whole."""
        lines = self.lines.read_bytes().splitlines()
        cut = [line for line in lines if not line.endswith(b"}}")]
        whole = [line for line in lines if line.endswith(b"}}")]
        assert all(any(other.startswith(line) for other in whole) for line in cut)
        return whole


def in_order(sent):
    """The events without their repeats, each of which has the same bytes; the order per record is kept."""
    bodies, last, once = {}, {}, []
    for body in sent:
        event = _event(body)
        if event.id in bodies:
            assert bodies[event.id] == body, "the same id with other bytes"
            continue
        assert event.sequence > last.get(event.partitionkey, ""), "a later event of the record came before"
        bodies[event.id], last[event.partitionkey] = body, event.sequence
        once.append(event)
    return once


def fold(events, served):
    """The records as a receiver has them after these events; each event is checked against what it follows."""
    mirror = {}
    for event in events:
        key, kind = event.partitionkey, event.type.rpartition(".")[2]
        before, now = mirror.get(key), content(json.loads(bytes(event.data.object)))
        assert key.endswith(f"/{now['id']}")
        assert bytes(event.data.object) in served, "the API never showed this record so"
        if kind == "created":
            assert before is None, f"created twice: {key}"
        else:
            assert before is not None, f"{kind}, but was not there: {key}"
        if kind == "updated":
            assert changes(before, now) == set(event.data.changed) != set()
            assert event.data.previous == {path: at(before, path) for path in event.data.changed if has(before, path)}
        if kind == "deleted":
            assert now["_isDeleted"] or now == before, "neither a tombstone nor the last known record"
            del mirror[key]
        else:
            assert not now["_isDeleted"]
            mirror[key] = now
    return mirror


def content(record):
    """A record but for its stamp, which also moves without a change."""
    return {name: value for name, value in record.items() if name != "updatedAt"}


def changes(before, now, prefix=""):
    """Dotted paths whose values differ."""
    found = set()
    for name in {*before, *now}:
        one, other = before.get(name, ...), now.get(name, ...)
        if isinstance(one, dict) and isinstance(other, dict):
            found |= changes(one, other, f"{prefix}{name}.")
        elif one != other:
            found.add(prefix + name)
    return found


def at(record, path):
    for name in path.split("."):
        record = record[name]
    return record


def has(record, path):
    try:
        at(record, path)
    except KeyError:
        return False
    return True


def test_killed_at_random_nothing_is_lost_or_invented(tmp_path, figures):
    """Two accounts at a time; every event arrives at both sinks, in order, and says what happened."""
    many = max(2, math.ceil(KILLS / MOST_AN_ACCOUNT))
    worlds = [World(tmp_path / str(number), 1000 * SEED + number) for number in range(many)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda world: world.run(math.ceil(KILLS / many)), worlds))
    checked = [world.check() for world in worlds]
    again = {sink: sum(again[sink] for _, again in checked) for sink in IN_FLIGHT}
    told = sum(told for told, _ in checked)
    figures(f"{sum(world.kills for world in worlds)} kills, {many} accounts, {told} events, came again: {again}")
    assert KILLS < 50 or again["hook"], "no kill ever met a send"


_SETTLES_FIRST = """
import time
from poller.deliver import Drain
from poller.stores import Settlement, Verdict
call = Drain._call

def settle_first(self, batch):
    gone = [Settlement(delivery.sequence, "delivered", 1, 0, 0) for delivery in batch]
    self.store.settle(self.name, lambda before: Verdict(gone, before, before), self.now_ms())
    time.sleep(0.1)
    return call(self, batch)

Drain._call = settle_first
"""

_MARKS_FIRST = """
import time
from poller.stores import outbox
from poller.stores.sqlite import SqliteStore
commit = SqliteStore.commit

def marks_first(self, stream, step, now_ms):
    commit(self, stream, step._replace(outgoing=()), now_ms)
    time.sleep(0.1 if step.outgoing else 0)
    with self._writing():
        outbox.announce(self._connection, self._source, stream, step.outgoing, now_ms)
    return len(step.outgoing)

SqliteStore.commit = marks_first
"""


@pytest.mark.parametrize("patch", [_SETTLES_FIRST, _MARKS_FIRST], ids=["settles before sending", "marks before events"])
def test_a_build_that_loses_events_is_noticed(tmp_path, patch):
    """The checks above fail for the two classic mistakes within a few kills."""
    world = World(tmp_path, SEED, patch=patch)
    world.run(5)
    with pytest.raises(AssertionError):
        world.check()
