"""Streams in the store: their progress, schedules, decisions and pauses, each with its own writer."""

from dataclasses import replace

import pytest
from stored import reopened

from poller.model import Stream
from poller.stores import Decision, Pass, Progress, Standing, Step, Sweeping

FULL = Progress(
    baselined_ms=1,
    watermarks={"": 2, "ž": 3},
    sweep=Sweeping(Pass.IDS, 4, "p", "a", {"": 5, "p": 6}, tainted=True),
    polls=7,
    sweeps=8,
    next_sweep_ms=9,
    live=10,
    missing=11,
    held_ms=12,
    count_gap=-13,
    late=(14, 15),
)


def test_a_new_stream_is_entered_once(store):
    """As never polled; and shown from then on."""
    stream = Stream("o", "clients")
    assert store.standing(stream) == store.standing(stream) == Standing(stream)
    assert store.streams() == [Standing(stream)]


@pytest.mark.parametrize("progress", [FULL, Progress(), replace(FULL, sweep=None, held_ms=None)])
def test_progress_survives_a_restart(store, opened, progress):
    """All of it, the sweep under way too."""
    stream = Stream("o", "clients")
    store.commit(stream, Step(progress), 0)
    assert reopened(store, opened).standing(stream).progress == progress


def test_a_schedule_survives_a_restart_and_leaves_progress_alone(store, opened):
    """Each has its own writer."""
    stream = Stream("o", "clients")
    store.commit(stream, Step(FULL), 0)
    standing = Standing(stream, Progress(), None, 5, 6, 7, "no", suspended=True)
    store.schedule(standing)
    assert reopened(store, opened).standing(stream) == replace(standing, progress=FULL)


def test_a_commit_leaves_the_schedule_alone(store):
    """The other way round."""
    stream = Stream("o", "clients")
    store.schedule(Standing(stream, next_poll_ms=5, failures=2))
    store.commit(stream, Step(FULL), 0)
    assert (store.standing(stream).next_poll_ms, store.standing(stream).failures) == (5, 2)


def test_many_streams_are_entered_at_once(store):
    """The new ones beside those that are known, which stay as they are; each is answered once."""
    known, new = Stream("o", "clients"), Stream("p", "items")
    store.schedule(replace(store.standing(known), next_poll_ms=7))
    found = {standing.stream: standing.next_poll_ms for standing in store.enter([new, known, new])}
    assert found == {known: 7, new: 0}
    assert [standing.stream for standing in store.enter([new])] == [new]
    assert len(store.streams()) == 2


def test_streams_do_not_touch_each_other(store, make_feed, make_record):
    """Neither their progress, nor the body of a record of the same name."""
    clients, items = (make_feed(store, Stream("o", resource)) for resource in ("clients", "items"))
    for feed in (clients, items):
        feed.show(make_record("a", feed.stream.resource))
    items.show(make_record("a", updated_ms=2000, deleted=True))
    assert [store.standing(feed.stream).progress.polls for feed in (clients, items)] == [1, 2]
    assert store.bodies(store.marks(clients.stream, "a").values()) == {"a": make_record("a", "clients").body}


def test_a_sweep_can_be_asked_for(store):
    """It begins with the next poll."""
    stream = Stream("o", "clients")
    store.commit(stream, Step(FULL), 0)
    store.sweep_soon(stream)
    assert store.standing(stream).progress == replace(FULL, next_sweep_ms=0)


def test_a_decision_is_kept_until_it_is_carried_out(store):
    """Through other commits, and the next poll is at once."""
    stream = Stream("o", "clients")
    store.commit(stream, Step(FULL), 0)
    store.schedule(Standing(stream, next_poll_ms=5))
    assert store.decide("o/clients", Decision.APPROVE) is True
    assert (store.standing(stream).decision, store.standing(stream).next_poll_ms) == (Decision.APPROVE, 0)
    store.commit(stream, Step(FULL), 0)
    assert store.standing(stream).decision == Decision.APPROVE
    store.commit(stream, Step(replace(FULL, held_ms=None), decided=True), 0)
    assert store.standing(stream).decision is None


@pytest.mark.parametrize("name", ["o/clients", "o/items", "clients", ""])
def test_where_nothing_is_held_nothing_is_decided(store, name):
    """An unknown stream is not entered either."""
    store.standing(Stream("o", "clients"))
    assert store.decide(name, Decision.REJECT) is False
    assert [standing.decision for standing in store.streams()] == [None]


def test_a_stream_can_be_paused(store, opened):
    """And resumed: it is polled at once then. One that is not known cannot, and no other is touched."""
    streams = [Stream("o", "clients"), Stream("o", "items")]
    for stream in streams:
        store.schedule(Standing(stream, next_poll_ms=5))
    assert store.pause_stream("o/clients", paused=True) is True
    assert store.pause_stream("o/orders", paused=True) is False
    store = reopened(store, opened)
    assert store.streams() == [Standing(streams[0], paused=True), Standing(streams[1], next_poll_ms=5)]
    assert store.pause_stream("o/clients", paused=False) is True
    assert store.standing(streams[0]) == Standing(streams[0])
