"""Loop two and the receiver's trouble: away, slow, wrong or busy, for seconds or for days that pass in no time."""

import random
import time
from itertools import pairwise

import pytest
from drains import DAY_S, NOW_MS, SLOW, STRANGE, Inline, delays_s, rig

from poller import retry
from poller.breaker import FAILURES
from poller.deliver import IDLE_S
from poller.model import Delivered, Later
from poller.stores import Keep

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
