"""From a path to a state that is ours: every way in which it may not be."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from poller.stores.opening import ForeignError, LockedError, LostError, NewerError, OlderError, OpeningError
from poller.stores.version import VERSION

HOLDER = """
import sys
from pathlib import Path
from poller.stores.sqlite import SqliteStore
from poller.stores import Progress, Step
from poller.model import Stream
store = SqliteStore(Path(sys.argv[1]), "spaceinvoices")
store.commit(Stream("o", "clients"), Step(Progress(polls=7)), 0)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def used(opened, make_feed, make_record, path):
    """A state with a hundred records in it, closed; the sequence it came to."""
    store = opened()
    make_feed(store).show(*(make_record(f"{n:024x}", f"{n}" * 9) for n in range(100)))
    store.close()
    return json.loads(lock_file(path).read_text())["sequence"]


def lock_file(path):
    return path.with_name("poller.db.lock")


def unclean(path):
    """As after a kill."""
    lock_file(path).write_text(json.dumps(json.loads(lock_file(path).read_text()) | {"clean": False}))


def refused(opened, path, kind, code, words):
    """It is not opened, for this reason, and what is there stays as it was."""
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(kind, match=words) as caught:
        opened()
    assert type(caught.value) is kind
    assert caught.value.exit_code == code
    assert str(path) in str(caught.value)
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_first_start_makes_folder_and_state_for_the_owner_alone(opened, path):
    """Invoices are personal data: whatever the umask says."""
    before = os.umask(0)
    try:
        store = opened()
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert modes == dict.fromkeys(("poller.db", "poller.db-wal", "poller.db-shm", "poller.db.lock"), 0o600)
    assert store.streams() == []


def test_a_state_that_was_put_back_open_to_others_is_closed_to_them(opened, used, path):
    """As a copy of a backup is under most umasks; its log would be open as well."""
    path.chmod(0o644)
    opened()
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("poller.db", "poller.db-wal", "poller.db-shm", "poller.db.lock"), 0o600)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("auto_vacuum", 2),
        ("foreign_keys", 1),
        ("busy_timeout", 5000),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
    ],
)
def test_the_connection_is_set_up_for_power_cuts(store, name, value):
    """WAL with full syncs, checks of foreign keys and of cells."""
    assert store._one(f"PRAGMA {name}") == (value,)


def test_a_closed_state_opens_again(opened, used, path):
    """Nothing but the database and its lock file is left, and the lock file is clean."""
    assert sorted(file.name for file in path.parent.iterdir()) == ["poller.db", "poller.db.lock"]
    assert json.loads(lock_file(path).read_text())["clean"] is True
    assert len(opened().streams()) == 1


