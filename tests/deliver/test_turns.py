"""Loop two, turn by turn: a real store, a scripted sink, a clock that stands until it is moved."""

import json
import threading
from concurrent.futures import wait
from itertools import pairwise

import pytest
from drains import DAY_S, NOW_MS, rig
from hypothesis import given
from hypothesis import strategies as st

from poller import diff, retry
from poller.breaker import FAILURES, Breaker, wait_s
from poller.deliver import AHEAD_MS, IDLE_S, drain, settle
from poller.model import Delivered, Delivery, Gone, Later, Record, Refused
from poller.retry import RETRY_AFTER_CEILING_S
from poller.stores import Keep, StoreError


@pytest.fixture(name="rig")
def _rig(tmp_path):
    with rig(tmp_path) as made:
        yield made


# Sending


def test_everything_due_is_sent_once(rig):
    """And is delivered, for good."""
    rig.tell("a1", "b1", "c1")
    assert rig.run() == IDLE_S
    assert sorted(rig.sink.sent) == ["a1", "b1", "c1"]
    assert rig.states() == ["delivered 1"] * 3
    rig.restart()
    rig.run()
    assert len(rig.sink.sent) == 3


def test_a_record_s_events_arrive_in_order(rig):
    """One after the other, while others go at the same time."""
    rig.tell("a1", "a2", "b1", "a3", "b2", "c1")
    rig.run()
    for name in "abc":
        of_name = [sent for sent in rig.sink.sent if sent[0] == name]
        assert of_name == sorted(of_name)
    assert len(rig.sink.sent) == 6


def test_sends_go_at_once_up_to_the_sink_s_concurrency(rig):
    """Never more, and a lane never with itself."""
    rig.tell(*(f"{name}{n}" for n in range(5) for name in "abcdef"))
    rig.sink.open.clear()
    rig.queue.turn()
    rig.queue.turn()
    assert len(rig.queue._flying) == 4
    rig.sink.open.set()
    rig.run()
    assert rig.sink.most_busy <= 4
    assert len(rig.sink.sent) == 30


def test_a_sink_of_batches_gets_batches(rig):
    """As many as it takes, each the first of its lane."""
    rig.sink.concurrency, rig.sink.batch_size = 1, 3
    rig.tell("a1", "b1", "c1", "d1", "a2")
    rig.run()
    assert rig.sink.batches == [3, 1, 1]
    assert rig.sink.sent == ["a1", "b1", "c1", "d1", "a2"]


def test_nothing_is_sent_twice_while_it_is_under_way(rig):
    """However often the queue is looked at."""
    rig.tell("a1", "b1")
    rig.sink.open.clear()
    for _ in range(5):
        rig.queue.turn()
    rig.sink.open.set()
    rig.run()
    assert sorted(rig.sink.sent) == ["a1", "b1"]


@pytest.mark.parametrize(("waited_ms", "sent"), [(AHEAD_MS + 1, ["a1"]), (-AHEAD_MS - 1, ["a1"]), (1, ["a1", "b1"])])
def test_what_expired_after_it_was_read_is_not_sent(rig, waited_ms, sent):
    """Where that is long ago; whatever the clock did."""
    rig.sink.concurrency = 1
    rig.tell("a1", "b1")
    rig.sink.open.clear()
    rig.queue.turn()
    rig.store.tidy(Keep(pending_s=-DAY_S), rig.clock.now_ms)
    rig.clock.now_ms += waited_ms
    rig.sink.open.set()
    rig.run()
    assert rig.sink.sent == sent


def test_a_hanging_send_holds_only_its_own_lane(rig):
    """The others go round it."""
    rig.tell("a1", "a2", *(f"{name}1" for name in "bcdefghij"))
    hanging, let_go = threading.Event(), threading.Event()
    send = rig.sink.send

    def hang_on_a(batch):
        if json.loads(batch[0].body)["subject"] == "clients/a":
            hanging.set()
            let_go.wait(10)
        return send(batch)

    rig.sink.send = hang_on_a
    for _ in range(100):
        rig.queue.turn()
        if len(rig.sink.sent) == 9:
            break
        threading.Event().wait(0.01)
    assert hanging.is_set()
    assert sorted(rig.sink.sent) == [f"{name}1" for name in "bcdefghij"]
    let_go.set()
    rig.run()
    assert rig.sink.sent[9:] == ["a1", "a2"]


