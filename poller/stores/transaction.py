"""Transactions of the one connection: one thread at a time, and every change whole or not at all."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from poller.stores import StoreError
from poller.stores.wal import Wal


class Transactions:
    """The turns that threads take at ``connection``, to the database at ``path``.

    Whatever SQLite refuses within one is raised as ``StoreError``. ``undone`` is called after each that failed.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, undone: Callable[[], None]) -> None:
        self._connection = connection
        self._undone = undone
        self._mutex = threading.RLock()
        self.wal = Wal(path)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The connection to oneself."""
        with self._mutex, _as_store_error():
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction that writes from its first statement on, so that it cannot fail half way."""
        with self._mutex, _as_store_error():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                roll_back(self._connection)
                self._undone()
                raise
            self.wal.shorten(self._connection)


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo a transaction, unless SQLite has done so by itself."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


@contextmanager
def _as_store_error() -> Iterator[None]:
    began = monotonic()
    try:
        yield
    except sqlite3.Error as error:
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        waited = f" (waited {monotonic() - began:.1f} s)" if busy else ""
        raise StoreError(f"the state cannot be used now: {error}{waited}") from error
