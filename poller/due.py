"""Whose turn comes next, of many: a heap in which a turn can be moved and dropped. No clock, no threads."""

from heapq import heapify, heappop, heappush

ROOM = 1024
"""So many turns that were moved or dropped may lie in the heap before it is made anew, or as many as are planned."""


class Due:
    """Turns by name, each at a time of its own, in milliseconds; one a name."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._times)

    def put(self, name: str, time_ms: int) -> None:
        """Plan a turn; the one of this name that was planned before is replaced."""
        if self._times.get(name) != time_ms:
            self._times[name] = time_ms
            heappush(self._heap, (time_ms, name))
        if len(self._heap) > 2 * len(self._times) + ROOM:
            self._heap = [(at_ms, one) for one, at_ms in self._times.items()]
            heapify(self._heap)

    def drop(self, name: str) -> None:
        """Plan none for this name; nothing where there is none."""
        self._times.pop(name, None)

    def next_ms(self) -> int | None:
        """When the next turn is; None where there is none."""
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now_ms: int) -> str | None:
        """Whose turn has come, the one that waits for longest; it is planned no more. None where none has."""
        next_ms = self.next_ms()
        if next_ms is None or next_ms > now_ms:
            return None
        _, name = heappop(self._heap)
        del self._times[name]
        return name

    def shift(self, by_ms: int) -> None:
        """Move every turn by so much."""
        self._times = {name: time_ms + by_ms for name, time_ms in self._times.items()}
        self._heap = [(time_ms, name) for name, time_ms in self._times.items()]
        heapify(self._heap)
