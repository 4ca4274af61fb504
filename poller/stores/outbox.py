"""Events and deliveries in the database, inside a transaction that the store has begun."""

from collections.abc import Callable, Sequence
from itertools import count
from sqlite3 import Connection

import msgspec

from poller import envelope, retry
from poller.breaker import Breaker
from poller.breaker import set_back as set_breaker_back
from poller.model import CLOUDEVENT, Delivery, Event, Stream
from poller.stores import Outgoing, Settlement, Verdict, departure
from poller.stores.bodies import Codec
from poller.stores.opening import last_sequence
from poller.stores.selection import Chosen

_FIRST_OF_LANE = f"""
  d.sink = ?1 AND d.state = 'pending' AND NOT EXISTS (
    SELECT 1 FROM delivery p
    WHERE p.sink = d.sink AND p.lane = d.lane AND p.state = 'pending' AND p.turn < d.turn
      AND p.attempts < {retry.BLOCKING_ATTEMPTS})
"""

_FEW_LANES = 100

_LANES = f"""
  WITH RECURSIVE l (lane) AS (
    SELECT min(lane) FROM delivery WHERE sink = ?1 AND state = 'pending'
    UNION ALL
    SELECT (SELECT min(lane) FROM delivery WHERE sink = ?1 AND state = 'pending' AND lane > l.lane)
    FROM l WHERE l.lane IS NOT NULL LIMIT {_FEW_LANES + 1})
  SELECT lane FROM l WHERE lane IS NOT NULL
"""
"""The lanes of a sink's pending deliveries, up to one more than a few: one look into the index for each."""

_DELIVERY = """
  d.sink, d.sequence, d.lane, e.id, e.trigger, d.attempts, d.troubles, e.body, d.due_ms, d.route, d.shape, d.begun,
  iif(d.shape = '', '', (SELECT results FROM step s
    WHERE s.sequence = d.sequence AND s.sink = d.sink AND s.route = d.route)), d.turn, e.dictionary
"""

_DUE_OF_MANY = f"""
  SELECT {_DELIVERY} FROM delivery d JOIN event e USING (sequence)
  WHERE {_FIRST_OF_LANE} AND d.due_ms <= ?2
"""
"""By time, passing over what waits behind another: with few lanes that would be nearly all of a long queue."""

_DUE_OF_FEW = f"""
  SELECT {_DELIVERY} FROM json_each(?4) l CROSS JOIN delivery d ON d.lane = l.value JOIN event e USING (sequence)
  WHERE d.sink = ?1 AND d.state = 'pending' AND d.due_ms <= ?2 AND d.turn <= coalesce(
    (SELECT p.turn FROM delivery p WHERE p.sink = ?1 AND p.lane = l.value AND p.state = 'pending'
       AND p.attempts < {retry.BLOCKING_ATTEMPTS} ORDER BY p.turn LIMIT 1), 9223372036854775807)
"""
"""The same, by lane, up to the first in each that the others wait for."""


def due(connection: Connection, codec: Codec, sink: str, now_ms: int, limit: int, *, probe: bool) -> list[Delivery]:
    """Pending deliveries of a sink that are due and the first of their lane.

    Those go first that are due for longest; to ``probe``, those that met trouble least often.
    """
    lanes = [lane for (lane,) in connection.execute(_LANES, [sink])]
    few = len(lanes) <= _FEW_LANES
    sql = f"{_DUE_OF_FEW if few else _DUE_OF_MANY} ORDER BY {'d.troubles, ' if probe else ''}d.due_ms, d.turn LIMIT ?3"
    places = [msgspec.json.encode(lanes).decode()] if few else []
    return [
        Delivery._make(
            [*row[:7], codec.unpack(row[7], row[-1]), *row[8:11], bool(row[11]), row[12] or b"", CLOUDEVENT, row[13]]
        )
        for row in connection.execute(sql, [sink, now_ms, limit, *places])
    ]