def test_a_second_process_is_told_who_holds_the_state(opened, path):
    """By its process id; and a kill frees the state at once, with what was committed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(LockedError, match=rf"in use by process {holder.pid}, running since 20") as caught:
            opened()
        assert caught.value.exit_code == 75
        with pytest.raises(LockedError):
            opened(accept_loss=True)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert [standing.progress.polls for standing in opened().streams()] == [7]


def test_fault_11_a_lock_file_of_a_dead_process_means_nothing(opened, used, path):
    """The lock went with the process."""
    unclean(path)
    assert len(opened().streams()) == 1


@pytest.mark.parametrize("text", ["garbage", "[]", '{"pid": 1, "more": 2}', "\x00" * 20])
def test_an_unreadable_lock_file_says_that_there_was_state(opened, used, path, text):
    """What is whole is opened; what is missing is not taken for a first start."""
    lock_file(path).write_text(text)
    opened().close()
    lock_file(path).write_text(text)
    path.unlink()
    refused(opened, path, LostError, 70, "missing, but there was state")


def test_a_state_without_its_lock_file_is_opened(opened, used, path):
    """As a restored copy of the database alone."""
    lock_file(path).unlink()
    assert len(opened().streams()) == 1


# Lost


def missing(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def without_tables(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")


def bad_header(path):
    path.write_bytes(b"garbage " * 20 + path.read_bytes()[160:])


def text_file(path):
    path.write_text("dear diary\n" * 100)


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_to_a_page(path):
    path.write_bytes(path.read_bytes()[:4096])


def cut_to_a_word(path):
    path.write_bytes(path.read_bytes()[:100])


def bad_first_page(path):
    data = bytearray(path.read_bytes())
    data[100:3000] = b"\xff" * 2900
    path.write_bytes(data)


def flipped_page(number):
    def damage(path):
        data = bytearray(path.read_bytes())
        data[number * 4096 : number * 4096 + 8] = b"\xff" * 8
        path.write_bytes(data)
        unclean(path)

    return damage


def flipped_page_without_lock_file(path):
    flipped_page(5)(path)
    lock_file(path).unlink()


DAMAGES = {
    "missing": (missing, "is missing, but there was state"),
    "empty": (empty, "is empty, but there was state"),
    "without_tables": (without_tables, "is empty, but there was state"),
    "bad_header": (bad_header, "is damaged or not a database: file is not a database"),
    "text_file": (text_file, "is damaged or not a database"),
    "cut_in_half": (cut_in_half, "is damaged or not a database: database disk image is malformed"),
    "cut_to_a_page": (cut_to_a_page, "is damaged"),
    "cut_to_a_word": (cut_to_a_word, "is damaged"),
    "bad_first_page": (bad_first_page, "is damaged"),
    "flipped page 2": (flipped_page(2), "is damaged"),
    "flipped page 5": (flipped_page(5), "is damaged: Page 6"),
    "flipped page, no lock file": (flipped_page_without_lock_file, "is damaged"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_fault_17_18_lost_state_is_never_a_first_start(opened, used, path, name):
    """It is told, with what to do, and left as it is."""
    damage, words = DAMAGES[name]
    damage(path)
    refused(opened, path, LostError, 70, words)
    refused(opened, path, LostError, 70, "Restore a backup, or start anew with --accept-state-loss")


@pytest.mark.parametrize("name", DAMAGES)
def test_fault_17_18_accepted_loss_begins_anew_and_throws_nothing_away(opened, used, path, name):
    """What was there lies beside it; the new state is whole and clean."""
    DAMAGES[name][0](path)
    rest = path.read_bytes() if path.exists() else None
    store = opened(accept_loss=True)
    assert store.streams() == []
    store.close()
    aside = [
        file for file in path.parent.iterdir() if ".lost-" in file.name and file.suffix[-4:] not in ("-wal", "-shm")
    ]
    assert [file.read_bytes() for file in aside] == ([rest] if rest is not None else [])
    opened().close()


def test_accepting_loss_loses_nothing_of_a_whole_state(opened, used, path):
    """The option may stay in a unit file."""
    assert len(opened(accept_loss=True).streams()) == 1
    assert not [file for file in path.parent.iterdir() if ".lost-" in file.name]


def test_an_empty_file_without_a_past_is_a_first_start(opened, path):
    """As ``touch`` or a container's volume makes it."""
    path.parent.mkdir()
    path.touch()
    assert opened().streams() == []


def older(path, opened, make_feed, make_record, now_ms):
    """Put back a copy from before the last event."""
    copy = path.read_bytes()
    store = opened()
    make_feed(store).show(make_record("new"), now_ms=now_ms + 5000)
    store.close()
    path.write_bytes(copy)


def test_an_older_state_is_told(opened, used, path, make_feed, make_record, now_ms):
    """A backup, or a log that was deleted: the lock file knows better."""
    older(path, opened, make_feed, make_record, now_ms)
    refused(opened, path, OlderError, 70, "is older than it was when poller last used it")
    refused(opened, path, OlderError, 70, "go on from it with --accept-state-loss")


def test_an_older_state_is_gone_on_from_where_that_is_accepted(opened, used, path, make_feed, make_record, now_ms):
    """A restored backup is not thrown away: what changed since is found again, under the same ids."""
    older(path, opened, make_feed, make_record, now_ms)
    store = opened(accept_loss=True)
    assert len(store.marks_between(make_feed(store).stream, "", None)) == 100
    store.close()
    opened().close()


