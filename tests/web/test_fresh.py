"""Answers that are kept for a while."""

import pytest

from poller.web.fresh import MOST, Fresh


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def made(clock):
    """What was made, and how long each takes."""
    made = []
    made_s = {"cheap": 0.0, "dear": 1.0}

    def make(key):
        made.append(key)
        clock.now_s += made_s.get(key, 0.0)
        return len(made)

    return Fresh(make, clock), made


def test_an_answer_is_kept_for_a_second(made, clock):
    """Then it is made anew."""
    fresh, every = made
    assert [fresh("cheap"), fresh("cheap")] == [1, 1]
    clock.now_s += 0.99
    assert fresh("cheap") == 1
    clock.now_s += 0.02
    assert fresh("cheap") == 2
    assert every == ["cheap"] * 2


def test_what_is_dear_is_kept_for_longer(made, clock):
    """So that making it takes a twentieth of the time at most."""
    fresh, _ = made
    assert fresh("dear") == 1
    clock.now_s += 19.9
    assert fresh("dear") == 1
    clock.now_s += 0.2
    assert fresh("dear") == 2


def test_a_failure_is_not_kept(clock):
    """The next one to ask tries again."""
    tries = iter([OSError, None])

    def make(_):
        if error := next(tries):
            raise error
        return "well"

    fresh = Fresh(make, clock)
    with pytest.raises(OSError):
        fresh(1)
    assert fresh(1) == "well"


def test_what_was_changed_is_made_anew(made):
    """At once."""
    fresh, _ = made
    assert fresh("cheap") == 1
    fresh.forget()
    assert fresh("cheap") == 2


def test_only_so_many_are_kept(made):
    """The oldest goes."""
    fresh, every = made
    for key in range(MOST + 1):
        fresh(key)
    fresh(MOST)
    assert len(every) == MOST + 1
    fresh(0)
    assert len(every) == MOST + 2
