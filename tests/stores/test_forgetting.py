"""A stream that is not followed any more is forgotten; so is where its records were found."""

from dataclasses import replace

from poller.model import Quarantined, Stream
from poller.stores import Pass, Progress, Standing, Sweeping

OTHER = Stream("o", "items")


def test_nothing_is_left_but_that_it_was_known(store, feed, make_feed, make_record, opened):
    """Marks, bodies, quarantine, progress and trouble; another stream keeps its own, and events stay."""
    other = make_feed(store, OTHER)
    other.show(make_record("1"))
    feed.progress = Progress(baselined_ms=1, watermarks={"": 5}, sweep=Sweeping(Pass.IDS, 1), sweeps=4, live=2)
    feed.show(make_record("1"), make_record("2"), quarantined=[Quarantined("3", "odd")])
    store.schedule(replace(store.standing(feed.stream), next_poll_ms=9, failures=2, error="odd", suspended=True))
    store.pause_stream(feed.stream.name, paused=True)
    store.forget(feed.stream)
    assert store.marks_between(feed.stream, "", None) == {}
    assert store.quarantined(feed.stream) == 0
    assert store.standing(feed.stream) == Standing(feed.stream, Progress(sweeps=4), paused=True)
    assert list(store.bodies(store.marks(OTHER, ["1"]).values())) == ["1"]
    assert len(store.due("a", 1 << 60, 10)) == 3
    store.close()
    assert opened().standing(feed.stream).progress.sweeps == 4


def test_what_was_being_read_for_the_first_time_was_known_too(store, feed, make_record):
    """Half of it may have been told."""
    feed.show(make_record("1"))
    store.forget(feed.stream)
    assert store.standing(feed.stream).progress.sweeps == 1


def test_it_can_be_read_again(store, feed, make_record):
    """The same record is a new one."""
    feed.show(make_record("1"))
    store.forget(feed.stream)
    feed.progress = store.standing(feed.stream).progress
    assert len(feed.show(make_record("1")).findings) == 1
    assert list(store.bodies(store.marks(feed.stream, ["1"]).values())) == ["1"]


def test_an_address_is_kept(store, opened):
    """None at first; then the last one."""
    assert store.address() == ""
    store.keep_address("https://a.example")
    store.keep_address("https://b.example")
    store.close()
    assert opened().address() == "https://b.example"
