"""Paging by key: what to ask for next, and whether an answer is what was asked for."""

from collections.abc import Mapping
from typing import Any

from poller.model import Page, format_time
from poller.sources import Incomplete, Sweep

PAGE_RECORDS = 100
"""The API's own limit."""

STAMPS = {"id": True, "updatedAt": True, "_isDeleted": True, "deletedAt": True}
"""The fields of a listing without bodies."""


class Changes:
    """The keyset of an increment: (updatedAt, id)."""

    bodies = True

    def __init__(self, since_ms: int) -> None:
        self._since_ms = since_ms
        self._last: tuple[int, str] | None = None

    def filter(self) -> dict[str, Any]:
        """The LoopBack filter of the next page."""
        return {
            "where": self._where(),
            "order": ["updatedAt ASC", "id ASC"],
            "limit": PAGE_RECORDS,
            "deleted": True,
        }

    def _where(self) -> dict[str, Any]:
        if self._last is None:
            return {"updatedAt": {"gte": format_time(self._since_ms)}}
        stamp, after = format_time(self._last[0]), self._last[1]
        ties = {"and": [{"updatedAt": stamp}, {"id": {"gt": after}}]}
        return {"or": [{"updatedAt": {"gt": stamp}}, ties]}

    def known(self, _records: int) -> Mapping[bytes, str]:
        """Nothing: what did not change is not listed."""
        return {}

    def advance(self, page: Page) -> set[str]:
        """Every key must lie above the one before it, else the page repeats or is not what was asked for.

        The ids of records without a key: those whose stamp is not usable.
        """
        last = self._last or (self._since_ms, "")
        without = set()
        for record in page.records:
            if record.updated_ms is None:
                without.add(record.id)
                continue
            key = (record.updated_ms, record.id)
            if key <= last:
                raise Incomplete(f"the page repeats or is out of order at record {record.id}")
            last = key
        if len(without) < len(page.records):
            self._last = last
        return without


class ById:
    """The keyset of a sweep: the id."""

    def __init__(self, sweep: Sweep) -> None:
        self.bodies = sweep.bodies
        self._known = sweep.known
        self._after = sweep.after

    def filter(self) -> dict[str, Any]:
        """The LoopBack filter of the next page."""
        where = {"where": {"id": {"gt": self._after}}} if self._after else {}
        fields = {} if self.bodies else {"fields": STAMPS}
        return where | fields | {"order": ["id ASC"], "limit": PAGE_RECORDS, "deleted": True}

    def known(self, records: int) -> Mapping[bytes, str]:
        """By their digests, the ids of so many records that are remembered next."""
        return self._known(self._after, records)

    def advance(self, page: Page) -> set[str]:
        """As ``Changes.advance``; each has a key."""
        for one in page.ids:
            if one <= self._after:
                raise Incomplete(f"the page repeats or is out of order at record {one}")
            self._after = one
        return set()
