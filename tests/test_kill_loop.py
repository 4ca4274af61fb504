"""The real process, killed at random while the account changes: nothing lost, nothing invented, order kept.

It has its libraries from ``forks``, so that also the early deaths are in what it does itself.

``KILLS`` in the environment sets how often (100 if it does not); ``KILL_SEED`` makes other histories.
"""

import math
import os
import random
import threading
import time
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import pytest
from mirror import Mirror, Told, read_event
from process import RESOURCES, TOKEN, Site, file, webhook
from receiver import Receiver, answer

from poller.simulator import Account, History, Simulator
from poller.simulator.faults import reset, server_error, truncated

KILLS = int(os.environ.get("KILLS", "100"))
SEED = int(os.environ.get("KILL_SEED", "1"))
LATE_MS = 300
FAULTY = 0.06
STEPS_A_SECOND = 40
PARTS = max(2, math.ceil(KILLS / 100))
"""Of at most 100 kills each, which workers share; an account that lives longer grows."""

IN_FLIGHT = {"hook": 4, "file": 100}
"""So many events each sink has under way at most, which a kill makes come again."""


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _Event(msgspec.Struct):
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

    def check(self, figures):
        """Both sinks were told what happened: nothing else, nothing less, in order; tells what came of it before."""
        verified = self.site.run("verify")
        assert verified.code == 0, verified.out
        kept = {body for (body,) in self.site.query("SELECT unpacked(dictionary, body) FROM event")}
        found = {
            "hook": receive(kept, [record.body for record in self.receiver.records]),
            "file": receive(kept, self.whole_lines()),
        }
        figures(f"{self.kills} kills, {len(kept)} events", *(f"{sink}: {one}" for sink, one in found.items()))
        for sink, one in found.items():
            assert (one.lost, one.invented, one.out_of_order) == (0, 0, 0), sink
            assert one.again <= self.kills * IN_FLIGHT[sink], sink
            assert self.differences(one.events) == []
        return found

    def differences(self, events):
        """In what the copy that these events make is not the account; each is checked against what it follows."""
        mirror = Mirror()
        mirror.fold(events)
        for event in events:
            assert bytes(_event(event.raw).data.object) in self.served, "the API never showed this record so"
        return [
            line
            for org in self.account.organizations
            for resource in RESOURCES
            for line in mirror.differences(self.account, org, resource)
        ]

    def whole_lines(self):
        """The file's lines; one that a kill cut short must come again, whole."""
        lines = self.lines.read_bytes().splitlines()
        cut = [line for line in lines if not line.endswith(b"}}")]
        whole = [line for line in lines if line.endswith(b"}}")]
        assert all(any(other.startswith(line) for other in whole) for line in cut)
        return whole


class Received(NamedTuple):
    """What came to a sink: ``events`` without their repeats, and how many were wrong in which way."""

    events: list[Told]
    again: int
    lost: int
    invented: int
    out_of_order: int

    def __str__(self):
        return f"{self.again} again, {self.lost} lost, {self.invented} invented, {self.out_of_order} out of order"


def receive(kept, sent):
    """Compare what was sent with what is kept, to the byte: a repeat with other bytes is invented."""
    events, last, out_of_order = [read_event(body) for body in dict.fromkeys(sent)], {}, 0
    for event in events:
        out_of_order += event.sequence <= last.get(event.key, 0)
        last[event.key] = event.sequence
    return Received(events, len(sent) - len(events), len(kept - {*sent}), len({*sent} - kept), out_of_order)


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_random_nothing_is_lost_or_invented(tmp_path, figures, part):
    """Each part has an account of its own; every event arrives at both sinks, in order, and says what happened."""
    world = World(tmp_path / "site", 1000 * SEED + part)
    kills = len(range(part, KILLS, PARTS))
    world.run(kills)
    found = world.check(figures)
    assert kills < 50 or found["hook"].again, "no kill ever met a send"


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
from poller.stores.sqlite import SqliteStore
commit = SqliteStore.commit

def marks_first(self, stream, step, now_ms):
    commit(self, stream, step._replace(outgoing=()), now_ms)
    time.sleep(0.1 if step.outgoing else 0)
    with self._writing():
        self._announce(stream, step.outgoing, now_ms)
    return len(step.outgoing)

SqliteStore.commit = marks_first
"""


@pytest.mark.parametrize("patch", [_SETTLES_FIRST, _MARKS_FIRST], ids=["settles before sending", "marks before events"])
def test_a_build_that_loses_events_is_noticed(tmp_path, patch):
    """The checks above fail for the two classic mistakes within a few kills; on a busy machine some come too early."""
    for number in range(4):
        world = World(tmp_path / str(number), SEED + number, patch=patch)
        world.run(5)
        try:
            world.check(print)
        except AssertionError:
            return
    pytest.fail("it was not noticed")
