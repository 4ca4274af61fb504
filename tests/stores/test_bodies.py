"""Bodies in the store: packed by dictionaries, the newest of each kept, and as they were."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import break_off, reopened

from poller.diff import Finding
from poller.model import Mark, Stream
from poller.stores import Progress, Step, StoreError


def test_bodies_come_back_as_they_were(store, opened, feed, make_record):
    """The newest of each, through restarts."""
    records = [make_record(f"{n}", f"Žiga {n} " * 50) for n in range(50)]
    feed.show(*records)
    changed = make_record("7", "another", updated_ms=2000)
    feed.show(changed)
    store = reopened(store, opened)
    marks = store.marks(feed.stream, [record.id for record in records])
    expected = {record.id: record.body for record in records} | {"7": changed.body}
    assert store.bodies(marks.values()) == expected
    assert store._one("SELECT count(*) FROM body") == (50,)


def test_resources_have_dictionaries_of_their_own(store, opened, make_feed, make_record):
    """Made of the first bodies and events; all of an organization's and of others' share it."""
    feeds = [make_feed(store, Stream(org, resource)) for org in "op" for resource in ("clients", "items")]
    for number, feed in enumerate(feeds):
        feed.show(make_record("a", f"text {number}"))
    assert [name for (name,) in store._all("SELECT resource FROM dictionary ORDER BY id")] == [
        "clients",
        "clients events",
        "items",
        "items events",
    ]
    store = reopened(store, opened)
    for number, feed in enumerate(feeds):
        [body] = store.bodies(store.marks(feed.stream, "a").values()).values()
        assert body == make_record("a", f"text {number}").body


def test_a_commit_without_bodies_makes_no_dictionary(store):
    """Else it would be made of nothing, for good."""
    store.commit(Stream("o", "clients"), Step(Progress(), [Finding(None, Mark("a", 1, b"digest"))]), 5)
    assert store._all("SELECT * FROM dictionary") == []


@given(st.lists(st.binary(min_size=1, max_size=20_000), min_size=1, max_size=3), st.binary(min_size=1))
def test_any_bytes_are_unpacked_as_they_were_packed(sample, body):
    """Whatever the dictionary was made of."""
    from sqlite_utils import Database

    from poller.stores.bodies import Codec
    from poller.stores.schema import migrations

    database = Database(memory=True)
    migrations.apply(database)
    with closing(database):
        codec = Codec(database.conn)
        codec.packed("clients", sample)
        number, packed = codec.packed("clients", [body, *sample])
        assert [Codec(database.conn).unpack(one, number) for one in packed] == [body, *sample]


def test_a_dictionary_of_a_failed_commit_is_forgotten(store, opened, feed, make_record):
    """Else bodies would be packed against one that nobody can read after a restart."""
    break_off(store, "event")
    with pytest.raises(StoreError):
        feed.show(make_record("a", "what was in the page that failed"))
    store._run("DROP TRIGGER temp.breaks")
    shown = make_record("b", "something else altogether, and longer than before")
    feed.show(shown)
    store = reopened(store, opened)
    assert store.bodies(store.marks(feed.stream, "b").values()) == {"b": shown.body}


def test_a_deleted_record_s_body_is_forgotten(store, feed, make_record):
    """And one that is created again gets a new one."""
    feed.show(make_record("a"), make_record("b"))
    feed.show(make_record("a", updated_ms=2000, deleted=True))
    assert store.bodies(store.marks(feed.stream, "ab").values()) == {"b": make_record("b").body}
    assert store._one("SELECT count(*) FROM body") == (1,)
    again = make_record("a", "again", updated_ms=3000)
    feed.show(again)
    assert store.bodies(store.marks(feed.stream, "ab").values()) == {"a": again.body, "b": make_record("b").body}
