"""How fast a key may be used, as refusals teach it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller import pace
from poller.pace import Pace

FULL = Pace(100.0, 100.0, 0.0)


def test_one_refusal_takes_a_quarter_of_the_rate():
    """And for a moment nothing passes."""
    lowered = pace.refused(FULL, sent_s=9.9, now_s=10.0)
    assert lowered.rate == 75
    delay_s, _ = pace.taken(lowered, 10.0)
    assert delay_s == pytest.approx(pace.PAUSE_S)


def test_what_was_under_way_when_the_rate_was_lowered_lowers_it_no_further():
    """Eight threads meet a limit together: that is one refusal."""
    lowered = pace.refused(FULL, sent_s=9.9, now_s=10.0)
    for sent_s in (9.8, 9.95, 10.0):
        lowered = pace.refused(lowered, sent_s, now_s=10.1)
    assert lowered.rate == 75
    assert pace.refused(lowered, sent_s=10.2, now_s=10.3).rate == 75 * pace.DECREASE


def test_the_rate_rises_by_what_passes():
    """Half a request a second in each second of full use."""
    now = FULL._replace(rate=50.0)
    for _ in range(50):
        now = pace.passed(now)
    assert now.rate == pytest.approx(50 + pace.INCREASE, rel=0.001)


def test_a_low_rate_rises_slowly():
    """By a fiftieth of itself a second, else its limit were met every few requests."""
    now = pace.passed(FULL._replace(rate=1.0))
    assert now.rate == pytest.approx(1 + pace.INCREASE_SHARE)


def test_a_refused_key_makes_up_for_less():
    """Bursts are what limits by window refuse."""
    careful = pace.refused(FULL, 0.0, 0.0)
    delays = []
    for _ in range(20):
        delay_s, careful = pace.taken(careful, 100.0)
        delays.append(delay_s)
    assert delays[6] == 0 < delays[7]


@pytest.mark.parametrize(("rate", "together"), [(100.0, 25), (20.0, 5), (1.0, 1), (0.5, 1)])
def test_who_is_early_goes_on_in_rows(rate, together):
    """The rate is what it was, and there is one wait for a quarter of a second's worth of requests."""
    now, now_s, turns, waits = Pace(rate, rate, 0.0), 0.0, 0, 0
    while now_s < 100:
        delay_s, now = pace.taken(now, now_s)
        now_s, turns, waits = now_s + delay_s, turns + 1, waits + (delay_s > 0)
    assert turns == pytest.approx(rate * (100 + now.burst_s), abs=together + 1)
    assert together <= turns / waits <= together + 1


def test_the_rows_of_a_refused_key_are_short():
    """Within what it may make up for, so that no turn is lost."""
    now, now_s, turns = pace.refused(FULL, 0.0, 0.0), 10.0, 0
    while now_s < 20:
        delay_s, now = pace.taken(now, now_s)
        now_s, turns = now_s + delay_s, turns + 1
    assert turns == pytest.approx(75 * 10.1, abs=4)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=200), st.floats(0.1, 100))
def test_the_rate_stays_between_its_bounds(answers, ceiling):
    """Whatever the API answers: no more than is allowed, and never nothing."""
    now, now_s = Pace(ceiling, ceiling, 0.0), 0.0
    for fine, span_s in answers:
        now_s += span_s
        now = pace.passed(now) if fine else pace.refused(now, now_s, now_s)
        assert min(pace.LEAST_RATE, ceiling) <= now.rate <= ceiling


def test_the_limit_of_an_api_is_found():
    """It lets 100 a second through and tells nobody; of ten minutes' requests hardly one in a thousand is refused."""
    now, now_s, window, counted = Pace(1000.0, 1000.0, 0.0), 0.0, -1, 0
    asked = refused = 0
    while now_s < 600:
        delay_s, now = pace.taken(now, now_s)
        now_s += delay_s
        window, counted = (window, counted + 1) if int(now_s) == window else (int(now_s), 1)
        now = pace.passed(now) if counted <= 100 else pace.refused(now, now_s, now_s)
        asked, refused = asked + (now_s > 60), refused + (now_s > 60 and counted > 100)
        now_s += 0.001
    assert refused / asked < 0.002
    assert asked / 540 > 80
