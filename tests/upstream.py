"""What is before the poller: an account that changes in every way, and the menu of what its API may get wrong."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from mirror import OVERLAP_S, SECOND_MS, Clock

from poller.simulator import Account, faults
from poller.simulator.script import Fault

POLLED = ("clients", "prices")
"""The streams that have polls; price lists are polled with their prices."""

FOLLOWED = ("clients", "price_lists", "prices")
IGNORE = frozenset({"custom.seen"})
LATEST_MS = int(OVERLAP_S * SECOND_MS) * 3 // 4
"""Writes show this much late at most."""


class Change(NamedTuple):
    """One write: what it is done to is chosen by ``pick`` among the records that there are."""

    kind: str
    resource: str
    pick: int
    value: int
    late_ms: int = 0


class World:
    """An account, the changes to it, and what of it was ever deleted."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.account = Account(self.clock)
        self.org = self.account.organizations[0]
        self.deleted: set[str] = set()
        self._ids: dict[str, list[str]] = {name: [] for name in FOLLOWED}

    def change(self, change: Change) -> None:
        with suppress(KeyError):  # a late deletion shows as soon as its record is written to
            CHANGES[change.kind](self, change)

    def some(self, change: Change, *, deleted: bool = False) -> str | None:
        ids = self._tombstones(change.resource) if deleted else sorted(self.account.live(self.org, change.resource))
        return ids[change.pick % len(ids)] if ids else None

    def _tombstones(self, resource: str) -> list[str]:
        known = {one: self.account.get(resource, one) for one in self._ids[resource]}
        return sorted(one for one, body in known.items() if body and body["_isDeleted"])

    def create(self, change: Change) -> None:
        parent = self._parent(change) if change.resource == "prices" else ""
        one = self.account.create(self.org, change.resource, _fields(change), parent=parent, late_ms=change.late_ms)
        self._ids[change.resource].append(one)

    def bulk_create(self, change: Change) -> None:
        parent = self._parent(change) if change.resource == "prices" else ""
        rows = [_fields(change)] * (2 + change.value)
        self._ids[change.resource] += self.account.bulk_create(self.org, change.resource, rows, parent=parent)

    def _parent(self, change: Change) -> str:
        lists = sorted(self.account.live(self.org, "price_lists"))
        if not lists:
            lists = [self.account.create(self.org, "price_lists")]
            self._ids["price_lists"] += lists
        return lists[change.value % len(lists)]

    def update(self, change: Change) -> None:
        if one := self.some(change):
            self.account.update(self.org, change.resource, one, _fields(change), late_ms=change.late_ms)

    def bulk_update(self, change: Change) -> None:
        ids = sorted(self.account.live(self.org, change.resource))
        self.account.bulk_update(self.org, change.resource, ids[change.pick :], _fields(change))

    def touch(self, change: Change) -> None:
        if one := self.some(change):
            self.account.touch(self.org, change.resource, one)

    def flip_back(self, change: Change) -> None:
        if one := self.some(change):
            before = self.account.get(change.resource, one) or {}
            self.account.update(self.org, change.resource, one, _fields(change))
            back = {name: before.get(name) for name in _fields(change)}
            self.account.update(self.org, change.resource, one, back)

    def silently(self, change: Change) -> None:
        """Change a record without a stamp, as the API does with what it derives."""
        if one := self.some(change):
            fields = (self.account.get(change.resource, one) or {}) | _fields(change)
            self.account.put_raw(self.org, change.resource, one, json.dumps(fields).encode())

    def soft_delete(self, change: Change) -> None:
        if one := self.some(change):
            self.deleted.add(one)
            self.account.soft_delete(self.org, change.resource, one, late_ms=change.late_ms)

    def hard_delete(self, change: Change) -> None:
        if one := self.some(change):
            self.deleted.add(one)
            self.account.hard_delete(self.org, change.resource, one)

    def forget_tombstone(self, change: Change) -> None:
        if one := self.some(change, deleted=True):
            self.account.hard_delete(self.org, change.resource, one)

    def purge(self, change: Change) -> None:
        for one in sorted(self.account.live(self.org, change.resource))[change.value :]:
            self.deleted.add(one)
            self.account.hard_delete(self.org, change.resource, one)

    def restore(self, change: Change) -> None:
        if one := self.some(change, deleted=True):
            self.account.restore(self.org, change.resource, one)


def _fields(change: Change) -> dict[str, object]:
    """Another content for each value; two are as equal as JSON and Python can differ."""
    number = (1, 1.0, True, "1", None, 10.5)[change.value % 6]
    own = "amount" if change.resource == "prices" else "name"
    return {own: number, "custom": {"seen": change.value, "tag": change.value // 2, "deep": {"tag": number}}}


SOFT: dict[str, Callable[[World, Change], None]] = {
    "create": World.create,
    "update": World.update,
    "touch": World.touch,
    "flip back": World.flip_back,
    "soft delete": World.soft_delete,
    "restore": World.restore,
    "bulk create": World.bulk_create,
    "bulk update": World.bulk_update,
}
HARD: dict[str, Callable[[World, Change], None]] = {
    "silently": World.silently,
    "hard delete": World.hard_delete,
    "forget tombstone": World.forget_tombstone,
    "purge": World.purge,
}
CHANGES = SOFT | HARD


HONEST: dict[str, Callable[[], Fault]] = {
    "status 500": lambda: faults.server_error,
    "status 502": lambda: faults.bad_gateway,
    "status 503": lambda: faults.maintenance,
    "status 429": lambda: faults.rate_limited("1"),
    "status 401": lambda: faults.unauthorized,
    "status 403": lambda: faults.forbidden,
    "status 404": lambda: faults.organization_gone,
    "reset": lambda: faults.reset,
    "cut": lambda: faults.cut,
    "truncated": lambda: faults.truncated,
    "hang": faults.hang,
    "oversized": lambda: faults.oversized(33 << 20),
    "html": lambda: faults.html,
    "an object": lambda: faults.an_object,
    "shuffled": faults.shuffled,
    "repeated": lambda: faults.repeated,
    "overlapping": faults.overlapping,
    "page of one": lambda: faults.page_cap(1),
    "bad id": lambda: faults.bad_id,
    "number for an id": lambda: faults.number_id,
    "no id": lambda: faults.no_id,
    "lone surrogate": lambda: faults.lone_surrogate,
    "NaN": lambda: faults.not_a_number,
    "not UTF-8": lambda: faults.not_utf8,
    "bare value": lambda: faults.bare_value,
    "no where": lambda: faults.ignores_where,
    "no fields": lambda: faults.ignores_fields,
}
"""Faults that show, or that only cost requests."""

LIES: dict[str, Callable[[], Fault]] = {
    "empty list": lambda: faults.empty_list,
    "same page": faults.same_page,  # the empty one at a listing's end, in place of the next listing's first
    "no tombstones": lambda: faults.ignores_deleted,
    "no date": lambda: faults.no_date,
    "date ahead": lambda: faults.date_off(7200),
    "date behind": lambda: faults.date_off(-7200),
}
"""Faults that look like proper answers: what they hide, a sweep has to find."""

FAULTS = HONEST | LIES
