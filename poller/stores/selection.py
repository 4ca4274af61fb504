"""Which deliveries a command is about."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from sqlite3 import Connection
from typing import NamedTuple

import msgspec


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries are meant; None is all. Times are those of recording, in milliseconds.

    What cannot be undone is meant only if ``destructive``, unless it was never done.
    """

    sink: str | None = None
    event_id: str | None = None
    trigger: str | None = None
    record: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    route: str | None = None
    destructive: bool = False


SELECTED = """
  (:sink IS NULL OR d.sink = :sink) AND (:event_id IS NULL OR e.id = :event_id)
  AND (:trigger IS NULL OR e.trigger GLOB :trigger) AND (:record IS NULL OR e.record = :record)
  AND (:route IS NULL OR d.route = :route)
  AND (:destructive OR d.state <> 'delivered' OR d.shape NOT IN (SELECT digest FROM shape WHERE destructive))
  AND (:since_ms IS NULL OR e.recorded_ms >= :since_ms) AND (:until_ms IS NULL OR e.recorded_ms < :until_ms)
"""


class Chosen(NamedTuple):
    """A delivery that a command is about."""

    sequence: int
    sink: str
    route: str
    state: str


def selected(connection: Connection, selection: Selection, states: Sequence[str]) -> list[Chosen]:
    """The deliveries of these states that are meant, oldest first."""
    found = connection.execute(
        f"""SELECT d.sequence, d.sink, d.route, d.state FROM delivery d JOIN event e USING (sequence)
            WHERE d.state IN (SELECT value FROM json_each(:states)) AND {SELECTED} ORDER BY d.sequence""",
        asdict(selection) | {"states": msgspec.json.encode(states).decode()},
    )
    return [Chosen._make(row) for row in found]
