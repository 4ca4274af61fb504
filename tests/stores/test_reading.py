"""What commands read, beside a poller and without one."""

import json
import sqlite3
from contextlib import closing

import pytest

from poller.breaker import Breaker
from poller.model import Quarantined, Stream
from poller.stores import Progress, Settlement, Step
from poller.stores.opening import ForeignError, LostError, OpeningError
from poller.stores.reading import Backlog, View
from poller.stores.selection import Selection
from poller.stores.sqlite import SqliteStore

WAITING = Breaker(failures=2, wait_until_ms=1_790_000_000_500, error="no answer")


@pytest.fixture
def filled(store, feed, make_record, now_ms, keep):
    """Two sinks, four events, one parked, one delivered, a bad record."""
    for number, record_id in enumerate("abcd"):
        feed.show(make_record(record_id), now_ms=now_ms + number)
    feed.show(quarantined=[Quarantined("x", "bad")], now_ms=now_ms)
    sequences = [delivery.sequence for delivery in store.due("a", 2**60, 9)]
    keep(store, "a", Settlement(sequences[0], "delivered", 1, 0, 0), now_ms=now_ms + 50)
    keep(store, "a", Settlement(sequences[1], "parked", 10, 2, 0, "400"), breaker=WAITING, now_ms=now_ms + 60)
    keep(store, "b", Settlement(sequences[0], "pending", 0, 1, now_ms), now_ms=now_ms + 70)
    return store


@pytest.mark.parametrize("closed", [False, True])
def test_a_view_shows_the_state_with_and_without_a_poller(filled, path, now_ms, closed):
    """What was committed last, too."""
    if closed:
        filled.close()
    with View(path) as view:
        assert [standing.stream.name for standing in view.streams()] == ["o/clients"]
        assert view.backlogs() == [
            Backlog("a", 2, 1, 1, now_ms + 2, now_ms + 50, WAITING),
            Backlog("b", 4, 0, 0, now_ms, None, Breaker()),
        ]
        assert [(row["sink"], row["attempts"], row["error"]) for row in view.parked(Selection())] == [("a", 10, "400")]
        assert view.quarantined() == [{"stream": "o/clients", "record": "x", "reason": "bad", "seen_ms": now_ms}]


def test_a_view_of_a_closed_state_leaves_nothing_that_disturbs(filled, path, opened):
    """SQLite's two helpers, empty and for the owner alone; the next poller takes them away."""
    filled.close()
    before = path.read_bytes()
    with View(path) as view:
        view.streams()
    assert path.read_bytes() == before
    beside = {file.name: file for file in path.parent.iterdir()}
    assert beside.keys() <= {"poller.db", "poller.db.lock", "poller.db-wal", "poller.db-shm"}
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in beside.values())
    assert not beside.get("poller.db-wal") or beside["poller.db-wal"].stat().st_size == 0
    opened().close()
    assert sorted(file.name for file in path.parent.iterdir()) == ["poller.db", "poller.db.lock"]


def test_a_view_takes_no_lock(filled, path, feed, make_record):
    """The poller goes on beside it, and the view shows what comes."""
    with View(path) as view:
        assert len(view.last("*", 9)) == 4
        feed.show(make_record("e"))
        assert len(view.last("*", 9)) == 5
        filled._run("PRAGMA wal_checkpoint(TRUNCATE)")
        assert filled._one("PRAGMA wal_checkpoint(TRUNCATE)")[0] == 0


def test_a_view_cannot_write(filled, path):
    """Whatever is asked of it."""
    with View(path) as view, pytest.raises(sqlite3.OperationalError, match="readonly"):
        view._connection.execute("DELETE FROM event")


def test_events_are_shown_by_trigger(filled, feed, path, make_record):
    """The last ones, in order, or those after one; with the bytes that are sent."""
    feed.show(make_record("a", "new"))
    with View(path) as view:
        created = view.last("client.created", 3)
        assert [json.loads(event.body)["subject"][-1] for event in created] == ["b", "c", "d"]
        assert [event.trigger for event in view.last("*", 2)] == ["client.created", "client.updated"]
        assert view.last("order.*", 5) == []
        assert [event.trigger for event in view.after("client.*", created[-1].sequence)] == ["client.updated"]
        assert view.after("*", view.last("*", 1)[0].sequence) == []


def test_a_copy_is_a_state_of_its_own(filled, path, tmp_path, feed):
    """Whole, with what is in the log; a poller can open it."""
    copied = tmp_path / "copy" / "poller.db"
    copied.parent.mkdir()
    with View(path) as view:
        view.copy(copied)
    with closing(SqliteStore(copied, "spaceinvoices")) as store:
        assert len(store.marks(feed.stream, "abcd")) == 4
        assert len(store.due("b", 2**60, 9)) == 4


def test_without_a_state_there_is_nothing_to_view(path):
    """And none is made by looking."""
    with pytest.raises(OpeningError, match=r"there is no state at .*poller\.db: nothing has been polled yet"):
        View(path)
    assert not path.parent.exists()


@pytest.mark.parametrize("data", [b"", b"dear diary\n" * 100])
def test_what_is_no_state_is_not_viewed(path, data):
    """A message, no traceback; the file stays as it was."""
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises((ForeignError, LostError), match=r"is not a poller's state|cannot be read"):
        View(path)
    assert path.read_bytes() == data


def test_a_foreign_database_is_not_viewed(path):
    """By its application id."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (day)")
    with pytest.raises(ForeignError, match="is not a poller's state"):
        View(path)


def test_streams_show_their_progress(store, path):
    """In the order of their names."""
    for org in "ba":
        store.commit(Stream(org, "clients"), Step(Progress(polls=3, live=7)), 0)
    with View(path) as view:
        assert [(one.stream.org, one.progress.live) for one in view.streams()] == [("a", 7), ("b", 7)]