def test_a_send_that_ends_wakes_the_drain(rig):
    """So that it is settled at once."""
    rig.tell("a1")
    rig.queue.wake.clear()
    rig.queue.turn()
    assert rig.queue.wake.wait(5)


# One event's trouble


def test_a_refused_event_waits_alone(rig):
    """Its record's next ones behind it, all others proceed; then it is tried again, and they follow."""
    rig.sink.script["a"] = [Refused("400")]
    rig.tell("a1", "a2", "b1", "c1", "b2")
    pause_s = rig.run()
    assert pause_s == pytest.approx(retry.EVENT_WAITS_S[1])
    assert sorted(rig.sink.sent) == ["a1", "b1", "b2", "c1"]
    assert not rig.breaker.is_open
    rig.pass_s(pause_s)
    rig.run()
    assert rig.sink.sent[4:] == ["a1", "a2"]
    assert rig.states()[:2] == ["delivered 2", "delivered 1"]


def test_a_drain_rests_while_only_waiting_lanes_are_left(rig):
    """What lies behind a waiting event does not keep it busy."""
    rig.sink.script["a"] = [Refused("400")]
    rig.tell("a1", "a2")
    assert rig.run() == pytest.approx(5)
    assert rig.queue.turn() == pytest.approx(5)


def test_a_poison_event_is_parked_in_the_end(rig):
    """After its schedule of attempts; its reason is kept, and nothing else was sent again."""
    rig.sink.script["a"] = Refused("status 400")
    rig.tell("a1", "b1")
    rig.live(4 * DAY_S)
    times_ms = [time_ms for name, time_ms in zip(rig.sink.sent, rig.sink.times_ms, strict=True) if name == "a1"]
    assert [later - earlier for earlier, later in pairwise(times_ms)] == [s * 1000 for s in retry.EVENT_WAITS_S[1:]]
    assert rig.states() == ["parked 10 status 400", "delivered 1"]
    assert rig.sink.sent.count("b1") == 1


def test_a_final_refusal_is_parked_at_once(rig):
    """Asking again is pointless."""
    rig.sink.script["a"] = [Refused("too large", final=True)]
    rig.tell("a1", "a2")
    rig.run()
    assert rig.states() == ["parked 1 too large", "delivered 1"]


# Trouble of our own


def test_a_sink_that_raises_refuses_its_batch(rig):
    """A defect is named, and is no trouble of the receiver: the others proceed."""
    rig.sink.script["a"] = [KeyError("defect")]
    rig.tell("a1", "b1")
    rig.run()
    assert rig.states() == ["pending 1 the sink failed: KeyError", "delivered 1"]


@pytest.mark.parametrize("answer", [[], [Delivered(), Delivered()], None])
def test_a_sink_that_answers_for_others_refuses_its_batch(rig, answer):
    """A defect too: what cannot be told apart is sent again, and the drain lives on."""
    send = rig.sink.send
    rig.sink.send = lambda batch: send(batch) and answer
    rig.tell("a1")
    rig.run()
    [state] = rig.states()
    assert state.startswith("pending 1 the sink failed: ")
    rig.sink.send = send
    rig.pass_s(5)
    rig.run()
    assert rig.states() == ["delivered 2"]


class Stubborn:
    """A store that cannot settle while ``broken``."""

    def __init__(self, store):
        self._store = store
        self.broken = False

    def __getattr__(self, name):
        if name == "settle" and self.broken:
            return self._fail
        return getattr(self._store, name)

    def _fail(self, *_):
        raise StoreError("disk full")


def test_fault_15_answers_that_cannot_be_kept_are_kept_in_mind(rig):
    """Nothing is sent meanwhile, else the receiver would get it all again and again."""
    rig.queue.store = stubborn = Stubborn(rig.store)
    rig.tell(*(f"{name}1" for name in "abcdefgh"))
    stubborn.broken = True
    rig.queue.turn()
    wait(list(rig.queue._flying), 5)
    for _ in range(5):
        with pytest.raises(StoreError):
            rig.queue.turn()
    assert len(rig.sink.sent) == 4
    assert rig.states() == ["pending 0"] * 8
    stubborn.broken = False
    rig.run()
    assert sorted(rig.sink.sent) == [f"{name}1" for name in "abcdefgh"]
    assert rig.states() == ["delivered 1"] * 8


