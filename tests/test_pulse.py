"""What counts as standing still, on a clock that the test moves."""

import threading

import pytest

from poller.pulse import DATABASE_S, LOOP_S, POLL_BUDGETS, Pulse
from poller.signs import Signs
from poller.sources import Sweep, spaceinvoices


class Clock:
    now_s = 1000.0

    def __call__(self):
        return self.now_s

    def passes(self, span_s):
        self.now_s += span_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pulse(clock):
    return Pulse(clock)


def test_nothing_that_was_begun_stands_still(pulse, clock):
    """A fresh pulse is well, however long ago it was made."""
    clock.passes(1e6)
    assert pulse.trouble() == ""


def test_a_loop_has_to_turn(pulse, clock):
    """Each by itself, until it ended; one that turns again is well again."""
    pulse.turned("the drain of a")
    pulse.turned("the drain of b")
    clock.passes(LOOP_S)
    assert pulse.trouble() == ""
    pulse.turned("the drain of b")
    clock.passes(1)
    assert pulse.trouble() == f"the drain of a stands still for {LOOP_S + 1:.0f} s"
    pulse.turned("the drain of a")
    assert pulse.trouble() == ""
    pulse.ended("the drain of a")
    pulse.ended("the drain of b")
    clock.passes(LOOP_S + 1)
    assert pulse.trouble() == ""


def test_a_poll_may_take_three_times_its_budget_for_each_step(pulse, clock):
    """However many steps it takes in all; when it is over it is not watched."""
    with pulse.polling("org/clients", 10):
        for _ in range(5):
            clock.passes(POLL_BUDGETS * 10)
            assert pulse.trouble() == ""
            pulse.moved()
        clock.passes(POLL_BUDGETS * 10 + 1)
        assert pulse.trouble() == "the poll of org/clients stands still for 31 s"
    assert pulse.trouble() == ""


def test_a_poll_that_fails_is_over(pulse, clock):
    """As one that succeeds."""
    with pytest.raises(ValueError, match="broken"), pulse.polling("org/clients", 10):
        raise ValueError("broken")
    clock.passes(1000)
    assert pulse.trouble() == ""


def test_polls_of_other_threads_are_signs_of_theirs_alone(pulse, clock):
    """Two polls: one moves, the other one does not."""
    begun, go_on = threading.Event(), threading.Event()

    def poll():
        with pulse.polling("org/items", 10):
            begun.set()
            go_on.wait(30)

    other = threading.Thread(target=poll)
    other.start()
    begun.wait(30)
    with pulse.polling("org/clients", 10):
        clock.passes(31)
        pulse.moved()
        assert pulse.trouble() == "the poll of org/items stands still for 31 s"
    go_on.set()
    other.join(30)
    assert pulse.trouble() == ""


def test_a_step_outside_of_a_poll_means_nothing(pulse):
    """The source is asked for organizations, too."""
    pulse.moved()
    assert pulse.trouble() == ""


def test_the_database_has_to_answer(pulse, clock):
    """In time and properly; what it does next time counts."""
    pulse.asked()
    clock.passes(DATABASE_S)
    assert pulse.trouble() == ""
    clock.passes(1)
    assert pulse.trouble() == "the database did not answer within 5 s"
    pulse.answered()
    assert pulse.trouble() == "the database did not answer within 5 s"
    pulse.asked()
    pulse.answered("it is locked")
    assert pulse.trouble() == "it is locked"
    pulse.asked()
    pulse.answered()
    assert pulse.trouble() == ""


def test_all_that_stands_still_is_told(pulse, clock):
    """One after the other."""
    pulse.turned("the scheduler")
    pulse.asked()
    with pulse.polling("org/clients", 1):
        clock.passes(LOOP_S + 1)
        assert pulse.trouble() == (
            "the scheduler stands still for 91 s; the database did not answer within 5 s; "
            "the poll of org/clients stands still for 91 s"
        )


def test_the_budget_of_a_poll_is_what_a_dead_api_takes():
    """Every try with its longest turn and its deadline, and the longest waits between them."""
    source = spaceinvoices
    assert source.ANSWER_S >= source.TRIES * source.DEADLINE_S + (source.TRIES - 1) * source.BACKOFF_CEILING_S
    assert source.ANSWER_S == 4 * (60 + 15) + 3 * 60


def test_each_answer_of_a_source_is_a_sign():
    """Each page of a listing, what is fetched, a count; and it goes through as it is."""

    class Source:
        name, resources = "it", {}

        def organizations(self):
            return ["org"]

        def list(self, stream, query, parent=""):
            yield from (stream, query, parent)

        def fetch(self, stream, ids, parent=""):
            return (stream, ids, parent)

        def count(self, stream, parent="", after=""):
            return (stream, parent, after)

    signs = []
    source = Signs(Source(), lambda: signs.append(1))
    assert (source.name, source.resources, source.organizations()) == ("it", {}, ["org"])
    assert [*source.list("s", Sweep("", bodies=True), "p")] == ["s", Sweep("", bodies=True), "p"]
    assert len(signs) == 3
    assert source.fetch("s", ["1"], "p") == ("s", ["1"], "p")
    assert source.count("s", "p", "a") == ("s", "p", "a")
    assert len(signs) == 5
