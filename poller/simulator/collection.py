"""One listing's records, kept sorted by id and by ``updatedAt`` so that a page of many costs little."""

import json
import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from poller.simulator import where
from poller.simulator.filters import Filter, Order, project
from poller.simulator.resources import Fields, Json

Where = Mapping[str, Json]
_Key = tuple[str, ...]


class Row:
    """One record as it stands: a new row replaces it at each write. Its bytes are made once."""

    __slots__ = ("_body", "deleted", "fields", "id", "stamp")

    def __init__(self, record_id: str, fields: Fields, body: bytes | None = None) -> None:
        self.id = record_id
        self.fields = fields
        self.stamp = str(fields.get("updatedAt") or "")
        self.deleted = fields.get("_isDeleted") is True
        self._body = body

    @property
    def raw(self) -> bool:
        """Whether the bytes were planted and may say other things than the fields."""
        return not self.fields

    def body(self) -> bytes:
        """The record as the API sends it."""
        if self._body is None:
            self._body = encoded(self.fields)
        return self._body


def encoded(value: object) -> bytes:
    """Compact JSON; numbers come out as they were read."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


class Found(NamedTuple):
    """A page of a listing, and how many live records match in all."""

    bodies: list[bytes]
    total: int


class _Index:
    """Sorted keys, and beside each whether its record is live."""

    def __init__(self) -> None:
        self.keys: list[_Key] = []
        self.live = bytearray()

    def add(self, key: _Key, *, live: bool) -> None:
        at = bisect_left(self.keys, key)
        self.keys.insert(at, key)
        self.live.insert(at, live)

    def drop(self, key: _Key) -> None:
        at = bisect_left(self.keys, key)
        del self.keys[at]
        del self.live[at]

    def live_from(self, key: _Key) -> int:
        return self.live.count(1, bisect_left(self.keys, key))

    def ids_from(self, key: _Key) -> Iterator[str]:
        for at in range(bisect_left(self.keys, key), len(self.keys)):
            yield self.keys[at][-1]


class Collection:
    """The records of one listing: an organization's of one resource, or one parent's."""

    def __init__(self, resource: str, org: str = "", parent: str = "") -> None:
        self.resource = resource
        self.org = org
        self.parent = parent
        self.rows: dict[str, Row] = {}
        self._indexes = {"id": _Index(), "updatedAt": _Index()}

    def put(self, row: Row) -> None:
        """Add the record, or replace the one with its id."""
        self.drop(row.id)
        self.rows[row.id] = row
        for name, index in self._indexes.items():
            index.add(_key(name, row), live=not row.deleted)

    def drop(self, record_id: str) -> Row | None:
        """Take the record out without a trace."""
        row = self.rows.pop(record_id, None)
        if row is not None:
            for name, index in self._indexes.items():
                index.drop(_key(name, row))
        return row

    def sample(self, rng: random.Random, *, deleted: bool) -> str | None:
        """The id of a random live record, or of a tombstone; None where there is none."""
        keys = self._indexes["id"].keys
        for _ in range(20):  # cheap, and mostly enough
            record_id = rng.choice(keys)[-1]
            if self.rows[record_id].deleted == deleted:
                return record_id
        rest = [key[-1] for key in keys if self.rows[key[-1]].deleted == deleted]
        return rng.choice(rest) if rest else None

    def find(self, asked: Filter) -> Found:
        """The page asked for; ``total`` leaves tombstones out, whatever the filter says."""
        indexed = _in_index_order(asked.order)
        rows = self._matching(asked.where, asked.order[0][0] if indexed else "id")
        rows = (row for row in rows if asked.deleted or not row.deleted)
        if not indexed:
            rows = iter(_sorted(rows, asked.order))
        page = islice(rows, asked.skip, asked.skip + asked.limit)
        return Found([_shown(row, asked.fields) for row in page], self.count(asked.where))

    def count(self, clause: Where) -> int:
        """How many live records match."""
        begin = where.start(clause)
        if begin is not None:
            return self._indexes[begin[0]].live_from(begin[1])
        name = "updatedAt" if where.lowest(clause, "updatedAt") else "id"
        return sum(1 for row in self._matching(clause, name) if not row.deleted)

    def _matching(self, clause: Where, name: str) -> Iterator[Row]:
        """The records that match, in the order of an index."""
        begin = where.start(clause)
        if begin is not None and begin[0] == name:
            return (self.rows[one] for one in self._indexes[name].ids_from(begin[1]))
        test = where.compiled(clause)
        return (row for row in self._matchable(clause, name) if test(row.fields))

    def _matchable(self, clause: Where, name: str) -> Iterator[Row]:
        named = where.ids(clause)
        if named is not None:
            rows = [self.rows[one] for one in named if one in self.rows]
            return iter(sorted(rows, key=lambda row: _key(name, row)))
        lowest = (where.lowest(clause, name),)
        return (self.rows[one] for one in self._indexes[name].ids_from(lowest))


def _key(name: str, row: Row) -> _Key:
    return (row.id,) if name == "id" else (row.stamp, row.id)


def _in_index_order(order: Order) -> bool:
    return order in ((("id", False),), (("updatedAt", False),), (("updatedAt", False), ("id", False)))


def _sorted(rows: Iterable[Row], order: Order) -> list[Row]:
    """Ordered by each property in turn, ties by id; a missing value comes first, as with MongoDB."""
    ordered = sorted(rows, key=lambda row: row.id)
    for name, descends in reversed(order):
        ordered.sort(key=lambda row, name=name: _rank(row.fields.get(name)), reverse=descends)  # type: ignore[misc]
    return ordered


def _rank(value: Json) -> tuple[int, Json]:
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 3, value
    if isinstance(value, (int, float)):
        return 1, value
    return 2, str(value)


def _shown(row: Row, fields: object) -> bytes:
    if not fields or row.raw:
        return row.body()
    return encoded(project(row.fields, fields))
