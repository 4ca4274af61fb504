"""Loop two and trouble: the receiver's, that of one event, an operator's word in between; days pass in no time."""

import json
import random
import threading
import time
from itertools import pairwise

import pytest
from drains import DAY_S, NOW_MS, Inline, rig
from pauses import pauses
from process import eventually
from receiver import Receiver, answer

from poller import retry
from poller.breaker import FAILURES, Breaker
from poller.deliver import IDLE_S, Drain, drain
from poller.model import Delivered, Gone, Later, Refused
from poller.plan import Order
from poller.retry import BLOCKING_ATTEMPTS, EVENT_WAITS_S
from poller.sinks.webhook import Config
from poller.stores import Keep
from poller.stores.selection import Selection

SLOW, NO, STRANGE = Later("no answer"), Refused("400"), Refused("401: wrong?", strange=True)


@pytest.fixture(name="rig")
def _rig(tmp_path):
    """It sends at once, in one thread."""
    with rig(tmp_path, Inline()) as made:
        yield made


@pytest.fixture
def threaded(tmp_path):
    with rig(tmp_path) as made:
        yield made


def delays_s(rig, told):
    """How long after it was told each event arrived, in seconds; ``told`` gives times by name."""
    arrived = dict(zip(rig.sink.sent[::-1], rig.sink.times_ms[::-1], strict=True))
    return {name: (arrived[name] - time_ms) / 1000 for name, time_ms in told.items()}


# The receiver's trouble


def test_trouble_puts_off_its_own_delivery_only(rig):
    """The others go; it comes again after five seconds, and has paid nothing."""
    rig.sink.script["a"] = [SLOW]
    rig.tell("a1", "b1", "a2", "c1")
    assert rig.run() == 5
    assert rig.sink.sent == ["a1", "b1", "c1"]
    assert rig.states() == ["pending 0 no answer", "delivered 1", "pending 0", "delivered 1"]
    rig.live(5)
    assert rig.sink.sent[3:] == ["a1", "a2"]


def test_trouble_in_a_row_stops_all(rig):
    """Until the wait of five seconds is over, also through a restart; no event is to blame."""
    rig.sink.always = SLOW
    rig.tell(*(f"{name}1" for name in "abcdefghij"))
    assert rig.run() == 5
    assert len(rig.sink.sent) <= FAILURES + rig.sink.concurrency
    sent = len(rig.sink.sent)
    rig.tell("x1")
    rig.restart()
    rig.pass_s(4.999)
    rig.run()
    assert len(rig.sink.sent) == sent
    assert {state.split()[1] for state in rig.states()} == {"0"}


def test_one_delivery_probes(rig):
    """The one that waits longest; a second good one opens the sink, at one send at once."""
    rig.sink.always = SLOW
    rig.tell(*(f"{name}1" for name in "abcdefghijkl"))
    rig.live(5)
    assert rig.breaker.probes == 1
    probed = rig.sink.sent[-1]
    assert probed not in rig.sink.sent[:-1]
    rig.sink.always = Delivered()
    rig.live(15)
    assert (rig.breaker.is_open, rig.breaker.ramp_ms, rig.breaker.ramp_from) == (False, NOW_MS + 20_000, 1)
    rig.live(60)
    assert rig.count("delivered") == 12


def test_concurrency_comes_back_minute_by_minute(threaded):
    """One at first."""
    threaded.sink.always = SLOW
    threaded.tell(*(f"r{number}/1" for number in range(99)))
    threaded.run()
    threaded.sink.always = Delivered()
    threaded.pass_s(5)
    most = []
    while threaded.count("pending"):
        threaded.sink.most_busy = 0
        threaded.sink.open.clear()
        for _ in range(3):
            threaded.queue.turn()
        while threaded.sink.busy < len(threaded.queue._flying):
            time.sleep(0.001)
        most.append(threaded.sink.busy)
        threaded.sink.open.set()
        for future in list(threaded.queue._flying):
            future.result(5)
        threaded.queue._settle()
        if len(most) in (10, 20, 30, 40):
            threaded.pass_s(60)
    assert sorted(most[:-1]) == most[:-1]
    assert {1, 2, 3, 4} == set(most[:-1])


TIMEOUT_MS = 15_000
AWAY = {
    "refuses connections": [Later("http://127.0.0.1: connection refused")],
    "answers 500": [retry.outcome(500, {}, 0)],
    "answers 429": [retry.outcome(429, {}, 0)],
    "answers 503 and for how long": [retry.outcome(503, {"retry-after": "120"}, 0)],
    "does not answer": [Later("http://127.0.0.1: the deadline of 15 s passed")],
    "does each of these": [
        Later("http://127.0.0.1: connection refused"),
        retry.outcome(500, {}, 0),
        retry.outcome(429, {}, 0),
        Later("http://127.0.0.1: the deadline of 15 s passed"),
    ],
}


def away(rig, outcomes, seed=1):
    """Have the receiver say one of these from now on; what it does not answer takes the whole timeout."""
    send, dice = type(rig.sink).send.__get__(rig.sink), random.Random(seed)

    def send_away(batch):
        rig.sink.always = dice.choice(outcomes)
        found = send(batch)
        rig.clock.now_ms += TIMEOUT_MS if "deadline" in found[0].reason else 0
        return found

    rig.sink.send = send_away


def back(rig):
    del rig.sink.send
    rig.sink.always = Delivered()


