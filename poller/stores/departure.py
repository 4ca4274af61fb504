"""A delivery as it is entered: due at once or later, held, or parked since nobody can say where it goes."""

from collections.abc import Collection, Iterable, Sequence
from sqlite3 import Connection
from typing import NamedTuple

import msgspec

from poller import route
from poller.gate import Traffic, admit
from poller.model import Stream
from poller.plan import Gate, Target
from poller.shape import done_still
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


_ENTER_PLAIN = "INSERT INTO delivery (sink, sequence, turn, lane, due_ms) VALUES (?, ?, ?, ?, ?)"
ENTER = """
  INSERT INTO delivery (sink, sequence, route, shape, turn, lane, due_ms, state, settled_ms, error, begun)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def depart(
    connection: Connection, stream: Stream, wanted: Iterable[tuple[int, str, Iterable[Target]]], now_ms: int
) -> None:
    """Enter the deliveries of events, given as their sequence, their record and where they go."""
    traffic: dict[str, Traffic] = {}
    last: dict[tuple[str, str, int], int] = {}
    plain: list[tuple[object, ...]] = []
    routed: list[Departure] = []
    for sequence, record_id, targets in wanted:
        for target in targets:
            lane = route.lane(target, stream, record_id, sequence)
            if target.route:
                made = _departure(connection, traffic, target, sequence, lane, now_ms)
                routed.append(made if target.error else _behind(connection, last, made))
            else:
                plain.append((target.sink, sequence, sequence, lane, now_ms))
    connection.executemany(_ENTER_PLAIN, plain)
    connection.executemany(ENTER, routed)
    connection.executemany(
        "INSERT OR REPLACE INTO route VALUES (?, ?, ?, ?, ?)",
        [(name, *seen) for name, seen in traffic.items() if any(seen)],
    )


def _departure(
    connection: Connection, traffic: dict[str, Traffic], target: Target, sequence: int, lane: int, now_ms: int
) -> Departure:
    at_once = Departure(target.sink, sequence, target.route, target.shape, sequence, lane, now_ms)
    if target.error:
        return at_once._replace(state="parked", settled_ms=now_ms, error=target.error)
    due_ms = now_ms + int(target.delay_s * 1000)
    due_ms, held = _through(connection, traffic, target.route, target.gate or Gate(), due_ms, now_ms)
    # Its turn is as far off as it is due: until then it neither expires nor is hurried.
    waits = at_once._replace(due_ms=due_ms, turn=sequence + (due_ms - now_ms) * 1000)
    return waits._replace(state="held", settled_ms=now_ms) if held else waits


_LAST = """
  SELECT turn FROM delivery WHERE sink = ? AND route = ? AND lane = ? AND state = 'pending' ORDER BY turn DESC LIMIT 1
"""


def _behind(connection: Connection, last: dict[tuple[str, str, int], int], made: Departure) -> Departure:
    """With a turn behind all that wait in its lane: they may be delayed for longer, or paced by another clock."""
    lane = made.sink, made.route, made.lane
    if lane not in last:
        row = connection.execute(_LAST, lane).fetchone()
        last[lane] = row[0] if row else 0
    last[lane] = max(made.turn, last[lane] + 1)
    return made._replace(turn=last[lane])


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

    It goes to its own sink, or where the route no longer names that, to those that did not get the event yet. The
    results of its steps stay, where it still has any, and so does the memory of a send that began.
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
            target.route,
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
    _keep_results(connection, parked, rows)
    connection.execute("DELETE FROM delivery WHERE sequence = ? AND sink = ? AND route = ?", parked[:3])
    entered = [connection.execute(f"{ENTER} ON CONFLICT DO NOTHING", row).rowcount for row in rows]
    return sum(row.state == "pending" for row, new in zip(rows, entered, strict=True) if new)


def _keep_results(connection: Connection, parked: Chosen, rows: Sequence[Departure]) -> None:
    """Keep the results of those steps of a parked delivery that are to be done still: they are not done again."""
    found = connection.execute(
        "SELECT results FROM step WHERE sequence = ? AND sink = ? AND route = ?", parked[:3]
    ).fetchone()
    if found is None:
        return
    (old,) = connection.execute(
        "SELECT shape FROM delivery WHERE sequence = ? AND sink = ? AND route = ?", parked[:3]
    ).fetchone()
    new = next((row.shape for row in rows if (row.sequence, row.sink, row.route) == parked[:3]), "")
    results: dict[str, msgspec.Raw] = msgspec.json.decode(found[0], type=dict[str, msgspec.Raw])
    still = results.keys() if new == old else _done_still(connection, old, new, results)
    connection.execute("DELETE FROM step WHERE sequence = ? AND sink = ? AND route = ?", parked[:3])
    if still:
        kept = msgspec.json.encode({step_id: result for step_id, result in results.items() if step_id in still})
        connection.execute("INSERT INTO step (sequence, sink, route, results) VALUES (?, ?, ?, ?)", [*parked[:3], kept])


def _done_still(connection: Connection, old: str, new: str, done: Iterable[str]) -> Collection[str]:
    texts = [
        text
        for digest in (old, new)
        for (text,) in connection.execute("SELECT definition FROM shape WHERE digest = ?", [digest])
    ]
    return done_still(texts[0], texts[1], done) if len(texts) == 2 else ()


def release(connection: Connection, name: str, pace_s: float, turn: int, now_ms: int) -> int:
    """Let go what a route holds, in its order from ``turn`` on and at its pace; how many.

    It expires by when it was let go.
    """
    row = connection.execute("SELECT next_ms FROM route WHERE name = ?", [name]).fetchone()
    traffic, rows = Traffic(next_ms=row[0] if row else 0), []
    held = connection.execute(
        "SELECT sequence, sink, due_ms, turn FROM delivery WHERE route = ? AND state = 'held' ORDER BY sequence", [name]
    ).fetchall()
    last = 0
    for place, (sequence, sink, wanted_ms, own) in enumerate(held, turn):
        due_ms, _, traffic = admit(Gate(pace_s), traffic, max(wanted_ms, now_ms), now_ms)
        # Its own is behind those of what came with it and was let through, and may be due in the same millisecond.
        last = max(last + 1, own, place + (due_ms - now_ms) * 1000)
        rows.append((due_ms, last, sequence, sink, name))
    connection.executemany(
        "UPDATE delivery SET state = 'pending', settled_ms = NULL, due_ms = ?, turn = ? "
        "WHERE sequence = ? AND sink = ? AND route = ?",
        rows,
    )
    connection.execute(
        "UPDATE route SET held = 0, seen = 0, window_ms = ?, next_ms = ? WHERE name = ?",
        [now_ms, traffic.next_ms, name],
    )
    return len(rows)


def discard(connection: Connection, name: str) -> int:
    """Forget what a route holds; how many."""
    connection.execute("UPDATE route SET held = 0 WHERE name = ?", [name])
    return connection.execute("DELETE FROM delivery WHERE route = ? AND state = 'held'", [name]).rowcount
