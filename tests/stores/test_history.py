"""What the status page reads: sums, the newest, and no more than it asks for."""

from dataclasses import replace

import pytest

from poller.model import Quarantined, Stream
from poller.stores import Progress, Settlement, Standing, Step, history
from poller.stores.history import Counted, Group, Latency
from poller.stores.reading import View

MINUTE_MS = 60_000


@pytest.fixture
def look(store, path):
    """Ask with a fresh view."""

    def look(ask, *arguments, **options):
        with View(path) as view:
            return ask(view, *arguments, **options)

    return look


def stand(store, name, *, progress=None, paused=False, **standing):
    """A stream that stands like this."""
    stream = Stream(*name.split("/"))
    store.standing(stream)
    if progress is not None:
        store.commit(stream, Step(progress), 0)
    store.schedule(replace(Standing(stream), **standing))
    if paused:
        store.pause_stream(name, paused=True)


@pytest.fixture
def streams(store, now_ms):
    """One of each state."""
    well = Progress(baselined_ms=1, live=10)
    soon_ms = now_ms + 1000
    stand(store, "a/clients", progress=well, polled_ms=now_ms - 5, next_poll_ms=soon_ms)
    stand(store, "b/clients", progress=well, polled_ms=now_ms - 9, next_poll_ms=now_ms - history.LATE_MS - 1)
    stand(store, "a/items", progress=well, failures=2, error="503 of the API", polled_ms=7, next_poll_ms=soon_ms)
    stand(store, "b/items", progress=well, suspended=True, error="401", next_poll_ms=5)
    stand(store, "c/items", progress=replace(well, missing=4, held_ms=3), next_poll_ms=soon_ms)
    stand(store, "d/items", progress=replace(well, missing=1), next_poll_ms=soon_ms)
    stand(store, "a/taxes", progress=well, paused=True)
    stand(store, "a/units")
    stand(store, "z/units", progress=well, silent_ms=5, next_poll_ms=soon_ms)


def test_streams_are_summed_up(streams, look, now_ms):
    """By resource and state, with the age of the oldest poll."""
    assert look(history.groups, now_ms) == [
        Group("clients", "following", 2, 20, 1, now_ms - 9),
        Group("items", "failing", 1, 10, 0, 7),
        Group("items", "following", 1, 10, 0, None),
        Group("items", "held", 1, 10, 0, None),
        Group("items", "suspended", 1, 10, 0, None),
        Group("taxes", "paused", 1, 10, 0, None),
        Group("units", "baseline", 1, 0, 0, None),
        Group("units", "following", 1, 10, 0, None),
    ]


def names(found):
    return [standing.stream.name for standing in found]


def test_those_in_trouble_come_first(streams, look, now_ms):
    """And alone, if so asked; a late one is in trouble, one that was never polled is not."""
    trouble = ["a/items", "a/taxes", "b/clients", "b/items", "c/items", "d/items", "z/units"]
    assert names(look(history.streams, now_ms, 99)) == [*trouble, "a/clients", "a/units"]
    assert names(look(history.streams, now_ms, 99, trouble=True)) == trouble
    assert names(look(history.streams, now_ms, 2)) == trouble[:2]


@pytest.mark.parametrize(
    ("search", "found"),
    [("B/", ["b/clients", "b/items"]), ("units", ["z/units", "a/units"]), ("503", ["a/items"]), ("%", []), ("'", [])],
)
def test_streams_are_searched_for(streams, look, now_ms, search, found):
    """By a part of their name or of their error, whatever it is written with."""
    assert names(look(history.streams, now_ms, 99, search=search)) == found


def test_what_is_missing_is_shown_whatever_is_searched_for(streams, look):
    """What is held first."""
    assert names(look(history.missing, 9)) == ["c/items", "d/items"]
    assert names(look(history.missing, 1)) == ["c/items"]


def test_events_are_counted_by_time_and_trigger(feed, make_record, look, now_ms):
    """In buckets at multiples of their width; older ones are left out."""
    begins_ms = now_ms // MINUTE_MS * MINUTE_MS
    feed.show(make_record("old"), now_ms=begins_ms - 1)
    feed.show(make_record("a"), make_record("b"), now_ms=begins_ms)
    feed.show(make_record("a", "new", updated_ms=2000), now_ms=begins_ms + MINUTE_MS - 1)
    feed.show(make_record("c"), now_ms=begins_ms + MINUTE_MS)
    assert look(history.events, begins_ms, MINUTE_MS) == [
        Counted(begins_ms, "client.created", 2),
        Counted(begins_ms, "client.updated", 1),
        Counted(begins_ms + MINUTE_MS, "client.created", 1),
    ]


