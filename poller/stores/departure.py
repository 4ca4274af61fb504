"""A delivery as it is entered: due at once or later, held, or parked since nobody can say where it goes."""

from collections.abc import Iterable, Sequence
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
    begun: bool = False


ENTER = """
  INSERT INTO delivery (sink, sequence, route, shape, turn, lane, due_ms, state, settled_ms, error, begun)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
    if held:
        return at_once._replace(state="held", settled_ms=now_ms, due_ms=due_ms)
    # What is due later takes its turn then: until that time it neither expires nor is hurried.
    return at_once._replace(due_ms=due_ms, turn=sequence + (due_ms - now_ms) * 1000)


def _through(
    connection: Connection, traffic: dict[str, Traffic], name: str, gate: Gate, wanted_ms: int, now_ms: int
) -> tuple[int, bool]:
    if name not in traffic:
        row = connection.execute("SELECT next_ms, window_ms, seen, held FROM route WHERE name = ?", [name]).fetchone()
        traffic[name] = Traffic(*row) if row else Traffic()
    due_ms, held, traffic[name] = admit(gate, traffic[name], wanted_ms, now_ms)
    return due_ms, held


def redo(connection: Connection, parked: Chosen, targets: Sequence[Target], turn: int, now_ms: int) -> int:
    """Let a parked delivery go through its route once more, as that is now; how many deliveries come of it.

    It goes to its own sink alone, where that is still one of the route's. The results of its steps stay, where it
    still has any, and so does the memory of a send that began.
    """
    org, resource, record_id, begun = connection.execute(
        "SELECT e.org, e.resource, e.record, d.begun FROM delivery d JOIN event e USING (sequence) "
        "WHERE d.sequence = ? AND d.sink = ? AND d.route = ?",
        parked[:3],
    ).fetchone()
    own = [target for target in targets if target.sink == parked.sink]
    rows = [
        Departure(
            target.sink,
            parked.sequence,
            parked.route,
            target.shape,
            turn,
            route.lane(target, Stream(org, resource), record_id, parked.sequence),
            now_ms,
            "parked" if target.error else "pending",
            now_ms if target.error else None,
            target.error,
            begun,
        )
        for target in own or targets
    ]
    connection.execute("DELETE FROM delivery WHERE sequence = ? AND sink = ? AND route = ?", parked[:3])
    entered = [connection.execute(f"{ENTER} ON CONFLICT DO NOTHING", row).rowcount for row in rows]
    return sum(row.state == "pending" for row, new in zip(rows, entered, strict=True) if new)


def release(connection: Connection, name: str, now_ms: int) -> int:
    """Let go what a route holds, in its order; how many."""
    connection.execute("UPDATE route SET held = 0, seen = 0, window_ms = ? WHERE name = ?", [now_ms, name])
    return connection.execute(
        "UPDATE delivery SET state = 'pending', settled_ms = NULL, due_ms = max(due_ms, ?) "
        "WHERE route = ? AND state = 'held'",
        [now_ms, name],
    ).rowcount


def discard(connection: Connection, name: str) -> int:
    """Forget what a route holds; how many."""
    connection.execute("UPDATE route SET held = 0 WHERE name = ?", [name])
    return connection.execute("DELETE FROM delivery WHERE route = ? AND state = 'held'", [name]).rowcount
