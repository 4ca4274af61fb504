"""Loop two and batches: who goes with whom, who waits for whom, and who pays for whom; days pass in no time."""

import json
import threading
from itertools import count
from pathlib import Path
from tempfile import gettempdir

import pytest
from drains import DAY_S, NO, NOW_MS, SLOW, STRANGE, Inline, rig
from hypothesis import given, settings
from hypothesis import strategies as st

from poller.batch import split
from poller.breaker import FAILURES
from poller.deliver import IDLE_S, drain
from poller.model import Delivered, Gone, Later
from poller.plan import Order
from poller.retry import BLOCKING_ATTEMPTS


class Together:
    """A sink of batches, before a receiver that answers each as a whole: as the first of it does that is in ``script``.

    An answer there is an outcome, or a list of them to be used up.
    ``requests`` are the names in each, ``times_ms`` when they came; ``taken`` is what it said yes to.
    """

    def __init__(self, clock, size, wait_s):
        self.concurrency, self.batch_size, self.batch_wait_s = 4, size, wait_s
        self.careful = False
        self.script, self.always = {}, Delivered()
        self.requests, self.times_ms, self.taken, self.lanes = [], [], [], []
        self.open = threading.Event()  # the rig sets it at its end
        self._clock = clock

    def send(self, batch):
        self.lanes.append([delivery.lane for delivery in batch])
        return split(batch, self._ask, lambda: False)

    def _ask(self, part):
        objects = [json.loads(delivery.body)["data"]["object"] for delivery in part]
        names = [f"{fields['id']}{fields['text']}" for fields in objects]
        self.requests.append(names)
        self.times_ms.append(self._clock())
        said = next(filter(None, (self._said(fields["id"]) for fields in objects)), self.always)
        if said == Delivered():
            self.taken += names
        return said

    def _said(self, name):
        planned = self.script.get(name)
        return planned.pop(0) if isinstance(planned, list) and planned else planned or None


@pytest.fixture(name="make")
def _make(tmp_path):
    """Make a rig whose sink takes batches."""
    rigs = []

    def make(size=100, wait_s=1.0, seed=None):
        rigs.append(rig(tmp_path, Inline(), seed))
        made = rigs[-1].__enter__()
        made.sink = Together(made.clock, size, wait_s)
        made.restart()
        return made

    yield make
    for one in rigs:
        one.__exit__(None, None, None)


def names_of(numbers):
    return [f"r{number}/1" for number in numbers]


# Company


def test_an_event_waits_for_others(make):
    """A second, and then it goes with those that came meanwhile."""
    made = make()
    made.tell("a1")
    assert made.run() == 1
    made.pass_s(0.4)
    made.tell("b1", "a2", "c1")
    assert made.run() == 0.6
    assert made.sink.requests == []
    made.live(0.6)
    assert made.sink.requests == [["a1", "b1", "c1"]]
    assert made.run() == 0.4
    made.live(0.4)
    assert made.sink.requests[1:] == [["a2"]]
    assert made.states() == ["delivered 1"] * 4


def test_a_full_batch_does_not_wait(make):
    """What is left over does, from when it became due."""
    made = make(size=3)
    made.tell(*"abcd")
    assert made.run() == 1
    assert made.sink.requests == [["a", "b", "c"]]
    made.pass_s(0.5)
    made.tell("e", "f")
    made.run()
    assert made.sink.requests[1:] == [["d", "e", "f"]]


def test_a_restart_does_not_begin_the_wait_anew(make):
    """It is counted from when the event became due."""
    made = make()
    made.tell("a")
    made.run()
    made.pass_s(0.7)
    made.restart()
    assert made.run() == pytest.approx(0.3)


def test_a_round_that_ends_does_not_wait(make):
    """``poller once`` sends what is due and ends."""
    made = make(wait_s=3600)
    made.tell("a", "b")
    drain(made.queue, threading.Event(), until_empty=True)
    assert made.sink.requests == [["a", "b"]]


