"""Events in the store: their order, ids and bytes, and the sinks that they are for."""

import json

import pytest
from stored import due, events, reopened

from poller.stores import StoreError

DAY_MS = 86_400_000


def test_sequences_rise_by_the_clock_and_without_it(store, opened, feed, make_feed, make_record, now_ms):
    """Through restarts, and with a clock that was set back."""
    feed.show(make_record("a"), make_record("b"), now_ms=now_ms)
    feed.show(make_record("c"), now_ms=now_ms - DAY_MS)
    store = reopened(store, opened)
    again = make_feed(store)
    again.show(make_record("d"), now_ms=0)
    again.show(make_record("e"), now_ms=now_ms + 1)
    start = now_ms * 1000
    sequences = [sequence for _, sequence, _, _ in events(store)]
    assert sequences == [start, start + 1, start + 2, start + 3, start + 1000]


def test_stored_bytes_say_what_the_columns_say(store, feed, make_record):
    """They are what every attempt sends."""
    feed.show(make_record("a"))
    [(identity, sequence, trigger, body)] = events(store)
    wire = json.loads(body)
    assert (wire["id"], wire["sequence"]) == (identity, f"{sequence:020d}")
    assert (trigger, wire["type"]) == ("client.created", "com.spaceinvoices.client.created")


def test_fault_43_equal_changes_have_ordinals(store, feed, make_record):
    """From A to B, back, and again, under one stamp: four events, four ids."""
    for text in "ABABA":
        feed.show(make_record("a", text))
    ids = [identity for identity, *_ in events(store)]
    assert len(set(ids)) == 5
    assert ids[3] == f"{ids[1]}_2"
    assert ids[4] == f"{ids[2]}_2"


def test_only_what_was_told_already_gets_an_ordinal(store, feed, make_record):
    """Not what else is new on the page."""
    for text in "aba":
        feed.show(make_record("x", text))
    feed.show(make_record("x", "b"), make_record("y", "b"), make_record("z", "b"))
    told = [(json.loads(body)["data"]["object"]["id"], identity) for identity, _, _, body in events(store)]
    assert [(name, identity.count("_")) for name, identity in told[3:]] == [("x", 2), ("y", 1), ("z", 1)]


def test_a_lost_state_gives_the_same_ids(tmp_path, opened, make_feed, make_record, now_ms):
    """The same changes seen again, at another time, in another file."""
    both = []
    for number in range(2):
        store = opened(tmp_path / f"{number}" / "poller.db")
        feed = make_feed(store)
        feed.show(make_record("a"), now_ms=now_ms + number)
        feed.show(make_record("a", "new", updated_ms=2000), now_ms=now_ms + 10 * number)
        both.append([identity for identity, *_ in events(store)])
    assert both[0] == both[1]


def test_deliveries_are_for_the_sinks_that_want_the_event(store, feed, make_record):
    """An event that none wants is kept without any."""
    feed.show(make_record("a"), sinks=("a",))
    feed.show(make_record("b"), sinks=())
    feed.show(make_record("c"), sinks=("b", "a"))
    wanted = [(sink, identity) for sink in "abc" for identity in due(store, 2**60, sink)]
    sequences = [sequence for _, sequence, _, _ in events(store)]
    assert wanted == [("a", sequences[0]), ("a", sequences[2]), ("b", sequences[2])]


@pytest.mark.parametrize("damage", ["body = x'00'", "dictionary = 99"])
def test_an_event_that_cannot_be_unpacked_is_damage(store, feed, make_record, damage):
    """It is told as trouble of the state, and not sent in some other shape."""
    feed.show(make_record("a"))
    store._run(f"UPDATE event SET {damage}")
    with pytest.raises(StoreError, match=r"the state is damaged.*see poller verify"):
        store.due("a", 2**60, 9)