NEXT_DUE = f"SELECT d.due_ms FROM delivery d WHERE {_FIRST_OF_LANE} AND d.due_ms > ?2 ORDER BY d.due_ms LIMIT 1"
"""When, after now, the next one is due that is the first of its lane."""


def announce(
    connection: Connection, codec: Codec, source: str, stream: Stream, outgoing: Sequence[Outgoing], now_ms: int
) -> None:
    """Give each change its sequence and its id, and enter the event and its deliveries."""
    if not outgoing:
        return
    numbered = list(enumerate(outgoing, next_turn(connection, now_ms)))
    _enter(connection, codec, source, stream, numbered, now_ms)
    wanted = ((sequence, change.record_id, targets) for sequence, (change, _, targets) in numbered)
    departure.depart(connection, stream, wanted, now_ms)
    keep_sequence(connection, numbered[-1][0])


def keep_sequence(connection: Connection, sequence: int) -> None:
    """Keep the highest sequence or turn that was given out."""
    connection.execute("UPDATE meta SET value = ? WHERE key = 'sequence'", [str(sequence)])


def _enter(
    connection: Connection,
    codec: Codec,
    source: str,
    stream: Stream,
    numbered: list[tuple[int, Outgoing]],
    now_ms: int,
) -> None:
    """Enter each event under the first ordinal that makes its id a new one."""
    for ordinal in count(1):
        events = [
            envelope.seal(source, stream, trigger, change, ordinal=ordinal, sequence=sequence, now_ms=now_ms)
            for sequence, (change, trigger, _) in numbered
        ]
        dictionary, packed = codec.packed(f"{stream.resource} events", [event.body for event in events])
        entered = connection.executemany(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            [
                (event.sequence, event.id, event.trigger, *stream, event.record_id, now_ms, body, dictionary)
                for event, body in zip(events, packed, strict=True)
            ],
        )
        if entered.rowcount == len(events):
            return
        missing = _not_entered(connection, events)
        numbered = [(sequence, change) for sequence, change in numbered if sequence in missing]


def _not_entered(connection: Connection, events: Sequence[Event]) -> set[int]:
    """The sequences of those whose id was taken already."""
    sequences = msgspec.json.encode([event.sequence for event in events]).decode()
    found = connection.execute(
        "SELECT sequence FROM event WHERE sequence IN (SELECT value FROM json_each(?))", [sequences]
    )
    return {event.sequence for event in events}.difference(sequence for (sequence,) in found)


def breaker(connection: Connection, sink: str) -> Breaker:
    """The sink's breaker as it was last kept."""
    row = connection.execute("SELECT breaker FROM sink WHERE name = ?", [sink]).fetchone()
    return msgspec.json.decode(row[0], type=Breaker) if row else Breaker()


def settle(connection: Connection, sink: str, judge: Callable[[Breaker], Verdict], now_ms: int) -> Verdict:
    """Keep how sends ended, and the sink's breaker with a count of what was delivered."""
    verdict = judge(breaker(connection, sink))
    connection.executemany(
        "UPDATE delivery SET state = ?, attempts = ?, troubles = ?, due_ms = ?, error = ?, begun = ?, settled_ms = ? "
        "WHERE sink = ? AND sequence = ? AND route = ? AND state = 'pending'",
        [_settled(sink, after, now_ms) for after in verdict.settlements],
    )
    _keep_steps(connection, sink, verdict.settlements)
    delivered = sum(after.state == "delivered" for after in verdict.settlements)
    connection.execute(
        """INSERT INTO sink VALUES (?1, ?2, ?3, iif(?3, ?4, NULL)) ON CONFLICT (name) DO UPDATE SET
             breaker = ?2, delivered = delivered + ?3, delivered_ms = iif(?3, ?4, delivered_ms)""",
        [sink, msgspec.json.encode(verdict.after).decode(), delivered, now_ms],
    )
    return verdict