def test_a_retry_does_not_wait(make):
    """It goes alone as soon as it is due, and leaves those behind that wait."""
    made = make(wait_s=20)
    made.sink.script["a"] = NO
    made.tell("a", "b")
    made.live(24)
    made.tell("c")
    made.sink.script.clear()
    made.live(1)
    assert made.sink.requests == [["a", "b"], ["a"], ["b"], ["a"]]
    made.live(20)
    assert made.sink.requests[4:] == [["c"]]


def test_a_backlog_goes_in_full_batches(make):
    """Whatever the size is; a batch in the end is smaller."""
    made = make(size=90)
    made.tell(*names_of(range(1000)))
    made.live(2)
    assert [len(names) for names in made.sink.requests] == [90] * 11 + [10]
    assert made.count("delivered") == 1000


@pytest.mark.parametrize("order", list(Order))
def test_a_batch_holds_one_of_each_lane(make, order):
    """So that what is refused, or taken in part, never changes an order."""
    made = make(size=10)
    made.order = order
    names = [f"{name}{number}" for number in range(5) for name in "abc"]
    made.tell(*names)
    made.live(20)
    assert sorted(made.sink.taken) == sorted(names)
    assert [lanes for lanes in made.sink.lanes if len(set(lanes)) != len(lanes)] == []
    for name in "abc" if order != Order.NONE else "":
        mine = [one for one in made.sink.taken if one[0] == name]
        assert mine == sorted(mine)


# One event's trouble


def test_one_bad_event_among_ten_thousand_delays_no_other(make):
    """It alone pays, and the others go with the same turn."""
    made = make(wait_s=0)
    made.sink.script["r5000"] = NO
    made.tell(*names_of(range(10_000)))
    made.run()
    assert made.count("delivered") == 9999
    assert made.states()[5000] == "pending 1 400"
    assert made.sink.times_ms == [NOW_MS] * len(made.sink.requests)
    assert len(made.sink.requests) <= 100 + 2 * 7
    assert not made.breaker.is_open
    made.live(4 * DAY_S)
    assert made.states()[5000] == "parked 10 400"
    assert made.sink.requests[-9:] == [["r50001"]] * 9


def test_a_bad_record_holds_back_its_own_events_only(make):
    """As without batches."""
    made = make(wait_s=0)
    made.sink.script["a"] = NO
    made.tell("a1", "b1", "a2", "b2")
    made.run()
    assert made.states() == ["pending 1 400", "delivered 1", "pending 0", "delivered 1"]


def test_an_event_that_always_times_out_delays_its_company_once(make):
    """For five seconds, in which it could have been any of them; from then on it goes alone, and stops nobody."""
    made = make(wait_s=0, seed=5)
    made.sink.script["r7"] = SLOW
    made.tell(*names_of(range(10)))
    made.run()
    assert made.count("delivered") == 0
    made.live(6)
    assert made.count("delivered") == 9
    numbers = count(100)
    for _ in range(200):
        told = [next(numbers) for _ in range(5)]
        made.tell(*names_of(told))
        made.run()
        assert made.sink.requests[-1] == [f"r{number}1" for number in told]
        made.live(600)
    assert made.count("delivered") == 1009
    assert not made.breaker.is_open


# The receiver's trouble


def test_a_batch_without_an_answer_is_one_failure(make):
    """However many are in it: five such in a row stop the sink, as five events do elsewhere."""
    made = make(size=10, wait_s=0)
    made.sink.always = SLOW
    made.tell(*names_of(range(10)))
    made.run()
    assert (made.breaker.failures, made.breaker.is_open) == (1, False)
    made.tell(*names_of(range(10, 40)))
    made.run()
    assert (made.breaker.failures, made.breaker.is_open) == (4, False)
    made.tell(*names_of(range(40, 80)))
    made.run()
    assert made.breaker.is_open
    assert set(made.states()) == {"pending 0 no answer"}


def test_a_batch_that_comes_too_soon_halves_once(make):
    """A receiver that asks for a rest gets half as many at once, not half of half for each event."""
    made = make(size=10, wait_s=0)
    made.sink.always = Later("busy", 60)
    made.tell(*names_of(range(10)))
    made.run()
    assert (made.breaker.ramp_from, made.breaker.wait_until_ms) == (2, NOW_MS + 60_000)