@pytest.mark.parametrize("what", ["older", "lost"])
def test_the_sequence_rises_over_a_state_that_is_older_or_lost(
    opened, used, path, make_feed, make_record, now_ms, what
):
    """Whatever the clock says: a receiver that ignores lower ones must not miss what is told from now on."""
    older(path, opened, make_feed, make_record, now_ms)
    before = json.loads(lock_file(path).read_text())["sequence"]
    if what == "lost":
        path.unlink()
    store = opened(accept_loss=True)
    make_feed(store).show(make_record("new"), now_ms=1)
    (sequence,) = store._one("SELECT max(sequence) FROM event")
    assert sequence > before


def test_fault_19_a_log_deleted_after_a_kill_is_told(opened, used, path):
    """It held what was committed last; the database alone is older than its lock file says."""
    lock_file(path).write_text(lock_file(path).read_text().replace(str(used), str(used + 1)))
    refused(opened, path, OlderError, 70, "is older")


# Not ours


def test_a_foreign_database_is_left_alone(opened, path):
    """Even where loss is accepted."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (day)")
    refused(opened, path, ForeignError, 78, "is another program's database; give poller a .state. path of its own")
    with pytest.raises(ForeignError):
        opened(accept_loss=True)
    assert sorted(file.name for file in path.parent.iterdir()) == ["poller.db", "poller.db.lock"]


def test_fault_20_68_a_newer_state_is_left_alone(opened, used, path):
    """Even where loss is accepted."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    refused(
        opened, path, NewerError, 78, rf"written by a newer poller \(schema {VERSION + 1}, this one knows {VERSION}\)"
    )
    with pytest.raises(NewerError):
        opened(accept_loss=True)


def test_a_locked_database_is_not_a_damaged_one(opened, used, path, monkeypatch):
    """Somebody else is at it: loss has not happened, so it cannot be accepted."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(sqlite3, "connect", _impatient(sqlite3.connect))
        for accept_loss in (False, True):
            with pytest.raises(OpeningError, match="cannot be opened: database is locked") as caught:
                opened(accept_loss=accept_loss)
            assert caught.value.exit_code == 74
    assert len(opened().streams()) == 1


def _impatient(connect):
    return lambda *where, **options: connect(*where, **options | {"timeout": 0.05})


@pytest.mark.parametrize(
    "made", [lambda folder: folder.write_text(""), lambda folder: folder.symlink_to("nowhere/at/all")]
)
def test_a_folder_that_cannot_be_is_told_by_its_path(opened, path, made):
    """A file is in its place, or a link to nowhere."""
    made(path.parent)
    with pytest.raises(OpeningError, match=r"cannot be used for the state: .*; see .state. path") as caught:
        opened()
    assert caught.value.exit_code == 74
    assert str(path.parent) in str(caught.value)


def test_a_database_that_is_a_folder_cannot_be_opened(opened, path):
    """It is told, and no traceback."""
    path.mkdir(parents=True)
    with pytest.raises(OpeningError) as caught:
        opened()
    assert caught.value.exit_code == 74


def test_a_refused_state_is_free_again(opened, used, path):
    """The lock is not kept by an opening that failed."""
    data = path.read_bytes()
    path.unlink()
    refused(opened, path, LostError, 70, "missing")
    path.write_bytes(data)
    opened()


def test_a_first_start_that_was_cut_off_is_one_still(opened, path):
    """Nothing in the file, nothing in the lock file: as if it had not been."""
    path.parent.mkdir()
    lock_file(path).touch()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA application_id = 1886350450")
    opened()


def test_a_copied_folder_is_a_state(opened, used, path, tmp_path):
    """With poller stopped, the folder is the backup."""
    shutil.copytree(path.parent, tmp_path / "copy")
    assert len(opened(tmp_path / "copy" / "poller.db").streams()) == 1