@pytest.mark.parametrize("outcomes", AWAY.values(), ids=AWAY)
def test_fault_53_a_receiver_that_is_away_for_three_days_gets_everything(tmp_path, outcomes):
    """Beginning six minutes after it is back, in order per record; no event paid for it, and probes were few."""
    with rig(tmp_path, Inline(), seed=1) as made:
        told = []

        def tell(bunches, span_s):
            for _ in range(bunches):
                names = [f"r{number % 300}/{number:04}" for number in range(len(told), len(told) + 10)]
                made.tell(*names)
                told.extend(name.replace("/", "") for name in names)
                made.live(span_s / bunches)

        tell(5, 60)
        away(made, outcomes)
        sent = len(made.sink.sent)
        tell(200, 3 * DAY_S)
        probes = len(made.sink.sent) - sent
        assert probes <= 3 * DAY_S / (300 * 0.8) + 20
        back(made)
        back_ms = made.clock.now_ms
        tell(10, 360)
        first_ms = made.sink.times_ms[sent + probes]
        tell(5, 360)
        assert set(made.states()) == {"delivered 1"}
        assert made.count("delivered") == len(told) == 2200
    assert first_ms - back_ms <= 360_000
    assert sorted(made.sink.taken) == sorted(told)
    for record in {name[:-4] for name in told}:
        mine = [name for name in made.sink.taken if name[:-4] == record]
        assert mine == sorted(mine)


@pytest.mark.parametrize("outcomes", AWAY.values(), ids=AWAY)
@pytest.mark.parametrize("events", [1, 3, 50])
def test_whenever_it_comes_back_the_next_attempt_begins_within_six_minutes(tmp_path, outcomes, events):
    """Also where one that fails has just begun; every wait is as long as chance can make it."""
    with rig(tmp_path, Inline()) as made:
        made.queue.chance = lambda: 1.0
        made.tell(*(f"r{number}/1" for number in range(events)))
        away(made, outcomes)
        made.live(7200)
        last_ms = made.sink.times_ms[-1]
        back(made)
        made.live(720)
        assert made.count("delivered") == events
    assert max(later - earlier for earlier, later in pairwise(made.sink.times_ms)) <= 360_000
    assert made.sink.times_ms[-events] - last_ms <= 360_000


def test_an_event_that_always_times_out_stops_no_other(tmp_path):
    """Not even where there is hardly another: each arrives at once, for days; in the end it is parked."""
    with rig(tmp_path, Inline(), seed=2) as made:
        made.sink.script["a"] = SLOW
        made.tell("a1")
        told = {}
        for number in range(400):
            made.live(3600)
            name = f"r{number}/1"
            made.tell(name)
            told[name.replace("/", "")] = made.clock.now_ms
            made.run()
        assert max(delays_s(made, told).values()) == 0
        assert made.breaker.error == ""
        made.store.tidy(Keep(), made.clock.now_ms)
        assert made.states()[0] == "parked 0 expired: no answer"


def test_several_such_events_delay_the_others_a_little(tmp_path):
    """Together they look like an outage, until others got through: six minutes, and after that nothing."""
    with rig(tmp_path, Inline(), seed=3) as made:
        poison = [f"p{number}" for number in range(10)]
        made.sink.script = dict.fromkeys(poison, SLOW)
        made.tell(*(f"{name}/1" for name in poison))
        made.live(7200)
        assert made.breaker.is_open
        told = {}
        for number in range(100):
            name = f"r{number}/1"
            made.tell(name)
            told[name.replace("/", "")] = made.clock.now_ms
            made.live(600)
        delays = list(delays_s(made, told).values())
        assert max(delays) <= 360
        assert set(delays[20:]) == {0}


def test_a_receiver_s_rest_is_kept(rig):
    """As long as it asked for, by all; then half as many at once."""
    rig.sink.script["a"] = [Later("busy", 60)]
    rig.sink.concurrency = 1
    rig.tell("a1", "b1")
    assert rig.run() == IDLE_S
    rig.live(59.9)
    assert rig.sink.sent == ["a1"]
    rig.live(0.1)
    assert sorted(rig.sink.taken) == ["a1", "b1"]


def test_fault_23_a_clock_that_is_set_back_delays_nothing_for_long(rig):
    """What was put off by another clock is due after the next tidying; what comes now goes at once."""
    rig.sink.script["a"] = [SLOW]
    rig.tell("a1")
    rig.run()
    rig.pass_s(-30 * DAY_S)
    rig.tell("b1")
    rig.run()
    assert rig.sink.taken == ["b1"]
    rig.store.tidy(Keep(), rig.clock.now_ms)
    rig.run()
    assert rig.sink.taken == ["b1", "a1"]


def test_what_comes_due_is_sent_while_another_send_hangs(threaded):
    """The drain looks again when that is due, and not only when the hanging one ends."""
    threaded.sink.script["a"] = [SLOW]
    threaded.tell("a1")
    threaded.run()
    threaded.sink.open.clear()
    threaded.tell("b1")
    assert 0 < threaded.queue.turn() <= 5
    threaded.pass_s(5)
    threaded.queue.turn()
    assert len(threaded.queue._flying) == 2


# One event's trouble


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


# A wrong address or secret


def test_fault_57_a_wrong_secret_is_reported_and_costs_nothing_more(rig):
    """Four events paid an attempt before; then all wait, and the reason says what to look for."""
    rig.sink.always = STRANGE
    rig.tell(*(f"r{number}/1" for number in range(50)))
    rig.live(4)
    [waits] = [line for line in rig.logs if line["event"] == "sink.waits"]
    assert (waits["reason"], waits["open"]) == ("401: wrong?", True)
    assert rig.breaker.error == "401: wrong?"
    assert len(rig.sink.sent) < 15
    rig.live(10 * DAY_S)
    assert rig.count("parked") <= 4
    assert sum(state.split()[1] == "0" for state in rig.states()) == 46
    rig.sink.always = Delivered()
    rig.live(720)
    assert rig.count("delivered") >= 46


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
