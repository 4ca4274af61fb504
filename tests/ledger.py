"""What the tests know of one poller from outside: all it was shown, all it told, all that its receivers took.

A ``Ledger`` fails at the first event, delivery or acceptance that cannot be:

- An event tells a difference that the API showed, follows from those before it, and has an id of its own (``tell``).
- A delivery of it is pending, parked, or was taken; it is never absent before its time (``keep``, ``forget``).
- A receiver takes what was committed for it, to the byte, in order, and again only for a reason (``take``).
- In the end each receiver has everything, and what it knows of each record is the last word (``complete``).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec
from mirror import Mirror, Told, read_event
from upstream import FOLLOWED, IGNORE, World

from poller.plan import Order
from poller.retry import BLOCKING_ATTEMPTS

Key = tuple[str, str]
"""One event on its way to one sink: the sink's name, the event's id."""

Record = tuple[str, str, str]


class Row(NamedTuple):
    """A delivery as the database has it."""

    state: str
    attempts: int
    settled_ms: int | None
    sequence: int
    turn: int


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _Envelope(msgspec.Struct):
    data: _Data


_envelope = msgspec.json.Decoder(_Envelope).decode


class File:
    """What is true of the file of the state, and goes back with it when a backup is restored.

    ``wanted`` are the events of each sink that its deliveries still have to speak of, ``latest`` the last
    one of each record. ``dropped`` are deliveries that were given up for good: no receiver has to have them.
    """

    def __init__(self, sinks: Iterable[str]) -> None:
        self.mirror = Mirror(dict.fromkeys(FOLLOWED, IGNORE))
        self.told: dict[str, Told] = {}
        self.wanted: dict[str, dict[str, None]] = {sink: {} for sink in sinks}
        self.latest: dict[str, dict[Record, Told]] = {sink: {} for sink in sinks}
        self.dropped: set[Key] = set()
        self.rows: dict[Key, Row] = {}
        self.last = 0

    def copy(self) -> "File":
        """Another of the same; what is in the collections never changes."""
        other = File(self.wanted)
        mirror = other.mirror
        mirror.records, mirror._bytes = dict(self.mirror.records), dict(self.mirror._bytes)
        mirror._sequences = dict(self.mirror._sequences)
        other.told, other.rows, other.last = dict(self.told), dict(self.rows), self.last
        other.wanted = {sink: dict(ids) for sink, ids in self.wanted.items()}
        other.latest = {sink: dict(latest) for sink, latest in self.latest.items()}
        other.dropped = set(self.dropped)
        return other


class Ledger:
    """``file`` is what holds of the state; the rest is what cannot be taken back any more.

    ``look`` reads the deliveries as they are. ``excused`` counts the repeats of a delivery that may come,
    ``repeats`` those that came. ``uncertain`` are records of which a restored backup cannot know what it told
    a sink after it was made.
    """

    def __init__(self, world: World, orders: Mapping[str, Order], look: Callable[[], dict[Key, Row]]) -> None:
        self.file = File(orders)
        self.served: set[bytes] = set()
        self.taken: Counter[Key] = Counter()
        self.excused: Counter[Key] = Counter()
        self.events = self.repeats = self.lost = 0
        self.copies: dict[str, dict[Record, Told]] = {sink: {} for sink in orders}
        self.uncertain: set[tuple[str, Record]] = set()
        self._world = world
        self._orders = orders
        self._look = look
        self._names: dict[tuple[str, str, str, str, bytes], str] = {}
        self._owners: dict[str, Record] = {}
        self._released: set[Key] = set()
        self._behind: dict[Key, set[Key]] = {}
        self._highest: dict[tuple[str, ...], int] = {}

    # What the poller says

    def tell(self, events: Iterable[Told], wanting: Callable[[Told], Iterable[str]]) -> None:
        """Events that were committed, oldest first, for these sinks.

        None tells what no answer of the API showed, or what does not follow from those before it.
        """
        for event in events:
            assert event.sequence > self.file.last, "the sequence does not rise"
            shown = bytes(_envelope(event.raw).data.object)
            assert shown in self.served, "the API never showed this record so"
            name = "_".join(event.id.split("_")[:2])  # without its ordinal
            assert self._names.setdefault((*event.key, event.kind, shown), name) == name, "one change under two ids"
            assert self._owners.setdefault(name, event.key) == event.key, "one id for two records"
            if event.kind == "deleted":
                gone = {event.record_id, event.object.get("priceListId")} & self._world.deleted
                assert gone, f"deleted, but it never was: {event.key}"
            self.file.mirror.fold([event])
            self.file.told[event.id] = event
            self.file.last = event.sequence
            self.events += 1
            for sink in wanting(event):
                self.file.wanted[sink][event.id] = None
                self.file.latest[sink][event.key] = event
                self.file.dropped.discard((sink, event.id))
                self.uncertain.discard((sink, event.key))
                self.excused[sink, event.id] = self.taken[sink, event.id]

    def keep(self, rows: dict[Key, Row]) -> None:
        """The deliveries as they are: each wanted one is pending, parked, or was delivered, which is: taken."""
        expected = {(sink, one) for sink, ids in self.file.wanted.items() for one in ids}
        assert expected <= rows.keys(), f"lost: {sorted(expected - rows.keys())}"
        assert rows.keys() <= expected, f"nobody wanted: {sorted(rows.keys() - expected)}"
        for key, row in rows.items():
            assert row.state != "delivered" or self.taken[key], f"settled, but never taken: {key}"
        self._release(rows)
        self.file.rows = rows

    def _release(self, rows: Mapping[Key, Row]) -> None:
        """From now on these hold nothing back, and may come after what they held back."""
        self._released |= {key for key, row in rows.items() if _is_let_go(row)}

    def forget(self, keys: Iterable[Key], events: Iterable[str] = ()) -> None:
        """These deliveries are no longer kept, in their time or by an operator's word; nor are these events."""
        for sink, one in keys:
            row = self.file.rows[sink, one]
            assert row.state != "pending", f"forgotten while it was pending: {sink} {one}"
            if row.state == "parked":
                self.file.dropped.add((sink, one))
            del self.file.wanted[sink][one]
        for one in events:
            assert not any(one in ids for ids in self.file.wanted.values()), f"an event that is needed is gone: {one}"
            del self.file.told[one], self.file.mirror._bytes[one]

    # What receivers say

    def take(self, sink: str, raw: bytes) -> None:
        """A receiver takes an event: one that was committed for it, its very bytes, not again, and in order."""
        event = read_event(raw)
        key, committed = (sink, event.id), self.file.told.get(event.id)
        assert committed, "sent, but not committed"
        assert committed.raw == raw, "the same id with other bytes"
        assert event.id in self.file.wanted[sink], "sent to a sink that did not want it"
        self.taken[key] += 1
        self.repeats += self.taken[key] > 1
        assert self.taken[key] <= 1 + self.excused[key], f"repeated without need: {key}"
        self._in_order(key, event)
        last = self.copies[sink].get(event.key)
        if last is None or last.sequence <= event.sequence:
            self.copies[sink][event.key] = event

    def _in_order(self, key: Key, event: Told) -> None:
        for other in self._behind.pop(key, ()):
            assert self.taken[other] or self._is_released(other), f"{key} overtook {other}"
        lane = {Order.RECORD: event.key, Order.STREAM: event.key[:2], Order.NONE: (event.id,)}[self._orders[key[0]]]
        highest = self._highest.get((key[0], *lane), 0)
        if self.taken[key] == 1 and event.sequence < highest:
            assert self._is_released(key), f"a later event came before {key}"
        self._highest[key[0], *lane] = max(highest, event.sequence)

    def _is_released(self, key: Key) -> bool:
        if key not in self._released:
            self._release(self._look())
        return key in self._released

    def excuse(self, keys: Iterable[Key]) -> None:
        """These were taken, but the poller cannot know: each may come once more."""
        self.excused.update(keys)

    def lose(self, key: Key) -> None:
        """The receiver's answer to this one, which it took, did not get through."""
        self.lost += 1
        self.excuse([key])

    def orphans(self, sink: str) -> list[Key]:
        """What a receiver took and is still pending: it will be sent again."""
        pending = [key for key, row in self.file.rows.items() if key[0] == sink and row.state == "pending"]
        return [key for key in pending if self.taken[key] > self.excused[key]]

    def again(self, keys: Iterable[Key]) -> None:
        """An operator has these sent again, behind all that is pending now of the same record."""
        pending = [key for key, row in self.file.rows.items() if row.state == "pending"]
        for key in keys:
            if self.taken[key] > self.excused[key]:
                self.excuse([key])
            if self._orders[key[0]] != Order.NONE:
                self._behind[key] = {other for other in pending if other[0] == key[0] and self._same_record(key, other)}

    def _same_record(self, one: Key, other: Key) -> bool:
        return self.file.told[one[1]].key == self.file.told[other[1]].key

    # Backups

    def restore(self, file: File) -> None:
        """The state is an older one: what was told since is told anew, and what was settled since is sent again."""
        for sink, latest in self.file.latest.items():
            self.uncertain |= {(sink, record) for record, event in latest.items() if event.id not in file.told}
        self.file = file.copy()
        self._behind.clear()
        for sink in self._orders:
            self.excuse(self.orphans(sink))

    # At the end

    def complete(self) -> None:
        """Every receiver has every event that it was to get, and the last one of each record is what it knows."""
        for sink, ids in self.file.wanted.items():
            never = [one for one in ids if not self.taken[sink, one]]
            assert not never, f"{sink} never got {never}"
            for record, event in self.file.latest[sink].items():
                if (sink, record) not in self.uncertain and (sink, event.id) not in self.file.dropped:
                    assert self.copies[sink][record].raw == event.raw, f"{sink} has another {record}"


def _is_let_go(row: Row) -> bool:
    return row.state == "parked" or row.attempts >= BLOCKING_ATTEMPTS
