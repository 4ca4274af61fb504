"""A random history: one step at a time, every kind of change, over all resources."""

import random
from collections.abc import Callable
from typing import NamedTuple

from poller.simulator.account import Account
from poller.simulator.resources import RESOURCES, Fields

_MOST_TIES = 5
_LATE_SHARE = 0.3
_WORDS = ("Orbit", "Lunar", "Storage", "Transport", "Alpine", "Harbour", "Žiga & Co", "Müller", "東京")


class Step(NamedTuple):
    """One step as it was taken: a kind of ``KINDS``, and the records that it wrote."""

    kind: str
    org: str
    resource: str
    ids: tuple[str, ...]


class Turn(NamedTuple):
    """What a step is taken on: one resource of one organization."""

    account: Account
    rng: random.Random
    org: str
    resource: str
    late_ms: int = 0

    def late(self) -> int:
        """Now and then a delay, up to ``late_ms``."""
        if not self.late_ms or self.rng.random() > _LATE_SHARE:
            return 0
        return self.rng.randint(1, self.late_ms)

    def some(self, *, deleted: bool = False) -> str | None:
        """A random live record, or a tombstone."""
        return self.account.sample(self.rng, self.org, self.resource, deleted=deleted)

    def parent(self) -> str:
        """A price list for a new price, nothing for other records."""
        if self.resource != "prices":
            return ""
        found = self.account.sample(self.rng, self.org, "price_lists")
        return found or self.account.create(self.org, "price_lists")

    def changes(self) -> Fields:
        """One or two realistic fields with other values."""
        return _CHANGES[self.resource](self.rng, self.rng.randint(1, 99_999) / 100)


class History:
    """Random changes of an account, the same for the same ``rng`` and clock.

    With ``late_ms`` some records show up to that much later, with the stamp of their own time.
    ``steps`` is what was done so far.
    """

    def __init__(self, account: Account, rng: random.Random, *, late_ms: int = 0) -> None:
        self.account = account
        self.rng = rng
        self.late_ms = late_ms
        self.steps: list[Step] = []

    def populate(self, records: int) -> None:
        """Give every organization so many records of each resource, and a tenth of that in price lists."""
        for org in self.account.organizations:
            for resource in ("price_lists", *(name for name in RESOURCES if name != "price_lists")):
                turn = Turn(self.account, self.rng, org, resource)
                for _ in range(max(1, records // 10) if resource == "price_lists" else records):
                    _create(turn)

    def step(self) -> Step:
        """Take one random step. Where there is nothing to change, a record is created."""
        org = self.rng.choice(self.account.organizations)
        turn = Turn(self.account, self.rng, org, self.rng.choice(list(RESOURCES)), self.late_ms)
        kind = self.rng.choices(list(KINDS), weights=_WEIGHTS)[0]
        ids = KINDS[kind](turn)
        taken = Step(kind, org, turn.resource, ids) if ids else Step("create", org, turn.resource, _create(turn))
        self.steps.append(taken)
        return taken

    def run(self, steps: int) -> None:
        """Take so many steps."""
        for _ in range(steps):
            self.step()


def _create(turn: Turn) -> tuple[str, ...]:
    fields, parent, late_ms = turn.changes(), turn.parent(), turn.late()
    return (turn.account.create(turn.org, turn.resource, fields, parent=parent, late_ms=late_ms),)


def _update(turn: Turn) -> tuple[str, ...]:
    return _on(turn.some(), lambda one: turn.account.update(turn.org, turn.resource, one, turn.changes()))


def _update_late(turn: Turn) -> tuple[str, ...]:
    def act(one: str) -> None:
        turn.account.update(turn.org, turn.resource, one, turn.changes(), late_ms=turn.late())

    return _on(turn.some(), act)


def _touch(turn: Turn) -> tuple[str, ...]:
    return _on(turn.some(), lambda one: turn.account.touch(turn.org, turn.resource, one))


def _flip_back(turn: Turn) -> tuple[str, ...]:
    """Change a record, and change it back at once."""

    def act(one: str) -> None:
        changes, before = turn.changes(), turn.account.get(turn.resource, one) or {}
        turn.account.update(turn.org, turn.resource, one, changes)
        turn.account.update(turn.org, turn.resource, one, {name: before.get(name) for name in changes})

    return _on(turn.some(), act)


def _soft_delete(turn: Turn) -> tuple[str, ...]:
    return _on(turn.some(), lambda one: turn.account.soft_delete(turn.org, turn.resource, one))


def _hard_delete(turn: Turn) -> tuple[str, ...]:
    return _on(turn.some(), lambda one: turn.account.hard_delete(turn.org, turn.resource, one))


def _restore(turn: Turn) -> tuple[str, ...]:
    return _on(turn.some(deleted=True), lambda one: turn.account.restore(turn.org, turn.resource, one))


def _bulk_create(turn: Turn) -> tuple[str, ...]:
    fields = [turn.changes() for _ in range(turn.rng.randint(2, _MOST_TIES))]
    return tuple(turn.account.bulk_create(turn.org, turn.resource, fields, parent=turn.parent()))


def _bulk_update(turn: Turn) -> tuple[str, ...]:
    ids = {turn.some() for _ in range(turn.rng.randint(2, _MOST_TIES))}
    known = sorted(one for one in ids if one is not None)
    turn.account.bulk_update(turn.org, turn.resource, known, turn.changes())
    return tuple(known)


def _on(one: str | None, act: Callable[[str], object]) -> tuple[str, ...]:
    if one is None:
        return ()
    act(one)
    return (one,)


KINDS: dict[str, Callable[[Turn], tuple[str, ...]]] = {
    "create": _create,
    "update": _update,
    "update_late": _update_late,
    "touch": _touch,
    "flip_back": _flip_back,
    "soft_delete": _soft_delete,
    "hard_delete": _hard_delete,
    "restore": _restore,
    "bulk_create": _bulk_create,
    "bulk_update": _bulk_update,
}
"""The kinds of steps; each answers the ids that it wrote, none where there was nothing to change."""

_WEIGHTS = (20, 25, 5, 8, 4, 12, 4, 5, 4, 4)


def _named(rng: random.Random, _amount: float) -> Fields:
    return {"name": f"{rng.choice(_WORDS)} {rng.choice(_WORDS)} {rng.randint(1, 9999)}"}


_CHANGES: dict[str, Callable[[random.Random, float], Fields]] = {
    "clients": lambda rng, amount: _named(rng, amount) | {"phone": f"+386 1 555 {rng.randint(1000, 9999)}"},
    "documents": lambda rng, amount: {"total": amount, "totalDue": amount, "draft": rng.random() < 0.2},
    "items": lambda rng, amount: _named(rng, amount) | {"price": amount},
    "payments": lambda rng, amount: {"amount": amount, "note": rng.choice(_WORDS)},
    "recurrences": lambda rng, _: {"numRecurrences": rng.randint(1, 48), "notify": rng.random() < 0.5},
    "taxes": lambda rng, amount: _named(rng, amount) | {"recoverable": rng.random() < 0.5},
    "units": _named,
    "categories": lambda rng, amount: _named(rng, amount) | {"description": rng.choice(_WORDS)},
    "price_lists": lambda rng, amount: _named(rng, amount) | {"active": rng.random() < 0.8},
    "prices": lambda _, amount: {"amount": amount},
    "orders": lambda rng, amount: {"status": rng.choice(("open", "paid")), "expectedTotalWithTax": amount},
}
