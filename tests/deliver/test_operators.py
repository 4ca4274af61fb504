"""Loop two and an operator's word: pauses, resumes, and what is sent again."""

import json
import threading
import time

import pytest
from drains import DAY_S, NO, SLOW, STRANGE

from poller.breaker import Breaker
from poller.deliver import IDLE_S, drain
from poller.model import Delivered, Gone, Later, Refused
from poller.stores.selection import Selection

# A receiver that is gone, an operator's word


def test_fault_50_a_receiver_that_is_gone_is_left_alone_until_it_is_resumed(rig):
    """Nothing is lost meanwhile, through a restart too; then all of it goes out in order."""
    rig.sink.script["b"] = [Gone("410")]
    rig.sink.concurrency = 1
    rig.tell("a1", "b1", "a2", "b2")
    rig.run()
    assert [(line["reason"], line["hint"]) for line in rig.logs if line["event"] == "sink.paused"] == [
        ("410", "poller resume it")
    ]
    rig.restart()
    rig.tell("b3")
    rig.live(3 * DAY_S)
    assert rig.sink.sent == ["a1", "b1"]
    rig.store.pause("it", "", rig.clock.now_ms)
    rig.run()
    assert rig.sink.taken[1:] == ["a2", "b1", "b2", "b3"] or rig.sink.taken[1:] == ["b1", "a2", "b2", "b3"]
    assert rig.breaker == Breaker(recent=rig.breaker.recent)


def test_a_pause_stops_what_was_read_ahead(rig):
    """And what is answered afterwards is kept, without undoing the pause."""
    rig.sink.concurrency = 1
    rig.tell("a1", "b1", "c1")
    rig.queue.turn()
    rig.store.pause("it", "by the operator", rig.clock.now_ms)
    assert rig.run() == IDLE_S
    assert rig.sink.sent == ["a1"]
    assert rig.states() == ["delivered 1", "pending 0", "pending 0"]
    assert rig.breaker.paused == "by the operator"


@pytest.mark.parametrize("outcome", [Delivered(), SLOW, NO, STRANGE, Later("busy", 1)])
def test_no_answer_undoes_an_operator_s_word(threaded, outcome):
    """Pausing and resuming all the time while answers come in: the last word holds."""
    threaded.queue.now_ms = lambda: time.time_ns() // 1_000_000
    threaded.sink.always = outcome
    threaded.tell(*(f"r{number}/1" for number in range(2000)))
    stop = threading.Event()
    thread = threading.Thread(target=drain, args=(threaded.queue, stop))
    thread.start()
    for number in range(60):
        reason = f"word {number}" if number % 2 else ""
        threaded.store.pause("it", reason, threaded.queue.now_ms())
        threaded.queue.wake.set()
        time.sleep(0.002)
        assert threaded.breaker.paused == reason
    stop.set()
    threaded.queue.wake.set()
    thread.join(5)
    assert threaded.breaker.paused == "word 59"


def test_a_resumed_sink_is_tried_at_once(rig):
    """Whatever its deliveries waited for."""
    rig.sink.always = SLOW
    rig.tell("a1", "b1")
    rig.live(DAY_S)
    rig.sink.always = Delivered()
    rig.store.pause("it", "", rig.clock.now_ms)
    rig.run()
    assert sorted(rig.sink.taken) == ["a1", "b1"]


# Sent again


def test_a_replay_goes_out_behind_what_is_pending(rig):
    """The same bytes and id, and later events of the record behind it."""
    rig.tell("a1", "a2", "b1")
    rig.run()
    bodies = {}
    send = rig.sink.send

    def remember(batch):
        for delivery in batch:
            bodies.setdefault(delivery.event_id, set()).add(delivery.body)
        return send(batch)

    rig.sink.send = remember
    rig.tell("a3")
    assert rig.store.again(Selection(record="a"), ["delivered"], rig.clock.now_ms) == 2
    rig.tell("a4")
    rig.run()
    assert rig.sink.sent[3:] == ["a3", "a1", "a2", "a4"]
    assert all(len(found) == 1 for found in bodies.values())
    assert {json.loads(body)["id"] for [body] in bodies.values()} == set(bodies)


def test_a_parked_event_that_is_sent_again_starts_anew(rig):
    """With its schedule."""
    rig.sink.script["a"] = [Refused("too large", final=True), NO]
    rig.tell("a1")
    rig.run()
    rig.store.again(Selection(), ["parked"], rig.clock.now_ms)
    assert rig.run() == 5
    assert rig.states() == ["pending 1 400"]
