"""What the database needs over the years: pruning, shrinking, copies, and a look for what must not be."""

import os
import sqlite3
from contextlib import closing

import pytest

from poller.stores import Keep, Settlement, StoreError, upkeep
from poller.stores.reading import View

DAY_MS = 86_400_000
A_MOMENT = 2 / DAY_MS
KEEP = Keep()


def count(store, table):
    return store._one(f"SELECT count(*) FROM {table}")[0]


@pytest.fixture
def old(store, feed, make_record, keep, now_ms):
    """Make events of sink a, of so many days ago, in a state; settled then."""

    def old(number, days, state="delivered", first=0, sinks=("a",), text=""):
        then_ms = now_ms - int(days * DAY_MS)
        records = [make_record(f"{first + n}", text) for n in range(number)]
        feed.show(*records, now_ms=then_ms, sinks=sinks)
        sequences = [delivery.sequence for delivery in store.due("a", 2**60, 100_000)]
        if state != "pending":
            keep(store, "a", *(Settlement(one, state, 1, 0, 0, "400") for one in sequences), now_ms=then_ms)
        return sequences

    return old


def tidy(store, now_ms, keep=KEEP):
    """To the end; how many chunks it took."""
    chunks = 0
    while done := store.tidy(keep, now_ms).done:
        chunks += 1
        assert done > 0
        assert chunks < 1000
    return chunks


# Pruning


@pytest.mark.parametrize(
    ("state", "days", "left"),
    [
        ("delivered", 14, 1),
        ("delivered", 14 + A_MOMENT, 0),
        ("parked", 30, 1),
        ("parked", 30 + A_MOMENT, 0),
    ],
)
def test_settled_deliveries_go_when_their_time_is_up(store, old, now_ms, state, days, left):
    """And their events with them."""
    old(1, days, state)
    tidy(store, now_ms)
    assert (count(store, "delivery"), count(store, "event")) == (left, left)


def test_times_are_the_operator_s_to_choose(store, old, now_ms):
    """Parked ones may be kept for less than delivered ones."""
    old(1, 3, "parked")
    old(1, 3, "delivered", first=1)
    tidy(store, now_ms, Keep(delivered_s=5 * 86_400, parked_s=2 * 86_400))
    assert store._all("SELECT state FROM delivery") == [("delivered",)]


def test_an_event_stays_as_long_as_one_sink_needs_it(store, old, now_ms):
    """Another may have it long since."""
    old(1, 20, sinks=("a", "b"))
    tidy(store, now_ms, KEEP._replace(pending_s=100 * 86_400))
    assert store._all("SELECT sink, state FROM delivery") == [("b", "pending")]
    assert count(store, "event") == 1


def test_an_event_for_nobody_goes_too(store, old, now_ms):
    """In its time."""
    old(1, 15, sinks=())
    old(1, 13, sinks=(), first=1)
    tidy(store, now_ms)
    assert count(store, "event") == 1


def test_a_replayed_delivery_is_kept_from_then_on(store, old, keep, now_ms):
    """By when it was settled last, not by the age of its event."""
    from poller.stores.selection import Selection

    [sequence] = old(1, 20)
    store.again(Selection(), ["delivered"], now_ms - DAY_MS)
    tidy(store, now_ms)
    assert store._all("SELECT state FROM delivery") == [("pending",)]
    keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0), now_ms=now_ms)
    tidy(store, now_ms)
    assert count(store, "event") == 1
    tidy(store, now_ms + 15 * DAY_MS)
    assert count(store, "event") == 0


def test_pruning_goes_in_chunks(store, old, now_ms, monkeypatch):
    """So that no commit waits for long; each is whole."""
    monkeypatch.setattr(upkeep, "CHUNK_ROWS", 10)
    old(45, 20)
    assert store.tidy(KEEP, now_ms).done >= 10
    assert (count(store, "delivery"), count(store, "event")) == (35, 35)
    assert tidy(store, now_ms) >= 4
    assert (count(store, "delivery"), count(store, "event")) == (0, 0)


def test_ids_and_sequences_are_not_given_twice(store, feed, make_record, old, now_ms):
    """Also when all events are gone."""
    [before] = old(1, 20)
    tidy(store, now_ms)
    feed.show(make_record("x"), now_ms=0)
    assert store._one("SELECT sequence FROM event")[0] > before


def test_marks_and_bodies_stay(store, feed, old, now_ms):
    """What is known of records is no part of the outbox."""
    old(3, 50)
    tidy(store, now_ms)
    assert len(store.bodies(store.marks(feed.stream, "012").values())) == 3


