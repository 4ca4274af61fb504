"""Loop two and one event's trouble: what it delays, and in which order the others go."""

import random
import threading
import time

import pytest
from drains import DAY_S, NO, NOW_MS, SLOW, Inline, delays_s, rig
from pauses import pauses
from process import eventually
from receiver import Receiver, answer

from poller import retry
from poller.deliver import Drain, drain
from poller.model import Delivered
from poller.plan import Order
from poller.retry import BLOCKING_ATTEMPTS, EVENT_WAITS_S
from poller.sinks.webhook import Config


def test_a_refused_event_lets_its_record_go_in_the_end(rig):
    """The later ones wait for six attempts, 7.6 hours; it goes on being tried, and is parked after ten."""
    rig.sink.script["a"] = NO
    rig.tell("a1", "a2")
    rig.sink.script["a"] = [NO] * BLOCKING_ATTEMPTS + [Delivered()] + [NO] * 4
    rig.live(sum(EVENT_WAITS_S[:BLOCKING_ATTEMPTS]) - 1)
    assert set(rig.sink.sent) == {"a1"}
    rig.live(1)
    assert rig.sink.sent == ["a1"] * 6 + ["a2"]
    assert rig.states() == ["pending 6 400", "delivered 1"]
    rig.live(3 * DAY_S)
    assert rig.states() == ["parked 10 400", "delivered 1"]


@pytest.mark.parametrize("order", list(Order))
def test_an_order_is_kept(rig, order):
    """Behind one that is refused waits what the order says, and nothing else."""
    rig.order = order
    rig.sink.script["a"] = NO
    rig.tell("a1", "a2", "b1")
    rig.tell("c1", resource="items")
    rig.run()
    waiting = {
        Order.NONE: {},
        Order.RECORD: {"a2"},
        Order.STREAM: {"a2", "b1"},
        Order.SINK: {"a2", "b1", "c1"},
    }[order]
    assert {"a1", "a2", "b1", "c1"} - set(rig.sink.sent) == set(waiting)


@pytest.mark.parametrize("order", [Order.STREAM, Order.SINK])
def test_a_strict_order_is_one_at_a_time(threaded, order):
    """Through trouble too."""
    threaded.order = order
    names = [f"{name}{number}" for number in range(9) for name in "abc"]
    threaded.sink.script = {"a": [SLOW, NO], "b": [Delivered(), SLOW]}
    threaded.tell(*names)
    while threaded.count("pending"):
        threaded.pass_s(threaded.run())
    assert threaded.sink.taken == names
    assert threaded.sink.most_busy == 1


def test_fault_52_one_event_that_is_refused_for_ever_delays_no_other(tmp_path):
    """Among ten thousand, and among those that come until it is parked."""
    with rig(tmp_path, Inline(), seed=4) as made:
        made.sink.script["r5000"] = NO
        names = [f"r{number}/1" for number in range(10_000)]
        made.tell(*names)
        told = {name.replace("/", ""): NOW_MS for name in names if name != "r5000/1"}
        for number in range(80):
            made.live(3600)
            name = f"s{number}/1"
            made.tell(name)
            told[name.replace("/", "")] = made.clock.now_ms
        made.run()
        assert max(delays_s(made, told).values()) == 0
        assert (made.count("parked"), made.count("delivered")) == (1, 10_079)


class Wall:
    """The clock on the wall."""

    @property
    def now_ms(self):
        return time.time_ns() // 1_000_000

    def __call__(self):
        return self.now_ms


BATCHES, BATCH = 100, 100
ALONE = 20


def test_one_event_that_is_refused_for_ever_delays_no_other_by_a_second(tmp_path, monkeypatch):
    """Ten thousand to a receiver on loopback; one that it refuses is tried again all the time from the 2,000th on.

    They come a hundred at a time, so that what each waits is the time since its commit.
    """
    monkeypatch.setattr(retry, "EVENT_WAITS_S", (0.0, *[0.05] * 10_000))
    arrived, refused, waits_s = {}, [], []

    def picky(wire):
        if b'"id":"bad"' in wire.record.body:
            refused.append(wire.record.time_s)
            return answer(400)(wire)
        arrived[wire.record.id] = time.monotonic()
        return answer()(wire)

    with Receiver(always=picky) as receiver, rig(tmp_path) as made:
        sink, made.clock = Config(kind="webhook", url=receiver.url).sink(), Wall()
        made.queue = Drain("it", sink, made.store, made.executor, made.clock, random.random)
        stop = threading.Event()
        thread = threading.Thread(target=drain, args=(made.queue, stop))
        thread.start()
        for number in range(BATCHES):
            if number == ALONE:
                made.tell("bad/1")
            with pauses() as machine:
                made.tell(*(f"r{number * BATCH + place}/1" for place in range(BATCH)))
                committed_s = time.monotonic()
                made.queue.wake.set()
                eventually(lambda: len(arrived) == (number + 1) * BATCH, every_s=0.002)  # noqa: B023
            waits_s.append(max(list(arrived.values())[-BATCH:]) - committed_s - machine.total_s)
        stop.set()
        made.queue.wake.set()
        thread.join(10)
        made.queue.finish(10)
        sink.close()
        assert (made.count("delivered"), made.count("pending")) == (BATCHES * BATCH, 1)
    before_s, with_it_s = max(waits_s[:ALONE]), max(waits_s[ALONE:])
    print(f"refused {len(refused)} times; waits at most {before_s:.2f} s before, {with_it_s:.2f} s with it")  # noqa: T201
    assert len(refused) > (BATCHES - ALONE) / 4
    assert len(receiver.records) == BATCHES * BATCH + len(refused)
    assert with_it_s < before_s + 1
