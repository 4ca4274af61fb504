"""Marks in the store: found by id, in order or by state, and as they were."""

import pytest
from stored import reopened

from poller.diff import Finding, digest
from poller.locate import Ranks
from poller.model import Mark, Quarantined, State, Stream
from poller.stores import Progress, Step, loops

# Marks


def test_marks_are_those_asked_for(store, feed, make_record):
    """By id; unknown ones are left out, other streams too."""
    feed.show(*(make_record(one) for one in "abc"))
    assert set(store.marks(feed.stream, ["a", "c", "x"])) == {"a", "c"}
    assert store.marks(feed.stream, []) == {}
    assert store.marks(Stream("o", "items"), ["a"]) == {}


@pytest.mark.parametrize("chunk", [1, 3, 10_000])
def test_ranks_are_of_live_marks_by_listing(store, feed, make_record, monkeypatch, chunk):
    """Every so many-th id of each, in order; what is deleted or missing has none. They are read by chunks."""
    monkeypatch.setattr(loops, "CHUNK_MARKS", chunk)
    assert store.ranks(feed.stream, 2) == {}
    feed.show(*(make_record(one) for one in "gcabfde"), make_record("aa", deleted=True))
    feed.set_states(State.MISSING, "d")
    assert store.ranks(feed.stream, 2) == {"": Ranks(6, 2, ("b", "e", "g"))}
    assert store.ranks(feed.stream, 7) == {"": Ranks(6, 7, ())}
    marks = store.marks(feed.stream, "bcf").values()
    moved = [Finding(State.LIVE, mark._replace(parent="p")) for mark in marks]
    store.commit(feed.stream, Step(feed.progress, moved), 0)
    assert store.ranks(feed.stream, 2) == {"": Ranks(3, 2, ("e",)), "p": Ranks(3, 2, ("c",))}


@pytest.mark.parametrize(
    ("after", "upto", "limit", "ids"),
    [
        ("", None, -1, "abcdž"),
        ("", "d", -1, "abcd"),
        ("a", "c", -1, "bc"),
        ("b", None, 2, "cd"),
        ("bb", "cc", -1, "c"),
        ("d", "e", -1, ""),
        ("d", "ž", -1, "ž"),
        ("ž", None, -1, ""),
        ("c", "b", -1, ""),
    ],
)
def test_marks_between_ids(store, feed, make_record, after, upto, limit, ids):
    """Above the first, up to the second and with it, in order: as Python orders them."""
    feed.show(*(make_record(one) for one in "džcab"))
    assert list(store.marks_between(feed.stream, after, upto, limit)) == list(ids)


def test_the_digests_of_live_records(store, feed, make_record):
    """Of this listing alone, so many above an id, in the order of ids."""
    records = {one: make_record(one, deleted=one == "e") for one in "gedcba"}
    feed.show(*records.values())
    feed.set_states(State.MISSING, "c")
    marks = store.marks(feed.stream, "d")
    store.commit(feed.stream, Step(feed.progress, [Finding(State.LIVE, marks["d"]._replace(parent="p"))]), 1)
    assert list(store.known(feed.stream, "", "a", 2).items()) == [(records[one].digest, one) for one in "bg"]
    assert list(store.known(feed.stream, "", "", 2).values()) == ["a", "b"]
    assert store.known(feed.stream, "p", "", 9) == {records["d"].digest: "d"}
    assert [store.live_between(feed.stream, "", *ends) for ends in [("", "z"), ("a", "g"), ("b", "f")]] == [3, 2, 0]
    assert store.live_between(feed.stream, "p", "", "z") == 1


def test_missing_marks_are_listed_in_order(store, feed, make_record):
    """They alone, page by page."""
    feed.show(*(make_record(one) for one in "abcdef"))
    feed.set_states(State.MISSING, *"fdb")
    feed.set_states(State.DISMISSED, "c")
    assert [mark.id for mark in store.missing(feed.stream, "", 2)] == ["b", "d"]
    assert [mark.id for mark in store.missing(feed.stream, "d", 2)] == ["f"]


def test_a_mark_comes_back_as_it_was(store, opened, feed, make_record):
    """With its place in the bodies."""
    feed.show(make_record("a"), make_record("b", updated_ms=None))
    marks = reopened(store, opened).marks(feed.stream, "ab")
    assert marks["a"] == Mark("a", 1000, digest(make_record("a").body), State.LIVE, "", 1)
    assert (marks["b"].updated_ms, marks["b"].body) == (None, 2)
    assert marks["a"].state is State.LIVE


def test_a_mark_is_replaced_whole(store, feed, make_record):
    """All of it may have changed."""
    feed.show(make_record("a"))
    mark = Mark("a", 2000, b"another digest", State.DELETED, "another parent", 0)
    store.commit(feed.stream, Step(Progress(), [Finding(State.LIVE, mark, b"")]), 5)
    assert store.marks(feed.stream, "a") == {"a": mark}


# Quarantine


def test_quarantine_is_counted_and_cleared(store, feed, now_ms):
    """Each record once, by when it was last seen; of one stream."""
    bad = [Quarantined("x", "bad"), Quarantined("y", "bad")]
    feed.show(quarantined=bad, now_ms=now_ms)
    feed.show(quarantined=bad[:1], now_ms=now_ms + 10)
    store.standing(Stream("o", "items"))
    assert store.quarantined(feed.stream) == 2
    assert store.quarantined(Stream("o", "items")) == 0
    store.clear_quarantine(feed.stream, now_ms + 10)
    assert store.quarantined(feed.stream) == 1
    store.clear_quarantine(feed.stream, now_ms + 11)
    assert store.quarantined(feed.stream) == 0


def test_what_is_in_quarantine_and_live_is_no_stranger(store, feed, make_record, now_ms):
    """A record that was followed until it could not be read is not counted twice; one that is deleted is no more."""
    feed.show(
        make_record("x"),
        make_record("y"),
        quarantined=[Quarantined("x", "bad"), Quarantined("z", "bad")],
        now_ms=now_ms,
    )
    assert store.strangers(feed.stream) == 1
    feed.show(make_record("x", deleted=True), now_ms=now_ms)
    assert store.strangers(feed.stream) == 2