def test_an_event_after_a_clock_set_back_is_counted_by_the_clock(feed, make_record, look, now_ms):
    """Its sequence runs ahead of it."""
    begins_ms = now_ms // MINUTE_MS * MINUTE_MS
    feed.show(make_record("ahead"), now_ms=begins_ms + 10 * MINUTE_MS)
    feed.show(make_record("before"), now_ms=begins_ms - MINUTE_MS)
    feed.show(make_record("within"), now_ms=begins_ms)
    found = look(history.events, begins_ms, MINUTE_MS)
    assert [(one.begins_ms - begins_ms, one.events) for one in found] == [(0, 1), (10 * MINUTE_MS, 1)]


def deliver(store, feed, record, keep, now_ms, *took_ms):
    """One event for each of these, delivered by sink "a" after so long."""
    for number, took in enumerate(took_ms):
        feed.show(record(f"r{number:04}"), now_ms=now_ms, sinks=["a"])
        keep(store, "a", Settlement(store.due("a", 2**60, 9)[-1].sequence, "delivered", 1, 0, 0), now_ms=now_ms + took)


def test_the_half_and_nearly_all_of_the_latencies(store, feed, make_record, keep, look, now_ms):
    """The least that covers so many."""
    deliver(store, feed, make_record, keep, now_ms, *range(100, 0, -1))
    begins_ms = now_ms // MINUTE_MS * MINUTE_MS
    assert look(history.latencies, begins_ms, MINUTE_MS) == [Latency("a", begins_ms, 50, 99)]


def test_one_delivery_tells_both(store, feed, make_record, keep, look, now_ms):
    """And what is pending tells nothing."""
    deliver(store, feed, make_record, keep, now_ms, 7)
    feed.show(make_record("waits"), now_ms=now_ms)
    begins_ms = now_ms // MINUTE_MS * MINUTE_MS
    assert look(history.latencies, begins_ms, MINUTE_MS) == [Latency("a", begins_ms, 7, 7)]
    assert look(history.latencies, begins_ms + 9 * MINUTE_MS, MINUTE_MS) == []


def test_of_very_many_a_part_tells_enough(store, feed, make_record, keep, look, now_ms, monkeypatch):
    """Spread over all of them."""
    monkeypatch.setattr(history, "ENOUGH", 10)
    deliver(store, feed, make_record, keep, now_ms, *range(100))
    (found,) = look(history.latencies, now_ms // MINUTE_MS * MINUTE_MS, MINUTE_MS)
    assert 30 <= found.half_ms <= 70
    assert 80 <= found.most_ms <= 99


def test_a_delivery_that_is_sent_again_begins_anew(store, feed, make_record, keep, look, now_ms):
    """It does not count what passed before."""
    deliver(store, feed, make_record, keep, now_ms, 5)
    again_ms = now_ms + 30 * MINUTE_MS
    (delivery,) = [(one.sequence) for one in look(history.newest, 1)]
    from poller.stores.selection import Selection

    assert store.again(Selection(), ["delivered"], again_ms) == 1
    keep(store, "a", Settlement(delivery, "delivered", 1, 0, 0), now_ms=again_ms + 8)
    (found,) = look(history.latencies, now_ms // MINUTE_MS * MINUTE_MS, MINUTE_MS)
    assert found.half_ms == 8


def test_the_newest_events(feed, make_record, look, now_ms):
    """Newest first, and no more than asked for."""
    for number, name in enumerate("abc"):
        feed.show(make_record(name), now_ms=now_ms + number)
    assert [stored.recorded_ms - now_ms for stored in look(history.newest, 2)] == [2, 1]


def test_the_newest_dead_letters_of_all_sinks(store, feed, make_record, keep, look, now_ms):
    """Those without one are asked for too; all are counted."""
    feed.show(*[make_record(name) for name in "abc"], quarantined=[Quarantined("x", "bad")], now_ms=now_ms)
    for sink in ("a", "b"):
        ended = [Settlement(one.sequence, "parked", 10, 0, 0, f"400 {sink}") for one in store.due(sink, 2**60, 9)]
        keep(store, sink, *ended, now_ms=now_ms + 5)
    found = look(history.parked, ["a", "b"], 2)
    assert [(row["sink"], row["error"], row["settled_ms"]) for row in found] == [
        ("a", "400 a", now_ms + 5),
        ("b", "400 b", now_ms + 5),
    ]
    assert look(history.counts) == {"parked": 6, "quarantined": 1, "silent": 0}
    assert look(history.quarantined, 9) == [
        {"stream": "o/clients", "record": "x", "reason": "bad", "seen_ms": now_ms},
    ]
    assert look(history.answers)