def test_the_file_shrinks(store, old, path, now_ms):
    """By what was pruned; nothing unused is left in it."""
    old(3000, 20)
    store._run("UPDATE event SET body = randomblob(2000)")
    store._run("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.stat().st_size
    store._run("UPDATE body SET bytes = x''")
    assert 10 < tidy(store, now_ms) < 100
    store._run("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < before / 3
    assert store._one("PRAGMA freelist_count") == (0,)


# Expiry


def test_what_waits_in_vain_is_parked(store, old, now_ms):
    """After fourteen days, with its reason; never deleted silently."""
    old(1, 14 + A_MOMENT, "pending")
    old(1, 14, "pending", first=1)
    tidy(store, now_ms)
    rows = store._all("SELECT state, error, settled_ms FROM delivery ORDER BY sequence")
    assert rows == [("parked", "expired: not sent", now_ms), ("pending", "", None)]


def test_what_expires_keeps_its_trouble(store, old, keep, now_ms):
    """As part of the reason."""
    [sequence] = old(1, 15, "pending")
    keep(store, "a", Settlement(sequence, "pending", 0, 7, 0, "no answer"))
    tidy(store, now_ms)
    assert store._one("SELECT error FROM delivery") == ("expired: no answer",)


def test_what_is_sent_again_expires_later(store, old, now_ms):
    """It counts from when that was asked for."""
    from poller.stores.selection import Selection

    old(1, 15, "parked")
    store.again(Selection(), ["parked"], now_ms)
    tidy(store, now_ms)
    assert store._one("SELECT state FROM delivery") == ("pending",)
    tidy(store, now_ms + 15 * DAY_MS)
    assert store._one("SELECT state FROM delivery") == ("parked",)


def test_expiring_goes_in_chunks(store, old, now_ms, monkeypatch):
    """As pruning does."""
    monkeypatch.setattr(upkeep, "CHUNK_ROWS", 10)
    old(25, 15, "pending")
    store.tidy(KEEP, now_ms)
    assert store._all("SELECT state, count(*) FROM delivery GROUP BY 1 ORDER BY 1") == [("parked", 10), ("pending", 15)]
    tidy(store, now_ms)
    assert store._all("SELECT DISTINCT state FROM delivery") == [("parked",)]


# A clock set back


def test_what_is_due_further_off_than_any_wait_is_due(store, old, keep, now_ms):
    """It was put off before the clock was set back; what is not stays as it is."""
    sequences = old(2, 0, "pending")
    keep(store, "a", Settlement(sequences[0], "pending", 1, 0, now_ms + 3 * DAY_MS))
    keep(store, "a", Settlement(sequences[1], "pending", 1, 0, now_ms + DAY_MS))
    store.tidy(KEEP, now_ms)
    assert store._all("SELECT due_ms FROM delivery ORDER BY sequence") == [(now_ms,), (now_ms + DAY_MS,)]


# Load


def test_the_load_is_what_there_is(store, old, path):
    """What is pending by sink; bytes in use, without those that wait to be used again; the disk's."""
    old(3, 0, "pending")
    old(2, 0, "delivered", first=3)
    old(1, 0, "pending", first=9, sinks=("b",))
    load = store.load()
    assert load.pending == {"b": 1}
    (pages,), (page_bytes,) = store._one("PRAGMA page_count"), store._one("PRAGMA page_size")
    disk = os.statvfs(path.parent)
    assert 0 < load.size_bytes <= pages * page_bytes
    assert load.disk_bytes == disk.f_blocks * disk.f_frsize > load.free_bytes > 0


# Backup


def backup(path, target):
    with View(path) as view:
        view.backup(target)


def rows(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_a_backup_is_whole(store, old, path, opened, tmp_path):
    """With what is in the log, and so that a poller can go on from it; for its owner alone."""
    old(3, 1, "pending")
    target = tmp_path / "backup.db"
    backup(path, target)
    assert rows(target) == rows(path)
    assert target.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["backup.db"]
    again = opened(target)
    assert len(again.due("a", 2**60, 9)) == 3
    assert again._one("PRAGMA auto_vacuum") == (2,)


def test_a_backup_does_not_stop_the_poller(store, old, path, tmp_path):
    """Neither waits for the other."""
    old(3, 1, "pending")
    store._run("BEGIN IMMEDIATE")
    store._run("UPDATE stream SET polls = 99")
    backup(path, tmp_path / "backup.db")
    store._run("COMMIT")
    with closing(sqlite3.connect(tmp_path / "backup.db")) as connection:
        assert connection.execute("SELECT polls FROM stream").fetchone() != (99,)


def test_a_backup_replaces_another_whole(store, old, path, tmp_path):
    """The old one is there until the new one is, and stays where that fails."""
    target = tmp_path / "backup.db"
    target.write_bytes(b"another")
    (tmp_path / "backup.db.part").write_bytes(b"left behind")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "_sync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(StoreError, match=r"backup\.db cannot be written: .*No space left"):
            backup(path, target)
    assert target.read_bytes() == b"another"
    backup(path, target)
    assert rows(target) == rows(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["backup.db"]


def test_a_damaged_copy_is_no_backup(store, old, path, tmp_path, monkeypatch):
    """It is looked through before it gets its name."""
    old(300, 1, text="x" * 500)
    store.close()
    data = bytearray(path.read_bytes())
    for start in range(8192, len(data) - 4096, 4096):
        data[start : start + 64] = b"\xa5" * 64
    path.write_bytes(data)
    with pytest.raises(StoreError, match="cannot be written"):
        backup(path, tmp_path / "backup.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["poller.db", "poller.db-wal", "poller.db.lock"])
def test_a_backup_is_not_written_over_the_state(store, path, name):
    """Whoever mistypes loses nothing."""
    before = rows(path)
    with pytest.raises(StoreError, match="belongs to the state itself"):
        backup(path, path.parent / ".." / path.parent.name / name)
    assert rows(path) == before


def test_a_backup_needs_a_folder(store, path, tmp_path):
    """It says which."""
    with pytest.raises(StoreError, match=r"missing/backup\.db cannot be written"):
        backup(path, tmp_path / "missing" / "backup.db")
