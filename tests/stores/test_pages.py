"""Pages by the server's tags: there for as long as what is remembered of them is the same."""

import pytest

from poller.diff import Finding
from poller.model import State, Tagged
from poller.stores import Step


def page(after, upto, tag="t", *, parent="", bodies=True):
    return Tagged(parent, bodies, after, upto, 2, tag)


@pytest.fixture
def keep(store, feed):
    """Keep these pages."""
    return lambda *found: store.commit(feed.stream, Step(feed.progress, pages=found), 1)


@pytest.fixture
def look(store, feed):
    """Look for a page, as it was kept."""
    return lambda kept: store.tagged(feed.stream, kept.parent, kept.after, bodies=kept.bodies)


def test_a_page_is_found_by_the_id_that_it_follows(feed, make_record, keep, look):
    """With and without bodies, and by listing."""
    feed.show(*(make_record(one) for one in "abcdef"))
    kept = [page("", "c"), page("c", "f"), page("", "b", bodies=False), page("", "d", parent="p")]
    keep(*kept)
    assert [look(one) for one in kept] == kept
    assert look(page("a", "c")) is None


@pytest.mark.parametrize(
    "change",
    [
        {"updated_ms": 7},
        {"updated_ms": None},
        {"digest": b"another one, too"},
        {"state": State.MISSING},
        {"parent": "p"},
    ],
)
def test_a_page_is_as_remembered_no_more_when_a_mark_is_another(store, feed, make_record, keep, look, change):
    """Whatever it is that is another; a page beside it stays, and so does a mark beside the page."""
    feed.show(*(make_record(one) for one in "abcd"))
    keep(page("", "b"), page("b", "d"))
    mark = store.marks(feed.stream, "b")["b"]
    store.commit(feed.stream, Step(feed.progress, [Finding(State.LIVE, mark._replace(**change))]), 1)
    assert (look(page("", "b")), look(page("b", "d"))) == (None, page("b", "d"))
    store.commit(feed.stream, Step(feed.progress, [Finding(State.LIVE, mark)]), 1)
    assert look(page("", "b")) == page("", "b")


def test_a_page_is_as_remembered_no_more_when_a_mark_came_to_it(feed, make_record, keep, look):
    """Nobody saw the new one there."""
    feed.show(make_record("a"), make_record("c"))
    keep(page("", "c"))
    feed.show(make_record("b"))
    assert look(page("", "c")) is None


def test_a_page_takes_the_place_of_those_in_its_stretch(store, feed, make_record, keep, look):
    """Where records went, all pages behind them are cut anew, and the old ones would be there for ever."""
    feed.show(*(make_record(one) for one in "abcdef"))
    keep(page("", "b"), page("b", "d"), page("d", "f"), page("b", "d", bodies=False))
    keep(page("", "c", "new"), page("c", "f"))
    assert look(page("", "c")) == page("", "c", "new")
    assert store._one("SELECT count(*) FROM page") == (3,)


def test_a_stream_that_is_forgotten_has_no_pages(store, feed, make_record, keep):
    """They are of its records."""
    feed.show(make_record("a"))
    keep(page("", "a"))
    store.forget(feed.stream)
    assert store._one("SELECT count(*) FROM page") == (0,)
