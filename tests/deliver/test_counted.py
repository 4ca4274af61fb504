"""What a drain counts: answers, ends, and how long deliveries took."""

import pytest
from drains import DAY_S, rig

from poller.model import Advanced, Delivered, Later, Refused
from poller.stores.selection import Selection


@pytest.fixture
def made(tmp_path):
    with rig(tmp_path) as made:
        yield made


def counted(made, name):
    """The series of one counter, by outcome."""
    found = {row.name: series for row, series in made.queue.meter.counters()}[name]
    return {outcome: number for (_, outcome), number in found.items()}


def took(made):
    """How many deliveries were timed, and the sum of their seconds."""
    found = {row.name: series for row, series in made.queue.meter.histograms()}["delivery_seconds"]["it",]
    return sum(found.counts), found.total


def test_each_answer_is_counted_and_each_end(made):
    """A step that is done is an answer; what is due again came to no end."""
    made.sink.script["a"] = [Advanced(b"{}"), Delivered()]
    made.sink.script["b"] = [Later("503"), Delivered()]
    made.sink.script["c"] = [Refused("404", final=True)]
    made.tell("a1", "b1", "c1")
    made.live(600)
    assert counted(made, "attempts") == {"advanced": 1, "delivered": 2, "later": 1, "refused": 1}
    assert counted(made, "deliveries") == {"delivered": 2, "parked": 1}


def test_a_delivery_is_timed_from_its_commit(made):
    """Whatever it met on its way."""
    made.sink.script["a"] = [*[Refused("404")] * 3, Delivered()]
    made.tell("a1")
    made.live(DAY_S)
    number, seconds = took(made)
    assert number == 1
    assert 1800 * 0.8 < seconds < 3 * 3600


def test_what_is_sent_again_is_timed_from_when_that_was_asked_for(made):
    """And not from its commit, days before."""
    made.tell("a1")
    made.run()
    made.pass_s(3 * DAY_S)
    made.store.again(Selection(), ["delivered"], made.clock.now_ms)
    made.pass_s(2)
    made.run()
    assert took(made) == (2, pytest.approx(2.0, abs=0.01))


def test_what_a_route_delays_is_timed_from_the_end_of_its_delay(made):
    """The delay is what was wanted."""
    made.route, made.delay_s = "later", 3600.0
    made.tell("a1")
    made.live(3600 + 60)
    assert took(made) == (1, pytest.approx(0.0, abs=31))


def test_a_clock_that_was_set_back_times_nothing_below_zero(made):
    """It took no time then."""
    made.tell("a1")
    made.pass_s(-100)
    made.store.set_back(100_000, made.clock.now_ms)
    made.run()
    assert took(made) == (1, 0.0)
