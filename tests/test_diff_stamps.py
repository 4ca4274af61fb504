"""Listings of ids and stamps: whom to ask for whole, who is back, who is missing, and when that is too many."""

import pytest
from remembered import T0, T1, T2, record

from poller.diff import absent, holds, newest, returned, suspects
from poller.model import Mark, Record, State, parse_time


def test_of_two_with_one_id_the_newer_is_taken():
    """By stamp; of equal ones, the one shown last. No stamp is older than any."""
    shown = [record("{}", stamp=stamp) for stamp in (T1, T2, T0, None)]
    assert newest(shown)["a"].updated_ms == parse_time(T2)
    assert newest([record('{"x":1}'), record('{"x":2}')])["a"].body == b'{"x":2}'
    assert newest([record('{"x":1}', stamp=None), record('{"x":2}', stamp=None)])["a"].body == b'{"x":2}'


def stamped(stamp=T0, *, deleted=False, record_id="a"):
    return Record(record_id, parse_time(stamp), deleted, b"", b"")


@pytest.mark.parametrize(
    ("state", "shown", "suspect"),
    [
        (None, stamped(), True),
        (None, stamped(deleted=True), False),
        (State.LIVE, stamped(), False),
        (State.LIVE, stamped(T1), True),
        (State.LIVE, stamped(None), True),
        (State.LIVE, stamped(deleted=True), True),
        (State.DELETED, stamped(T1, deleted=True), False),
        (State.DELETED, stamped(), True),
        (State.MISSING, stamped(), False),
        (State.MISSING, stamped(T1), True),
        (State.MISSING, stamped(deleted=True), True),
        (State.DISMISSED, stamped(), False),
    ],
)
def test_what_to_ask_for_whole(state, shown, suspect):
    """Unknown ones, other stamps, other states."""
    marks = {} if state is None else {"a": Mark("a", parse_time(T0), b"", state)}
    assert suspects([shown], marks) == ([shown] if suspect else [])


@pytest.mark.parametrize(
    ("state", "shown", "back"),
    [
        (None, stamped(), False),
        (State.LIVE, stamped(), False),
        (State.MISSING, stamped(), True),
        (State.DISMISSED, stamped(), True),
        (State.MISSING, stamped(T1), False),
        (State.MISSING, stamped(deleted=True), False),
        (State.DELETED, stamped(), False),
    ],
)
def test_who_is_back_unchanged(state, shown, back):
    """Missing ones shown again with the same stamp; the others are looked at whole."""
    marks = {} if state is None else {"a": Mark("a", parse_time(T0), b"", state)}
    found = list(returned([shown], marks))
    assert [(finding.was, finding.mark.state) for finding in found] == ([(state, State.LIVE)] if back else [])
    assert all(finding.change is None and finding.body is None for finding in found)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("parent", ["", "list"])
@pytest.mark.parametrize("shown", [True, False])
def test_only_live_ones_of_the_listing_become_missing(state, parent, shown):
    """And nothing is told of it yet."""
    mark = Mark("a", None, b"digest", state, parent, body=7)
    found = list(absent([mark], ["a"] if shown else ["b"], ""))
    if state == State.LIVE and parent == "" and not shown:
        assert [(finding.was, finding.mark) for finding in found] == [(State.LIVE, mark._replace(state=State.MISSING))]
        assert (found[0].body, found[0].change) == (None, None)
    else:
        assert found == []


@pytest.mark.parametrize(
    ("missing", "live", "held"),
    [
        (0, 0, False),
        (1, 0, False),
        (10, 0, False),
        (11, 0, True),
        (11, 43, True),
        (11, 44, False),
        (100, 399, True),
        (100, 400, False),
        (5000, 0, True),
    ],
)
def test_too_many_at_once_are_held(missing, live, held):
    """More than 10, and more than a fifth of all."""
    assert holds(missing, live) is held
