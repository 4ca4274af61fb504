"""Whose turn comes next."""

from hypothesis import given
from hypothesis import strategies as st

from poller.due import ROOM, Due


def taken(due, now_ms):
    found = []
    while (name := due.take(now_ms)) is not None:
        found.append(name)
    return found


def test_the_one_that_waits_for_longest_comes_first():
    """And none before its time."""
    due = Due()
    for name, time_ms in (("b", 20), ("a", 10), ("c", 30)):
        due.put(name, time_ms)
    assert taken(due, 25) == ["a", "b"]
    assert (due.next_ms(), len(due)) == (30, 1)


def test_a_turn_can_be_moved():
    """Either way; it comes once."""
    due = Due()
    due.put("a", 10)
    due.put("b", 20)
    due.put("a", 30)
    due.put("b", 5)
    assert due.next_ms() == 5
    assert taken(due, 100) == ["b", "a"]
    assert due.next_ms() is None


def test_a_turn_can_be_dropped():
    """As if it had never been planned; dropping what is not there is no error."""
    due = Due()
    due.put("a", 10)
    due.drop("a")
    due.drop("a")
    assert due.next_ms() is None
    due.put("a", 10)
    assert taken(due, 10) == ["a"]


def test_all_turns_can_be_shifted():
    """For a clock that was set back."""
    due = Due()
    due.put("a", 1010)
    due.put("b", 1020)
    due.shift(-1000)
    assert taken(due, 15) == ["a"]


def test_turns_that_are_moved_over_and_over_take_no_room():
    """What was planned before is forgotten in time."""
    due = Due()
    for round_ms in range(50):
        for name in range(100):
            due.put(str(name), round_ms * 100 + name)
    assert len(due._heap) <= 2 * 100 + ROOM
    assert len(taken(due, 100_000)) == 100


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.none() | st.integers(0, 50)), max_size=60))
def test_it_is_a_dictionary_in_the_order_of_times(steps):
    """Whatever was planned, moved and dropped before."""
    due, model = Due(), {}
    for name, time_ms in steps:
        if time_ms is None:
            due.drop(name)
            model.pop(name, None)
        else:
            due.put(name, time_ms)
            model[name] = time_ms
    assert [(model[name], name) for name in taken(due, 50)] == sorted((at, name) for name, at in model.items())
