"""A delivery as it is entered: due at once or later, held, or parked since nobody can say where it goes."""

from collections.abc import Iterable
from sqlite3 import Connection
from typing import NamedTuple

from poller import route
from poller.gate import Traffic, admit
from poller.model import Gate, Stream, Target
from poller.stores.selection import Chosen


class Departure(NamedTuple):
    """A row of ``delivery``: its columns in the order of ``ENTER``."""

    sink: str
    sequence: int
    route: str
    shape: str
    turn: int
    lane: int
    due_ms: int
    state: str = "pending"
    settled_ms: int | None = None
    error: str = ""


ENTER = """
  INSERT INTO delivery (sink, sequence, route, shape, turn, lane, due_ms, state, settled_ms, error)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def depart(
    connection: Connection, stream: Stream, wanted: Iterable[tuple[int, str, Iterable[Target]]], now_ms: int
) -> None:
    """Enter the deliveries of events, given as their sequence, their record and where they go."""
    traffic: dict[str, Traffic] = {}
    rows = [
        _departure(connection, traffic, target, sequence, route.lane(target, stream, record_id, sequence), now_ms)
        if target.route
        else Departure(target.sink, sequence, "", "", sequence, route.lane(target, stream, record_id, sequence), now_ms)
        for sequence, record_id, targets in wanted
        for target in targets
    ]
    connection.executemany(ENTER, rows)
    connection.executemany(
        "INSERT OR REPLACE INTO route VALUES (?, ?, ?, ?, ?)", [(name, *seen) for name, seen in traffic.items()]
    )


def _departure(
    connection: Connection, traffic: dict[str, Traffic], target: Target, sequence: int, lane: int, now_ms: int
) -> Departure:
    at_once = Departure(target.sink, sequence, target.route, target.shape, sequence, lane, now_ms)
    if target.error:
        return at_once._replace(state="parked", settled_ms=now_ms, error=target.error)
    due_ms, held = now_ms + int(target.delay_s * 1000), False
    if target.gate:
        due_ms, held = _through(connection, traffic, target.route, target.gate, due_ms, now_ms)
    # What has to wait takes its turn when it is due: until then it neither expires nor is hurried.
    later = at_once._replace(due_ms=due_ms, turn=sequence + (due_ms - now_ms) * 1000)
    return later._replace(state="held", settled_ms=now_ms) if held else later


def _through(
    connection: Connection, traffic: dict[str, Traffic], name: str, gate: Gate, wanted_ms: int, now_ms: int
) -> tuple[int, bool]:
    if name not in traffic:
        row = connection.execute("SELECT next_ms, window_ms, seen, held FROM route WHERE name = ?", [name]).fetchone()
        traffic[name] = Traffic(*row) if row else Traffic()
    due_ms, held, traffic[name] = admit(gate, traffic[name], wanted_ms, now_ms)
    return due_ms, held


def redo(connection: Connection, parked: Chosen, targets: Iterable[Target], turn: int, now_ms: int) -> int:
    """Let a parked delivery go through its route once more, as that is now; how many deliveries come of it.

    The results of its steps stay, where it still has any.
    """
    org, resource, record_id = connection.execute(
        "SELECT org, resource, record FROM event WHERE sequence = ?", [parked.sequence]
    ).fetchone()
    rows = [
        Departure(
            target.sink,
            parked.sequence,
            parked.route,
            target.shape,
            turn,
            route.lane(target, Stream(org, resource), record_id, parked.sequence),
            now_ms,
            *(("parked", now_ms, target.error) if target.error else ()),
        )
        for target in targets
    ]
    connection.execute("DELETE FROM delivery WHERE sequence = ? AND sink = ? AND route = ?", parked[:3])
    connection.executemany(ENTER, rows)
    return sum(row.state == "pending" for row in rows)


def release(connection: Connection, name: str, turn: int, now_ms: int) -> int:
    """Let go what a route holds, in its order from ``turn`` on, so that it expires by when it was let go; how many."""
    connection.execute("UPDATE route SET held = 0, seen = 0, window_ms = ? WHERE name = ?", [now_ms, name])
    held = connection.execute(
        "SELECT sequence, sink, route FROM delivery WHERE route = ? AND state = 'held' ORDER BY turn", [name]
    ).fetchall()
    connection.executemany(
        """UPDATE delivery SET state = 'pending', settled_ms = NULL,
             turn = ?1 + max(0, due_ms - ?2) * 1000, due_ms = max(due_ms, ?2)
           WHERE sequence = ?3 AND sink = ?4 AND route = ?5""",
        [(turn + place, now_ms, *one) for place, one in enumerate(held)],
    )
    return len(held)


def discard(connection: Connection, name: str) -> int:
    """Forget what a route holds; how many."""
    connection.execute("UPDATE route SET held = 0 WHERE name = ?", [name])
    return connection.execute("DELETE FROM delivery WHERE route = ? AND state = 'held'", [name]).rowcount