def _settled(sink: str, after: Settlement, now_ms: int) -> tuple[object, ...]:
    settled_ms = None if after.state == "pending" else now_ms
    counts = after.attempts, after.troubles, after.due_ms
    return after.state, *counts, after.error, after.begun, settled_ms, sink, after.sequence, after.route


def _keep_steps(connection: Connection, sink: str, settlements: Sequence[Settlement]) -> None:
    """Keep the results of steps until their delivery has made them all."""
    connection.executemany(
        "INSERT INTO step (sequence, sink, route, results) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (sequence, sink, route) DO UPDATE SET results = excluded.results",
        [(after.sequence, sink, after.route, after.steps) for after in settlements if after.steps],
    )
    connection.executemany(
        "DELETE FROM step WHERE sequence = ? AND sink = ? AND route = ?",
        [(after.sequence, sink, after.route) for after in settlements if after.route and after.state == "delivered"],
    )


def begin(connection: Connection, batch: Sequence[Delivery]) -> None:
    """Keep that these are about to be sent."""
    connection.executemany(
        "UPDATE delivery SET begun = 1 WHERE sink = ? AND sequence = ? AND route = ?",
        [(delivery.sink, delivery.sequence, delivery.route) for delivery in batch],
    )


def pause(connection: Connection, sink: str, reason: str, now_ms: int) -> None:
    """Stop a sink, or with no reason let it go on as if nothing had been: all that is pending is due."""
    connection.execute(
        "UPDATE delivery SET due_ms = ?2 "
        "WHERE sink = ?1 AND state = 'pending' AND due_ms > ?2 AND ?3 = '' "
        "AND (route = '' OR turn <= ?2 * 1000)",  # not what a route delays or paces
        [sink, now_ms, reason],
    )
    connection.execute(
        "INSERT INTO sink (name, breaker) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET breaker = ?2",
        [sink, msgspec.json.encode(Breaker(paused=reason, down_ms=breaker(connection, sink).down_ms)).decode()],
    )


def set_back(connection: Connection, by_ms: int, now_ms: int) -> None:
    """Have what waits wait no longer than it was to, by a clock that was set back by so much."""
    connection.execute(
        "UPDATE delivery SET due_ms = due_ms - ?1 WHERE state = 'pending' AND due_ms > ?2", [by_ms, now_ms]
    )
    connection.execute("UPDATE route SET next_ms = next_ms - ?1, window_ms = window_ms - ?1", [by_ms])
    for (sink,) in connection.execute("SELECT name FROM sink").fetchall():
        moved = msgspec.json.encode(set_breaker_back(breaker(connection, sink), by_ms)).decode()
        connection.execute("UPDATE sink SET breaker = ? WHERE name = ?", [moved, sink])


def again(connection: Connection, chosen: Sequence[Chosen], now_ms: int) -> None:
    """Make settled deliveries pending at the end of the queue, behind all that is pending now."""
    turn = next_turn(connection, now_ms)
    rows = [(turn + place, now_ms, *one[:3]) for place, one in enumerate(chosen)]
    connection.executemany(
        """UPDATE delivery SET state = 'pending', attempts = 0, troubles = 0, turn = ?, due_ms = ?, settled_ms = NULL
           WHERE sequence = ? AND sink = ? AND route = ? AND state <> 'pending'""",
        rows,
    )
    keep_sequence(connection, turn + len(rows))


def next_turn(connection: Connection, now_ms: int) -> int:
    """A turn, or a sequence, behind all that were given out."""
    return max(last_sequence(connection) + 1, now_ms * 1000)


def drop(connection: Connection, chosen: Sequence[Chosen]) -> None:
    """Forget parked deliveries for good."""
    connection.executemany(
        "DELETE FROM step WHERE sequence = ? AND sink = ? AND route = ?",
        [one[:3] for one in chosen],
    )
    connection.executemany(
        "DELETE FROM delivery WHERE sequence = ? AND sink = ? AND route = ? AND state = 'parked'",
        [one[:3] for one in chosen],
    )
