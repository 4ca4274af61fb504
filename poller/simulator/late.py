"""Writes that are stamped already but do not show yet."""

from poller.simulator.collection import Collection, Row


class LateWrites:
    """A queue of rows, each with the time from which it shows. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Collection, Row]] = []

    def add(self, due_ms: int, home: Collection, row: Row) -> None:
        """Keep ``row`` back until ``due_ms``."""
        self._waiting.append((due_ms, home, row))

    def take(self, now_ms: int, record_id: str = "") -> list[tuple[Collection, Row]]:
        """Remove and answer what is due, and whatever waits of one record, first due first."""
        if not self._waiting:
            return []
        due = [entry for entry in self._waiting if entry[0] <= now_ms or entry[2].id == record_id]
        self._waiting = [entry for entry in self._waiting if entry not in due]
        return [(home, row) for _, home, row in sorted(due, key=lambda entry: entry[0])]
