"""How far an increment looks back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller import overlap

delays = st.lists(st.floats(-10, 20_000), max_size=60)


def test_without_late_changes_it_is_what_the_operator_set():
    """However many there were."""
    assert overlap.span_s((), 300.0) == 300
    assert overlap.span_s(overlap.observed((), [0.0] * 5000), 300.0) == 300


def test_a_late_change_is_covered_from_then_on():
    """With room to spare: up to the next power of two."""
    assert overlap.span_s(overlap.observed((), [0.0] * 500 + [600.0]), 300.0) == 1024


def test_one_in_many_thousands_is_left_to_sweeps():
    """It would make each increment read more for nothing."""
    late = overlap.observed((), [0.0] * 4500 + [3000.0])
    assert overlap.span_s(late, 300.0) == 300
    assert overlap.span_s(overlap.observed(late, [3000.0] * 3), 300.0) == 3600


def test_what_was_missed_came_later_than_the_overlap():
    """So the overlap grows until increments see what comes late, and can tell how late."""
    late, span_s = (), 60.0
    for _ in range(10):
        late = overlap.missed(late, 1, span_s)
        assert overlap.span_s(late, 60.0) > span_s or span_s == overlap.LONGEST_S
        span_s = overlap.span_s(late, 60.0)
    assert span_s == overlap.LONGEST_S


def test_what_is_long_ago_is_forgotten():
    """A bad day does not cost for ever."""
    late = overlap.observed((), [900.0] * 3)
    assert overlap.span_s(late, 60.0) == 1024
    for _ in range(40):
        late = overlap.observed(late, [0.0] * 1000)
    assert overlap.span_s(late, 60.0) == 60


@given(delays, st.sampled_from([5.0, 300.0, 3000.0]))
def test_it_stays_between_its_bounds(delays_s, least_s):
    """Whatever was observed; and it covers all of a few changes, up to the longest."""
    span_s = overlap.span_s(overlap.observed((), delays_s), least_s)
    assert least_s <= span_s <= overlap.LONGEST_S
    assert span_s >= min(max(delays_s, default=0.0), overlap.LONGEST_S)


@pytest.mark.parametrize("delay_s", [0.0, 1.0, 1.5, 4096.0, 1e9])
def test_every_delay_has_its_place(delay_s):
    """Each is counted once."""
    assert sum(overlap.observed((), [delay_s])) == 1
