"""What a route lets through, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.gate import Passage, Traffic, admit
from poller.plan import Gate

NOW_MS = 1_790_000_000_000


def run(gate, times_ms, traffic=Traffic(), delay_ms=0):  # noqa: B008 - it is frozen
    """Let events through that come at these times; when each is due, None where it is held."""
    due = []
    for now_ms in times_ms:
        passage = admit(gate, traffic, now_ms + delay_ms, now_ms)
        due.append(None if passage.held else passage.due_ms)
        traffic = passage.after
    return due


def test_without_a_limit_it_is_due_when_it_is_wanted():
    """And nothing is counted."""
    assert admit(Gate(), Traffic(), NOW_MS + 5, NOW_MS) == Passage(NOW_MS + 5, held=False, after=Traffic())


def test_a_pace_spreads_what_comes_at_once():
    """One each two seconds; after a rest the next goes at once."""
    gate = Gate(pace_s=2.0)
    assert admit(gate, Traffic(), NOW_MS, NOW_MS) == Passage(NOW_MS, held=False, after=Traffic(next_ms=NOW_MS + 2000))
    assert run(gate, [NOW_MS] * 3 + [NOW_MS + 60_000]) == [NOW_MS, NOW_MS + 2000, NOW_MS + 4000, NOW_MS + 60_000]


@pytest.mark.parametrize(("pace_s", "span_ms"), [(1 / 3, 334), (2 / 3, 667), (0.0001, 1), (4.03, 4030), (1.001, 1001)])
def test_a_pace_is_not_exceeded(pace_s, span_ms):
    """By a fraction of a millisecond either; what a float cannot write makes it no slower."""
    assert run(Gate(pace_s=pace_s), [NOW_MS] * 3) == [NOW_MS, NOW_MS + span_ms, NOW_MS + 2 * span_ms]


def test_a_pace_comes_after_a_delay():
    """What is wanted later is spread from there on."""
    assert run(Gate(pace_s=1.0), [NOW_MS, NOW_MS], delay_ms=5000) == [NOW_MS + 5000, NOW_MS + 6000]


def test_a_flood_is_held():
    """Three in a minute; the fourth is held, and so is all that follows, in the next minutes too."""
    gate = Gate(flood=3, per_s=60.0)
    times = [NOW_MS, NOW_MS + 1, NOW_MS + 2, NOW_MS + 3, NOW_MS + 120_000]
    assert run(gate, times) == [*times[:3], None, None]


def test_what_is_held_is_counted():
    """So that an operator sees how many wait for a word; it is due when it was wanted."""
    traffic = Traffic(window_ms=NOW_MS, seen=1)
    for held in range(1, 4):
        due_ms, is_held, traffic = admit(Gate(pace_s=1.0, flood=1, per_s=60.0), traffic, NOW_MS + 5, NOW_MS)
        assert (due_ms, is_held, traffic.held) == (NOW_MS + 5, True, held)


def test_a_stream_below_the_flood_is_never_held():
    """Each minute counts anew."""
    gate = Gate(flood=2, per_s=60.0)
    times = [NOW_MS + number * 30_000 for number in range(20)]
    assert run(gate, times) == times


def test_a_clock_that_is_set_back_begins_a_new_window():
    """Else a window in the future would never end."""
    passage = admit(Gate(flood=1, per_s=60.0), Traffic(window_ms=NOW_MS + 86_400_000, seen=1), NOW_MS, NOW_MS)
    assert not passage.held


@given(
    st.builds(Gate, st.sampled_from([0.0, 0.5, 3.0]), st.integers(0, 4), st.sampled_from([1.0, 60.0])),
    st.lists(st.integers(0, 20_000), max_size=30),
)
def test_nothing_overtakes_anything(gate, waits_ms):
    """Due times never fall, nothing is due before it is wanted, and after a held one there is no other."""
    times = [NOW_MS + sum(waits_ms[: place + 1]) for place in range(len(waits_ms))]
    due = run(gate, times)
    let = [time_ms for time_ms in due if time_ms is not None]
    assert let == sorted(let)
    assert due[len(let) :] == [None] * (len(due) - len(let))
    assert all(later >= wanted for later, wanted in zip(let, times, strict=False))
