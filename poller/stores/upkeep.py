"""What the database needs over the years: old rows go, the file shrinks, copies are made."""

import os
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

CHUNK_ROWS = 500
"""Rows that one transaction prunes, so that no commit waits for long."""

LONGEST_WAIT_MS = 2 * 86_400_000
"""No delivery waits so long for its next attempt."""

_VACUUM_PAGES = 200


def prune(connection: Connection, *, delivered_before_ms: int, parked_before_ms: int) -> int:
    """Forget a chunk of settled deliveries, then of events that none needs any more; how many rows went.

    Events that no sink wanted go with the delivered ones. Sequences are microseconds, so that old events
    are found by their key.
    """
    settled = connection.execute(
        """DELETE FROM delivery WHERE (sequence, sink, route) IN (
             SELECT sequence, sink, route FROM delivery
             WHERE sequence < ?1
               AND (state = 'delivered' AND settled_ms < ?2 OR state IN ('parked', 'held') AND settled_ms < ?3)
             LIMIT ?4)""",
        [max(delivered_before_ms, parked_before_ms) * 1000, delivered_before_ms, parked_before_ms, CHUNK_ROWS],
    ).rowcount
    connection.execute(
        "UPDATE route SET held = (SELECT count(*) FROM delivery d WHERE d.route = name AND d.state = 'held') WHERE held"
    )
    connection.execute(
        """DELETE FROM step WHERE NOT EXISTS (SELECT 1 FROM delivery d
             WHERE d.sequence = step.sequence AND d.sink = step.sink AND d.route = step.route)"""
    )
    unneeded = connection.execute(
        """DELETE FROM event WHERE sequence IN (
             SELECT sequence FROM event WHERE sequence < ?1
               AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.sequence = event.sequence)
             LIMIT ?2)""",
        [delivered_before_ms * 1000, CHUNK_ROWS],
    ).rowcount
    return settled + unneeded


def expire(connection: Connection, *, recorded_before_ms: int, now_ms: int) -> Mapping[str, int]:
    """Park a chunk of what has waited in vain for too long, with its reason; how many deliveries of each sink.

    One that is being sent again counts from when that was asked for.
    """
    expired = connection.execute(
        """SELECT sequence, sink, route FROM delivery
           WHERE state = 'pending' AND sequence < ?1 AND turn < ?1 LIMIT ?2""",
        [recorded_before_ms * 1000, CHUNK_ROWS],
    ).fetchall()
    connection.executemany(
        """UPDATE delivery SET state = 'parked', settled_ms = ?,
             error = 'expired: ' || iif(error = '', 'not sent', error)
           WHERE sequence = ? AND sink = ? AND route = ?""",
        [(now_ms, *key) for key in expired],
    )
    return Counter(sink for _, sink, _ in expired)


def rewind(connection: Connection, now_ms: int) -> None:
    """Make due now what is due further off than any wait can be: the clock was set back since.

    What a route delays or paces is due at its turn, however far off that is.
    """
    connection.execute(
        "UPDATE delivery SET due_ms = ?1 WHERE state = 'pending' AND due_ms > ?1 + ?2 AND due_ms * 1000 > turn",
        [now_ms, LONGEST_WAIT_MS],
    )


def shrink(connection: Connection) -> int:
    """Give some pages that are no longer used back to the file system; how many."""
    (before,) = connection.execute("PRAGMA freelist_count").fetchone()
    connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")  # execute would free one page alone
    (after,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(before - after)


def backup(connection: Connection, target: Path) -> None:
    """Write a consistent, compact and checked copy to ``target``, whole or not at all.

    Raises ``sqlite3.Error`` or ``OSError``.
    """
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    umask = os.umask(0o077)
    try:
        connection.execute("VACUUM INTO ?", [str(part)])
        with closing(sqlite3.connect(part)) as copy:
            (answer,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if answer != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {answer}")
        _sync(part)
        part.replace(target)
        _sync(target.parent)
    finally:
        os.umask(umask)
        part.unlink(missing_ok=True)


def sizes(connection: Connection, path: Path) -> tuple[int, int, int]:
    """Bytes in use in the database, and free and in all on its disk."""
    (pages,), (unused,), (page_bytes,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    disk = os.statvfs(path.parent)
    return (pages - unused) * page_bytes, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
