"""From a path to an open database that is ours, whole, and held by this process alone.

The lock file beside the database outlives the process: it says who holds the state, and that there was
state at all, so that a missing or emptied database is never mistaken for a first start. The database
file itself is never opened but by SQLite: closing such a handle would drop SQLite's own locks.
"""

import fcntl
import os
import sqlite3
import time
import uuid
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from poller.stores.version import APPLICATION_ID, VERSION, migrate

_PRAGMAS = (
    "auto_vacuum = INCREMENTAL",
    "journal_mode = WAL",
    "synchronous = FULL",
    "busy_timeout = 5000",
    "foreign_keys = ON",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "temp_store = MEMORY",
    "journal_size_limit = 67108864",
    "wal_autocheckpoint = 4000",  # pages of 4 kB: a page changed by many commits is copied once
)


class OpeningError(Exception):
    """The state cannot be used. The message says why and what to do; ``exit_code`` is the process's."""

    exit_code = 74


class NoStateError(OpeningError):
    """There is nothing to read yet."""

    exit_code = 1


class LockedError(OpeningError):
    """Another process holds the state."""

    exit_code = 75


class NewerError(OpeningError):
    """A newer version of poller wrote the state; it is left untouched."""

    exit_code = 78


class ForeignError(OpeningError):
    """The file belongs to another program; it is left untouched."""

    exit_code = 78


class LostError(OpeningError):
    """State was there and is missing, empty, damaged, or older than it was."""

    exit_code = 70


class OlderError(LostError):
    """The state is whole, but older than it was: a restored backup, or a log that was deleted."""


def folder(path: Path) -> str:
    """What to say of a folder where the database should be."""
    return f"{path} is a folder; [state] path names a file in one"


class Marker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the lock file says: who holds the state, which state it is, and how it was left."""

    pid: int = 0
    started: str = ""
    state: str = ""
    sequence: int = 0
    clean: bool = True


class Lock:
    """The lock file, held from the making of this value until ``release``; raises ``LockedError``."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(f"{database.name}.lock")
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = self.read()
            os.close(self._file)
            raise LockedError(
                f"{database} is in use by process {holder.pid}, running since {holder.started}; "
                "stop it first, or give this one a [state] path of its own"
            ) from error

    def read(self) -> Marker:
        """What the file says now; an unreadable one says that there was state, but not which."""
        text = os.pread(self._file, 4096, 0)
        if not text:
            return Marker()
        try:
            return msgspec.json.decode(text, type=Marker)
        except msgspec.MsgspecError:
            return Marker(state="unknown", clean=False)

    def write(self, marker: Marker) -> None:
        """Replace what the file says, safe against a power cut."""
        self._put(marker)
        os.fsync(self._file)

    def advance(self, sequence: int) -> None:
        """Remember how far the state has come by now, so that a log is missed that somebody deletes after a kill.

        Not synced: after a power cut it may say less than is true, which does no harm.
        """
        self._put(msgspec.structs.replace(self.read(), sequence=sequence))

    def _put(self, marker: Marker) -> None:
        text = msgspec.json.encode(marker) + b"\n"
        os.ftruncate(self._file, os.pwrite(self._file, text, 0))

    def release(self) -> None:
        """Let the next process in."""
        os.close(self._file)


def open_locked(path: Path, *, accept_loss: bool = False) -> tuple[sqlite3.Connection, Lock]:
    """Lock, check, open and migrate the database at ``path``, making it at a first start.

    Raises ``OpeningError``. With ``accept_loss`` a state that is lost is begun anew, and what was left of it
    is moved aside; an older state is gone on from.
    """
    if path.is_dir():
        raise OpeningError(folder(path))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = Lock(path)
    except OSError as error:
        raise OpeningError(f"{path.parent} cannot be used for the state: {error.strerror}; see [state] path") from error
    try:
        return _open(path, lock, accept_loss=accept_loss), lock
    except BaseException:
        lock.release()
        raise


