"""What a command reads of the state while a poller runs, or does not: a connection that cannot write."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlite_utils import Database

from poller.stores import Standing, rows
from poller.stores.opening import LostError, OpeningError
from poller.stores.schema import APPLICATION_ID


class Backlog(NamedTuple):
    """How a sink's deliveries stand; times in milliseconds, None where there is nothing."""

    sink: str
    pending: int
    parked: int
    delivered: int
    oldest_ms: int | None
    delivered_ms: int | None
    failures: int
    wait_until_ms: int
    error: str


class Stored(NamedTuple):
    """An event as it lies in the outbox."""

    sequence: int
    id: str
    trigger: str
    recorded_ms: int
    body: bytes


@contextmanager
def reading(path: Path) -> Iterator[Database]:
    """Open the state to read it; raises ``OpeningError`` where there is none or it is not ours."""
    if not path.exists():
        raise OpeningError(f"there is no state at {path}: nothing has been polled yet, or [state] path is another")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        connection.execute("PRAGMA busy_timeout = 5000")
        (application,) = connection.execute("PRAGMA application_id").fetchone()
    except sqlite3.Error as error:
        raise LostError(f"{path} cannot be read: {error}") from error
    if application != APPLICATION_ID:
        raise OpeningError(f"{path} is not a poller's state")
    try:
        yield Database(connection)
    finally:
        connection.close()


def streams(database: Database) -> list[Standing]:
    """All streams ever followed."""
    found = database.execute(f"SELECT {rows.STANDING} FROM stream ORDER BY org, resource")
    return [rows.standing(row) for row in found]


def quarantined(database: Database) -> list[dict[str, Any]]:
    """Records that cannot be followed, with their reasons."""
    return list(
        database.query(
            "SELECT org || '/' || resource AS stream, record, reason, seen_ms FROM quarantine "
            "JOIN stream ON stream.id = quarantine.stream ORDER BY 1, 2"
        )
    )


def backlogs(database: Database) -> list[Backlog]:
    """Every sink that ever had a delivery."""
    found = database.execute(
        """WITH counted AS (
             SELECT d.sink, sum(state = 'pending') AS pending, sum(state = 'parked') AS parked,
               min(iif(state = 'pending', recorded_ms, NULL)) AS oldest_ms
             FROM delivery d JOIN event USING (sequence) WHERE state IN ('pending', 'parked') GROUP BY d.sink),
           names AS (SELECT sink AS name FROM counted UNION SELECT name FROM sink)
           SELECT names.name, coalesce(pending, 0), coalesce(parked, 0), coalesce(delivered, 0), oldest_ms,
             delivered_ms, coalesce(failures, 0), coalesce(wait_until_ms, 0), coalesce(error, '')
           FROM names LEFT JOIN counted ON counted.sink = names.name LEFT JOIN sink ON sink.name = names.name
           ORDER BY 1"""
    )
    return [Backlog(*row) for row in found]


def parked(database: Database) -> list[dict[str, Any]]:
    """Deliveries that were given up, newest first."""
    return list(
        database.query(
            "SELECT sink, event.id, trigger, attempts, error, settled_ms FROM delivery "
            "JOIN event USING (sequence) WHERE state = 'parked' ORDER BY sequence DESC LIMIT 1000"
        )
    )


def last(database: Database, trigger: str, limit: int) -> list[Stored]:
    """The newest events whose trigger matches a pattern such as ``client.*``, oldest of them first."""
    found = database.execute(
        "SELECT sequence, id, trigger, recorded_ms, body FROM event WHERE trigger GLOB ? "
        "ORDER BY sequence DESC LIMIT ?",
        [trigger, limit],
    )
    return [Stored(*row) for row in found][::-1]


def after(database: Database, trigger: str, sequence: int) -> list[Stored]:
    """Events of a higher sequence, oldest first, a thousand at most."""
    found = database.execute(
        "SELECT sequence, id, trigger, recorded_ms, body FROM event WHERE sequence > ? AND trigger GLOB ? "
        "ORDER BY sequence LIMIT 1000",
        [sequence, trigger],
    )
    return [Stored(*row) for row in found]


def copy(database: Database, target: Path) -> None:
    """A consistent copy of the whole state."""
    connection = sqlite3.connect(target)
    try:
        database.conn.backup(connection)
    finally:
        connection.close()
