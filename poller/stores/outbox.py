"""Events and deliveries in the database, inside a transaction that the store has begun."""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from poller import envelope, route
from poller.model import Change, Event, Stream
from poller.stores import Outgoing, Settlement, SinkStanding
from poller.stores.opening import last_sequence

_FIRST_OF_LANE = """
  d.sink = ?1 AND d.state = 'pending' AND NOT EXISTS (
    SELECT 1 FROM delivery p
    WHERE p.sink = d.sink AND p.lane = d.lane AND p.state = 'pending' AND p.sequence < d.sequence)
"""

LONGEST_WAIT_MS = 2 * 86_400_000
"""No delivery waits so long: one that is due later than that was kept before the clock was set back."""

DUE = f"""
  SELECT d.sink, d.sequence, d.lane, e.id, e.trigger, d.attempts, e.body
  FROM delivery d JOIN event e USING (sequence)
  WHERE {_FIRST_OF_LANE} AND d.due_ms NOT BETWEEN ?2 + 1 AND ?2 + {LONGEST_WAIT_MS} ORDER BY d.sequence LIMIT ?3
"""
"""Pending deliveries of a sink that are due and the first of their lane."""

NEXT_DUE = f"SELECT min(d.due_ms) FROM delivery d WHERE {_FIRST_OF_LANE}"
"""When the next one is due; those behind it in its lane do not count, however long they are due."""


def announce(connection: Connection, source: str, stream: Stream, outgoing: Sequence[Outgoing], now_ms: int) -> None:
    """Give each change its sequence and its id, and enter the event and its deliveries."""
    if not outgoing:
        return
    sequence = last_sequence(connection)
    deliveries: list[tuple[str, int, int, int]] = []
    for change, trigger, sinks in outgoing:
        sequence = max(sequence + 1, now_ms * 1000)
        event = _enter(connection, source, stream, trigger, change, sequence, now_ms)
        lane = route.lane(envelope.partition_key(stream, event.record_id))
        deliveries += [(sink, sequence, lane, now_ms) for sink in sinks]
    connection.executemany("INSERT INTO delivery (sink, sequence, lane, due_ms) VALUES (?, ?, ?, ?)", deliveries)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'sequence'", [str(sequence)])


def _enter(
    connection: Connection, source: str, stream: Stream, trigger: str, change: Change, sequence: int, now_ms: int
) -> Event:
    """Enter the event under the first ordinal that makes its id a new one."""
    ordinal = 1
    while True:
        event = envelope.seal(source, stream, trigger, change, ordinal=ordinal, sequence=sequence, now_ms=now_ms)
        entered = connection.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            [sequence, event.id, trigger, *stream, event.record_id, now_ms, event.body],
        )
        if entered.rowcount:
            return event
        ordinal += 1


def settle(
    connection: Connection, sink: str, settlements: Iterable[Settlement], standing: SinkStanding, now_ms: int
) -> None:
    """Keep how sends ended, and the sink's standing with a count of what was delivered."""
    rows = [
        (
            after.state,
            after.attempts,
            after.due_ms,
            None if after.state == "pending" else now_ms,
            after.error,
            sink,
            after.sequence,
        )
        for after in settlements
    ]
    connection.executemany(
        "UPDATE delivery SET state = ?, attempts = ?, due_ms = ?, settled_ms = ?, error = ? "
        "WHERE sink = ? AND sequence = ? AND state = 'pending'",
        rows,
    )
    delivered = sum(row[0] == "delivered" for row in rows)
    connection.execute(
        """INSERT INTO sink VALUES (?1, ?2, ?3, ?4, ?5, iif(?5, ?6, NULL)) ON CONFLICT (name) DO UPDATE SET
             failures = ?2, wait_until_ms = ?3, error = ?4, delivered = delivered + ?5,
             delivered_ms = iif(?5, ?6, delivered_ms)""",
        [sink, standing.failures, standing.wait_until_ms, standing.error, delivered, now_ms],
    )


def retry(connection: Connection, sink: str | None, event_id: str | None, now_ms: int) -> int:
    """Make parked deliveries pending and due, with their attempts counted anew."""
    return connection.execute(
        """UPDATE delivery SET state = 'pending', attempts = 0, due_ms = ?1, settled_ms = NULL
           WHERE state = 'parked' AND (?2 IS NULL OR sink = ?2)
             AND (?3 IS NULL OR sequence = (SELECT sequence FROM event WHERE id = ?3))""",
        [now_ms, sink, event_id],
    ).rowcount
