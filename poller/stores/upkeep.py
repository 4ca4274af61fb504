"""What the database needs over the years: old rows go, the file shrinks, copies are made, and looked through."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import msgspec

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


def expire(connection: Connection, *, recorded_before_ms: int, now_ms: int) -> int:
    """Park a chunk of what has waited in vain for too long, with its reason; how many deliveries.

    One that is being sent again counts from when that was asked for.
    """
    return connection.execute(
        """UPDATE delivery SET state = 'parked', settled_ms = ?2,
             error = 'expired: ' || iif(error = '', 'not sent', error)
           WHERE (sequence, sink, route) IN (
             SELECT sequence, sink, route FROM delivery
             WHERE state = 'pending' AND sequence < ?1 AND turn < ?1 LIMIT ?3)""",
        [recorded_before_ms * 1000, now_ms, CHUNK_ROWS],
    ).rowcount


def rewind(connection: Connection, now_ms: int) -> None:
    """Make due now what is due further off than any wait can be: the clock was set back since.

    What a route delays or spreads is due at its turn, however far off that is.
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


_RULES = {
    "streams count their live records": """
        SELECT org || '/' || resource FROM stream WHERE live <>
          (SELECT count(*) FROM mark WHERE mark.stream = stream.id AND state = 0)""",
    "streams count their missing records": """
        SELECT org || '/' || resource FROM stream WHERE missing <>
          (SELECT count(*) FROM mark WHERE mark.stream = stream.id AND state = 2)""",
    "every record that is not deleted has a last body": """
        SELECT id FROM mark WHERE state <> 1 AND NOT EXISTS (SELECT 1 FROM body WHERE body.id = mark.body)""",
    "every body belongs to one record": """
        SELECT body FROM mark WHERE body <> 0 GROUP BY body HAVING count(*) > 1
        UNION ALL SELECT id FROM body WHERE id NOT IN (SELECT body FROM mark)""",
    "every body has its dictionary": """
        SELECT id FROM body WHERE dictionary <> 0 AND dictionary NOT IN (SELECT id FROM dictionary)""",
    "every mark is of a stream": "SELECT id FROM mark WHERE stream NOT IN (SELECT id FROM stream)",
    "every delivery has its event": """
        SELECT sequence FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.sequence = d.sequence)""",
    "what is settled has a time, what is pending has none": """
        SELECT sequence FROM delivery WHERE (state = 'pending') <> (settled_ms IS NULL)""",
    "every sequence and every turn was given out": """
        SELECT max(sequence, turn) FROM (
          SELECT sequence, 0 AS turn FROM event
          UNION ALL SELECT sequence, iif(route = '', turn, 0) FROM delivery)
        WHERE max(sequence, turn) > (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'sequence')""",
}
"""What must hold in every state at rest, as queries for what violates it."""


def violations(connection: Connection) -> Iterator[str]:
    """Name all that is wrong with the database, down to its bytes and its events; nothing if it is well."""
    try:
        yield from _violations(connection)
    except sqlite3.DatabaseError as error:
        yield f"the database is damaged: {error}"


def _violations(connection: Connection) -> Iterator[str]:
    for (answer,) in connection.execute("PRAGMA integrity_check(20)"):
        if answer != "ok":
            yield f"the database is damaged: {answer}"
    for rule, query in _RULES.items():
        for (row,) in connection.execute(f"{query} LIMIT 20"):
            yield f"not true: {rule} ({row})"
    for sequence, name, body in connection.execute("SELECT sequence, id, body FROM event"):
        if not _speaks_of(body, sequence, name):
            yield f"event {name} is not what its bytes say"


def _speaks_of(body: bytes, sequence: int, name: str) -> bool:
    try:
        event = msgspec.json.decode(body)
        return bool(event["id"] == name and int(event["sequence"]) == sequence)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, KeyError, ValueError):
        return False
