"""Where streams stand, a row each. Within a transaction that the store has begun."""

from collections.abc import Collection
from sqlite3 import Connection

from poller.model import Stream
from poller.stores import Decision, Progress, Standing, rows

_ADVANCE = f"""
  UPDATE stream SET ({rows.PROGRESS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
    decision = iif(? OR ? > missing, NULL, decision)
  WHERE id = ?
"""


def standing(connection: Connection, number: int) -> Standing:
    """Where the stream with this number stands."""
    return rows.standing(connection.execute(f"SELECT {rows.STANDING} FROM stream WHERE id = ?", [number]).fetchone())


def standings(connection: Connection) -> list[Standing]:
    """Where each stream stands."""
    found = connection.execute(f"SELECT {rows.STANDING} FROM stream ORDER BY org, resource").fetchall()
    return [rows.standing(row) for row in found]


def enter(connection: Connection, entered: Collection[Stream]) -> dict[Stream, int]:
    """Enter those of these streams that are not known; the numbers of all."""
    connection.executemany("INSERT OR IGNORE INTO stream (org, resource) VALUES (?, ?)", entered)
    found = connection.execute("SELECT org, resource, id FROM stream").fetchall()
    return {Stream(org, resource): number for org, resource, number in found}


def schedule(connection: Connection, number: int, standing: Standing) -> None:
    """Keep the schedule and the troubles of a stream."""
    connection.execute(
        """UPDATE stream SET next_poll_ms = ?, polled_ms = ?, failures = ?, error = ?, suspended = ?, failing_ms = ?,
             silent_ms = ?, history = ? WHERE id = ?""",
        [
            standing.next_poll_ms,
            standing.polled_ms,
            standing.failures,
            standing.error,
            standing.suspended,
            standing.failing_ms,
            standing.silent_ms,
            rows.history_text(standing.history),
            number,
        ],
    )


def advance(connection: Connection, number: int, progress: Progress, *, decided: bool) -> None:
    """Keep how far a stream has been followed, and that the operator's decision has been carried out.

    One that was made of fewer missing records is void.
    """
    connection.execute(_ADVANCE, [*rows.progress_row(progress), decided, progress.missing, number])


def decide(connection: Connection, name: str, decision: Decision) -> bool:
    """Keep the operator's word on the deletions that wait; False if there are none."""
    sql = """UPDATE stream SET decision = ?, next_poll_ms = 0
             WHERE org || '/' || resource = ? AND missing > 0"""
    return connection.execute(sql, [decision, name]).rowcount > 0


def pause(connection: Connection, name: str, *, paused: bool) -> bool:
    """Stop polling the stream of this name until it is resumed; False if there is none."""
    sql = "UPDATE stream SET paused = ?, next_poll_ms = 0 WHERE org || '/' || resource = ?"
    return connection.execute(sql, [paused, name]).rowcount > 0


def forget(connection: Connection, number: int) -> None:
    """Have the stream read in silence when it is polled again, and nothing known of its past; a pause stays."""
    before = standing(connection, number)
    advance(connection, number, Progress(sweeps=max(before.progress.sweeps, 1)), decided=True)
    schedule(connection, number, Standing(before.stream))


def address(connection: Connection) -> str:
    """Where the API is whose records are remembered; empty if that was never kept."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'address'").fetchone()
    return str(row[0]) if row else ""


def keep_address(connection: Connection, new: str) -> None:
    """Keep where it is."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('address', ?)", [new])