def test_an_answer_that_was_not_kept_is_given_again_after_a_restart(rig):
    """The receiver sees the same event twice: that is the promise."""
    rig.tell("a1")
    rig.queue.turn()
    wait(list(rig.queue._flying), 5)
    rig.restart()
    rig.run()
    assert rig.sink.sent == ["a1", "a1"]


# The loop


def test_finishing_waits_for_sends_under_way(rig):
    """And settles those that were answered in time."""
    rig.tell("a1", "b1")
    rig.sink.open.clear()
    rig.queue.turn()
    threading.Timer(0.1, rig.sink.open.set).start()
    rig.queue.finish(5)
    assert rig.states() == ["delivered 1"] * 2


def test_finishing_does_not_wait_for_ever(rig):
    """What was not answered is due at the next start."""
    rig.tell("a1")
    rig.sink.open.clear()
    rig.queue.turn()
    rig.queue.finish(0.05)
    assert rig.states() == ["pending 0"]


def test_a_drain_goes_on_when_woken_and_ends_when_stopped(rig):
    """A commit wakes it; a stop, with a wake, ends it."""
    stop = threading.Event()
    thread = threading.Thread(target=drain, args=(rig.queue, stop))
    thread.start()
    for name in ("a1", "b1", "a2"):
        rig.tell(name)
        rig.queue.wake.set()
        _until(lambda: rig.states()[-1] == "delivered 1")
    stop.set()
    rig.queue.wake.set()
    thread.join(5)
    assert not thread.is_alive()
    assert rig.sink.sent == ["a1", "b1", "a2"]