def test_a_receiver_that_is_gone_pauses_its_sink(make):
    """No event pays."""
    made = make(wait_s=0)
    made.sink.always = Gone("410")
    made.tell("a", "b", "c")
    assert made.run() == IDLE_S
    assert made.breaker.paused == "410"
    assert made.states() == ["pending 0 410"] * 3


def test_a_probe_is_one_event(make):
    """Alone in its batch, and it does not wait; then the others follow together, and those that met trouble alone."""
    made = make(wait_s=60)
    made.sink.always = SLOW
    for number in range(0, 1000, 100):
        made.tell(*names_of(range(number, number + 100)))
        made.run()
    assert made.breaker.is_open
    requests = len(made.sink.requests)
    made.tell("x")
    made.live(5)
    assert made.sink.requests[requests:] == [["r5001"]]
    made.sink.always = Delivered()
    made.live(75)
    together = [len(names) for names in made.sink.requests[requests + 1 :]]
    assert together == [1, 1, *[100] * 4, *[1] * 501, 98]
    assert made.count("delivered") == 1001


def test_a_wrong_secret_costs_a_few_attempts(make):
    """Of the first events that are refused alone; then the receiver is to blame, and the others wait for it."""
    made = make(wait_s=0)
    made.sink.always = STRANGE
    made.tell(*names_of(range(1000)))
    made.run()
    assert made.breaker.is_open
    assert sum(" 1 " in state for state in made.states()) < FAILURES
    assert len(made.sink.requests) < 4 * 20
    made.sink.always = Delivered()
    made.live(400)
    assert made.count("delivered") == 1000


def test_a_receiver_that_is_away_for_a_day_gets_everything(make):
    """In order per record, beginning six minutes after it is back; no event paid for it."""
    made = make(size=20, seed=6)
    made.sink.always = SLOW
    told = [f"r{number % 40}/{number:03}" for number in range(300)]
    for name in told:
        made.tell(name)
        made.live(DAY_S / 300)
    assert {state.split()[1] for state in made.states()} == {"0"}
    made.sink.always = Delivered()
    made.live(720)
    assert sorted(made.sink.taken) == sorted(name.replace("/", "") for name in told)
    for record in {name[:-3] for name in made.sink.taken}:
        mine = [name for name in made.sink.taken if name[:-3] == record]
        assert mine == sorted(mine)


# What holds for all histories

answers = st.lists(st.sampled_from([SLOW, NO, STRANGE, Later("busy", 60)]), max_size=BLOCKING_ATTEMPTS - 1)
scripts = st.dictionaries(st.sampled_from("abcdefgh"), answers, max_size=8)
steps = st.lists(st.tuples(st.sampled_from("abcdefghijklmn"), st.sampled_from([0, 0, 0, 0.3, 5, 100])), max_size=40)


@settings(max_examples=50, deadline=None)
@given(scripts, steps, st.integers(1, 5), st.sampled_from([0.0, 1.0, 30.0]))
def test_everything_arrives_once_and_in_order(script, steps, size, wait_s):
    """Whoever spoils whose batch; and nobody is parked."""
    with rig(Path(gettempdir()), Inline(), seed=7) as made:
        made.sink = Together(made.clock, size, wait_s)
        made.restart()
        made.sink.script = script
        told = [f"{name}/{number:02}" for number, (name, _) in enumerate(steps)]
        for name, (_, pause_s) in zip(told, steps, strict=True):
            made.tell(name)
            made.live(pause_s)
        made.live(2 * DAY_S)
    assert sorted(made.sink.taken) == sorted(name.replace("/", "") for name in told)
    for name in {name[0] for name in told}:
        mine = [taken for taken in made.sink.taken if taken[0] == name]
        assert mine == sorted(mine)
    assert [lanes for lanes in made.sink.lanes if not len(set(lanes)) == len(lanes) <= size] == []