def _open(path: Path, lock: Lock, *, accept_loss: bool) -> sqlite3.Connection:
    try:
        _inspect(path, lock.read())
    except OlderError:
        if not accept_loss:
            raise
    except LostError:
        if not accept_loss:
            raise
        _move_aside(path)
    try:
        return _prepare(_connect(path), lock)
    except sqlite3.Error as error:
        raise OpeningError(f"{path} cannot be written: {error}") from error


def _inspect(path: Path, marker: Marker) -> None:
    """Look at the state before anything is written to it: for damage too, unless it was left clean."""
    if not path.exists() or path.stat().st_size == 0:
        if not marker.state:
            return
        raise LostError(f"{path} is {'empty' if path.exists() else 'missing'}, but there was state. {_ADVICE}")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            tables = _identify(path, connection)
            damage = "" if marker.clean and marker.state else _damage(connection)
            sequence = last_sequence(connection) if "meta" in tables else 0
    except sqlite3.OperationalError as error:  # locked, no permission, a bad disk: not the file's fault
        raise OpeningError(f"{path} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise LostError(f"{path} is damaged or not a database: {error}. {_ADVICE}") from error
    if damage:
        raise LostError(f"{path} is damaged: {damage}. {_ADVICE}")
    if not tables and marker.state:
        raise LostError(f"{path} is empty, but there was state. {_ADVICE}")
    if sequence < marker.sequence:
        raise OlderError(f"{path} is older than it was when poller last used it. {_OLDER_ADVICE}")


def _identify(path: Path, connection: sqlite3.Connection) -> set[str]:
    """Whether the file is ours and not too new; what is in it."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if tables and application != APPLICATION_ID:
        raise ForeignError(f"{path} is another program's database; give poller a [state] path of its own")
    if version > VERSION:
        raise NewerError(
            f"{path} was written by a newer poller (schema {version}, this one knows {VERSION}); "
            "install that version again, or use another [state] path"
        )
    return tables


def _damage(connection: sqlite3.Connection) -> str:
    (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return "" if answer == "ok" else str(answer).splitlines()[-1]


_ADVICE = (
    "Restore a backup, or start anew with --accept-state-loss: events not yet delivered are then gone, "
    "and changes since the last poll are not told"
)
_OLDER_ADVICE = (
    "If it is a backup that you restored, go on from it with --accept-state-loss: changes since then are found "
    "and told again, under the same ids"
)


def _connect(path: Path) -> sqlite3.Connection:
    _close_to_others(path)
    umask = os.umask(0o077)
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    finally:
        os.umask(umask)
    return connection


def _close_to_others(path: Path) -> None:
    """A backup that was put back by a copy has that copy's mode, and SQLite gives it to the log."""
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        with suppress(OSError):  # it is not there, or another's
            if part.stat().st_mode & 0o077:
                part.chmod(0o600)


def _move_aside(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(path.with_name(f"{path.name}.lost-{int(time.time())}{suffix}"))


def _prepare(connection: sqlite3.Connection, lock: Lock) -> sqlite3.Connection:
    try:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection)
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('state', ?), ('sequence', '0')", [uuid.uuid4().hex])
        _go_on_from(connection, lock.read().sequence)
        (state,) = connection.execute("SELECT value FROM meta WHERE key = 'state'").fetchone()
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        lock.write(Marker(os.getpid(), started, state, last_sequence(connection), clean=False))
    except BaseException:
        connection.close()
        raise
    return connection


def _go_on_from(connection: sqlite3.Connection, sequence: int) -> None:
    """Give out no sequence again that an older or lost state gave out: receivers would not hear of it."""
    connection.execute(
        "UPDATE meta SET value = ?1 WHERE key = 'sequence' AND CAST(value AS INTEGER) < CAST(?1 AS INTEGER)",
        [str(sequence)],
    )


def last_sequence(connection: sqlite3.Connection) -> int:
    """The highest sequence ever given out by this state."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'sequence'").fetchone()
    return int(row[0]) if row else 0


def close(connection: sqlite3.Connection, lock: Lock) -> None:
    """Leave the state clean: the log folded in, the marker true, the lock free."""
    sequence = last_sequence(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    marker = lock.read()
    lock.write(Marker(marker.pid, marker.started, marker.state, sequence, clean=True))
    lock.release()
