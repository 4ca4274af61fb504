"""The points at which a process may die, or at which the machine under it fails.

There is one before and after every statement, request and send, and around every write of the lock file. A
death is as SIGKILL's: what was written into the files stands, all that was only in memory is gone. So the
files are copied as they lie there, but for the shared memory beside them, and the copy is gone on with.
"""

import os
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from unpacked import unpacking

from poller.stores import opening

PARTS = ("", "-wal", ".lock")
BLOCK = 4096
WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE", "COMMIT", "PRAGMA", "VACUUM", "RELEASE")

Trouble = Callable[[sqlite3.Connection, str], None]
"""What befalls a statement, by its connection and name: it raises ``sqlite3.Error``, or lets it pass."""


def no_trouble(_connection: sqlite3.Connection, _name: str) -> None:
    pass


class Died(BaseException):
    """The process is gone. No ``Exception``: nobody in it can do anything about it."""


class Doom(NamedTuple):
    """Death at the point after so many others, of those only that have ``where`` in their names.

    ``torn`` is how much of a write still gets there if it dies half way.
    """

    after: int
    where: str = ""
    torn: float = 0.5


class Points:
    """The points that one process passes, with its state at ``path``.

    With a ``doom`` it dies at one of them and leaves its files in ``grave``. ``deaths`` counts where processes died,
    ``errors`` the failures of SQLite by their names.
    """

    def __init__(self, path: Path, grave: Path, deaths: Counter[str], doom: Doom | None = None) -> None:
        self.path = path
        self.grave = grave
        self.doom = doom
        self.dead = False
        self.trouble = no_trouble
        self.errors: Counter[str] = Counter()
        self.locks: list[opening.Lock] = []
        self._deaths = deaths
        self._connections: list[sqlite3.Connection] = []

    def passes(self, name: str) -> None:
        """Go past a point, or die there; whoever is dead does not get past any."""
        if self.dead:
            raise Died
        if self._is_last(name):
            self.die(name)

    def _is_last(self, name: str) -> bool:
        if self.doom is None or self.doom.where not in name:
            return False
        self.doom = self.doom._replace(after=self.doom.after - 1)
        return self.doom.after < 0

    def die(self, name: str) -> None:
        """Leave the files as they are now; raises ``Died``."""
        self.dead = True
        self._deaths[name] += 1
        self.grave.mkdir()
        for part in PARTS:
            found = self.path.with_name(self.path.name + part)
            if found.exists():
                shutil.copyfile(found, self.grave / found.name)
        raise Died

    def commits(self, run: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        """Carry out a commit, or die in the middle of it: of what it adds to the log, the end is not there."""
        if not self._is_last("within COMMIT"):
            return run()
        log = self.path.with_name(f"{self.path.name}-wal")
        before = log.read_bytes() if log.exists() else b""
        run()
        after = log.read_bytes()
        places = range(0, len(before), BLOCK)
        first = next((at for at in places if before[at : at + BLOCK] != after[at : at + BLOCK]), len(before))
        cut = first + int(self.doom.torn * (len(after) - first)) if self.doom else first
        log.write_bytes(after[:cut] + before[cut:])
        self.die("within COMMIT")
        raise AssertionError("it is dead")

    def bury(self) -> None:
        """Let go of what the dead process held: the kernel does."""
        for connection in self._connections:
            connection.close()
        for lock in list(self.locks):
            lock.release()

    def connect(self, *arguments: object, **keywords: object) -> sqlite3.Connection:
        """As ``sqlite3.connect``; what the connection does passes points."""
        made = _connect(*arguments, **keywords, factory=Watched)
        made.points = self
        self._connections.append(made)
        return made


_connect = sqlite3.connect


class Watched(sqlite3.Connection):
    """A connection whose statements pass points."""

    points: Points

    def execute(self, sql, parameters=(), /):
        return self._watched(sql, lambda: super(Watched, self).execute(sql, parameters))

    def executemany(self, sql, parameters, /):
        return self._watched(sql, lambda: super(Watched, self).executemany(sql, parameters))

    def executescript(self, sql, /):
        return self._watched(sql, lambda: super(Watched, self).executescript(sql))

    def _watched(self, sql, run):
        points, name = self.points, statement(sql)
        points.passes(f"before {name}")
        try:
            points.trouble(self, name)
            found = points.commits(run) if name == "COMMIT" else run()
        except sqlite3.OperationalError as error:
            points.errors[error.sqlite_errorname] += 1
            raise
        if name.startswith(WRITES):
            points.passes(f"after {name}")
        return found


def fails(after: int, code: str, *, where: str = "", times: int = 1, rolled_back: bool = True) -> Trouble:
    """So many statements fail after so many others, of those only that have ``where`` in their names.

    ``code`` is SQLite's; the transaction may be gone with it at once. A rollback never fails.
    """
    numbers = count()

    def trouble(connection: sqlite3.Connection, name: str) -> None:
        if name == "ROLLBACK" or where not in name or not after <= next(numbers) < after + times:
            return
        if rolled_back and code != "SQLITE_BUSY" and connection.in_transaction:
            unwatched(connection, "ROLLBACK")
        raise failure(code)

    return trouble


def failure(code: str) -> sqlite3.OperationalError:
    """The exception that the sqlite3 module makes of this code."""
    error = sqlite3.OperationalError(_MESSAGES[code])
    error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, code), code
    return error


_MESSAGES = {
    "SQLITE_BUSY": "database is locked",
    "SQLITE_FULL": "database or disk is full",
    "SQLITE_IOERR": "disk I/O error",
}


@lru_cache(maxsize=1000)
def statement(sql: str) -> str:
    """A name for a statement: what it does to what."""
    words = re.match(r"\W*(\w+)", sql)
    verb = words[1].upper() if words else sql
    if verb == "WITH":
        verb = "SELECT"
    what = re.search(r"\b(?:FROM|INTO|UPDATE|TABLE|INDEX|PRAGMA|ON)\s+\"?(\w+)", sql)
    return f"{verb} {what[1]}" if what else verb


def unwatched(connection: sqlite3.Connection, sql: str, *values: object) -> list[tuple]:
    """What a statement finds that passes no point."""
    return sqlite3.Connection.execute(unpacking(connection), sql, values).fetchall()


class _Lock(opening.Lock):
    """A lock file whose writes pass points; within one, the old text's end is still there."""

    points: Points

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self.points.locks.append(self)

    def release(self) -> None:
        super().release()
        self.points.locks.remove(self)

    def write(self, marker: opening.Marker) -> None:
        before = os.pread(self._file, 4096, 0)
        self.points.passes("before the lock file is written")
        super().write(marker)
        new = os.pread(self._file, 4096, 0)
        os.pwrite(self._file, before[len(new) :], len(new))
        self.points.passes("within the lock file")
        os.ftruncate(self._file, len(new))
        self.points.passes("after the lock file is written")


@contextmanager
def watched(points: Points) -> Iterator[None]:
    """What is opened in this block passes points."""
    lock = type("Lock", (_Lock,), {"points": points})
    with patch.object(sqlite3, "connect", points.connect), patch.object(opening, "Lock", lock):
        yield
