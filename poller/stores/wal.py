"""The write-ahead log beside the database, kept small though others read in it.

SQLite begins its log anew where nobody reads in it just then. With readers that overlap, each of them short,
that moment never comes: two of them made the log grow by 20 MB a second, for ever.
"""

import sqlite3
from pathlib import Path
from sqlite3 import Connection
from time import monotonic

LONG_BYTES = 32 << 20
"""At this size readers are waited for; SQLite begins a log anew at 16 MB where it can."""

TRIES, TRY_MS = 5, 100
"""How long: a command's reads are far shorter. A backup's is not, and then the log grows until it is done."""

PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
"""How long nobody waits again after one wait in vain; doubled after each further one, up to the second."""


class Wal:
    """The log of the database at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-wal")
        self._waits_until_s = 0.0
        self._pause_s = PAUSE_S

    def shorten(self, connection: Connection) -> None:
        """Empty a log that has become long, once those that read in it are done; where they are slow, again later.

        To be called between transactions, for each. Nothing is raised: what was committed is safe either way.
        """
        if monotonic() < self._waits_until_s or self._size_bytes() <= LONG_BYTES:
            return
        if _emptied(connection):
            self._pause_s = PAUSE_S
        else:
            self._waits_until_s = monotonic() + self._pause_s
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _size_bytes(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0


def _emptied(connection: Connection) -> bool:
    """Whether it could be done.

    One try may wait in vain for a place in the log that two readers take by turns; the next one finds them where
    they do not matter.
    """
    try:
        (wait_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute(f"PRAGMA busy_timeout = {TRY_MS}")
        try:
            return any(_try(connection) for _ in range(TRIES))
        finally:
            connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    except sqlite3.Error:
        return False


def _try(connection: Connection) -> bool:
    (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