def test_a_stop_just_before_a_turn_is_not_slept_through(rig, monkeypatch):
    """Its wake comes when the drain has looked whether to stop and has not yet begun."""
    stop = threading.Event()
    turned = rig.queue.pulse.turned

    def stopped_meanwhile(loop):
        turned(loop)
        stop.set()
        rig.queue.wake.set()

    monkeypatch.setattr(rig.queue.pulse, "turned", stopped_meanwhile)
    thread = threading.Thread(target=drain, args=(rig.queue, stop), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_a_drain_outlives_trouble_of_the_store(rig, monkeypatch):
    """It tries again, and then goes on."""
    monkeypatch.setattr("poller.deliver.STORE_RETRY_S", 0.01)
    rig.queue.store = stubborn = Stubborn(rig.store)
    stubborn.broken = True
    stop = threading.Event()
    rig.tell("a1", "b1")
    thread = threading.Thread(target=drain, args=(rig.queue, stop))
    thread.start()
    _until(lambda: len(rig.sink.sent) == 2)
    stubborn.broken = False
    _until(lambda: rig.states() == ["delivered 1"] * 2)
    stop.set()
    rig.queue.wake.set()
    thread.join(5)


def test_a_defect_in_a_turn_ends_no_drain(rig, monkeypatch):
    """It is told, and after a moment the drain goes on; a single round ends by it."""
    monkeypatch.setattr("poller.deliver.STORE_RETRY_S", 0.01)
    due = rig.store.due
    monkeypatch.setattr(rig.store, "due", lambda *_, **__: 1 / 0)
    rig.tell("a1")
    with pytest.raises(ZeroDivisionError):
        drain(rig.queue, threading.Event(), until_empty=True)
    stop = threading.Event()
    thread = threading.Thread(target=drain, args=(rig.queue, stop))
    thread.start()
    _until(lambda: [line for line in rig.logs if line["event"] == "sink.broken"])
    monkeypatch.setattr(rig.store, "due", due)
    _until(lambda: rig.states() == ["delivered 1"])
    stop.set()
    rig.queue.wake.set()
    thread.join(5)
    [defects] = [series for row, series in rig.queue.meter.counters() if row.name == "defects"]
    assert defects["drain",] >= 1


def test_until_empty_ends_with_the_last_due(rig):
    """All lanes to their ends."""
    rig.tell(*(f"{name}{n}" for n in range(3) for name in "abcdefgh"))
    drain(rig.queue, threading.Event(), until_empty=True)
    assert rig.states() == ["delivered 1"] * 24


@pytest.mark.parametrize("answer", [Later("no answer"), Later("busy", 60), Refused("400"), Gone("410")])
def test_until_empty_does_not_wait_for_what_waits(rig, answer):
    """A sink that rests or is paused, an event that is put off with another behind it."""
    rig.sink.script["a"] = answer
    rig.tell("a1", "a2", "b1")
    drain(rig.queue, threading.Event(), until_empty=True)
    assert rig.states()[0].startswith("pending")
    assert not rig.queue.flying


def _until(true):
    for _ in range(500):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to that")


# What holds for all answers


def _delivery(sequence, attempts=0, troubles=0):
    return Delivery("it", sequence, sequence, f"evt_{sequence}", "client.created", attempts, troubles, b"{}")


outcomes = st.one_of(
    st.just(Delivered()),
    st.builds(Later, st.just("no answer"), st.none() | st.floats(0, 3600)),
    st.builds(Refused, st.just("400"), st.booleans(), st.booleans()),
    st.just(Gone("410")),
)
times = st.integers(NOW_MS - 10**7, NOW_MS + 3_600_000)
breakers = st.builds(
    Breaker,
    failures=st.integers(0, FAILURES - 1),
    strange=st.integers(0, 9),
    opened_ms=st.just(0) | times,
    probes=st.integers(0, 9),
    good=st.integers(0, 1),
    wait_until_ms=st.just(0) | times,
    paused=st.sampled_from(["", "by the operator"]),
)
answers = st.lists(st.tuples(outcomes, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8)


@given(answers, breakers, st.floats(0, 1))
def test_every_answer_settles_its_own_delivery(answers, before, chance):
    """Delivered only by a yes, parked only by a no, and otherwise due again within a day or so."""
    answered = [(_delivery(n, attempts, troubles), outcome) for n, (outcome, attempts, troubles) in enumerate(answers)]
    verdict = settle([answered], before, NOW_MS, chance, 4)
    assert verdict.before == before
    assert [settlement.sequence for settlement in verdict.settlements] == [one.sequence for one, _ in answered]
    for settlement, (delivery, outcome) in zip(verdict.settlements, answered, strict=True):
        assert (settlement.state == "delivered") == isinstance(outcome, Delivered)
        assert settlement.state != "parked" or isinstance(outcome, Refused)
        assert settlement.attempts - delivery.attempts <= isinstance(outcome, Delivered | Refused)
        assert settlement.troubles - delivery.troubles <= isinstance(outcome, Later | Refused)
        if settlement.state == "pending":
            paid = settlement.attempts + settlement.troubles - delivery.attempts - delivery.troubles
            assert paid == (not isinstance(outcome, Gone))
            assert NOW_MS + 1000 * paid <= settlement.due_ms <= NOW_MS + 1.2 * 86_400_000
    assert verdict.after.paused if before.paused or any(said == Gone("410") for _, said in answered) else True


@given(answers, breakers, st.floats(0, 1))
def test_a_wait_is_never_shortened(answers, before, chance):
    """While it lasts; and it is never longer than the longest."""
    answered = [(_delivery(n, *counts), outcome) for n, (outcome, *counts) in enumerate(answers)]
    after = settle([answered], before, NOW_MS, chance, 4).after
    assert wait_s(before, NOW_MS) <= wait_s(after, NOW_MS) <= RETRY_AFTER_CEILING_S


@given(breakers, st.integers(0, 9), st.floats(0, 1))
def test_what_met_trouble_is_not_due_before_the_sink(before, troubles, chance):
    """Nor later than six minutes after it could have been."""
    verdict = settle([[(_delivery(1, 3, troubles), Later("no answer"))]], before, NOW_MS, chance, 4)
    [settlement] = verdict.settlements
    until_ms = NOW_MS + int(wait_s(verdict.after, NOW_MS) * 1000)
    assert until_ms <= settlement.due_ms <= until_ms + 360_000


def test_a_scripted_change_is_a_change():
    """The helper of these tests makes what the poll makes."""
    body = b'{"id":"a","text":"1"}'
    record = Record("a", 0, deleted=False, body=body, digest=diff.digest(body))
    [finding], _ = diff.compare([record], {}, {}, diff.Rules())
    assert finding.change.body == record.body
