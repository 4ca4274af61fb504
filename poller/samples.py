"""Full example events, made of the example records by the code that makes the real ones."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from poller import envelope
from poller.breaker import Breaker
from poller.diff import Rules, compare, differing, digest
from poller.model import Event, Kind, Mark, Record, Resource, Stream, parse_time
from poller.notices import (
    NOTICES,
    Notice,
    baseline_completed,
    deletions_held,
    sink_turned,
    stream_failing,
    stream_silent,
)
from poller.sources.resources import RESOURCES

_EARLIER: Mapping[str, tuple[str, Any]] = {
    "clients": ("email", "office@orbit-logistics.example"),
    "documents": ("paidInFull", True),
    "items": ("price", 42.0),
    "payments": ("note", "Deposit"),
    "recurrences": ("numRecurrences", 6),
    "taxes": ("name", "VAT"),
    "units": ("phone", "+386 1 555 09 09"),
    "categories": ("description", "Storage"),
    "prices": ("amount", 39.9),
    "orders": ("status", "pending"),
    "price_lists": ("name", "Partners 2024"),
}
"""A field of each example record, and what it was before the example's update."""


def example(source: str, trigger: str) -> Event:
    """The example event of a trigger, whatever it tells of; raises ``KeyError`` for what is none."""
    if trigger in NOTICES:
        notice = _notices()[trigger]
        now_ms = notice.at_ms + 12
        change, sequence = notice.change(), now_ms * 1000
        return envelope.seal(source, notice.stream, trigger, change, ordinal=1, sequence=sequence, now_ms=now_ms)
    singular, _, kind = trigger.rpartition(".")
    return sample(source, next(row for row in RESOURCES.values() if row.singular == singular), Kind(kind))


def _notices() -> Mapping[str, Notice]:
    """One operator event of each trigger."""
    clients, began_ms = Stream("5a3683ea12d5a67dd0ef2f4c", "clients"), 1_782_115_200_000
    down = Breaker(down_ms=began_ms, error="HTTP 503 Service Unavailable")
    told = [
        sink_turned("crm", Breaker(), down, began_ms),
        sink_turned("crm", down, Breaker(), began_ms + 754_000),
        deletions_held(clients, began_ms, missing=312, live=800),
        stream_failing(clients, began_ms, failures=5, denied=False, polled_ms=began_ms - 960_000, reason="HTTP 500"),
        stream_silent(clients, began_ms, began_ms - 367_200_000, 364_000.0),
        baseline_completed(clients, began_ms, live=1112),
    ]
    return {notice.trigger: notice for notice in told if notice}


def sample(source: str, resource: Resource, kind: Kind) -> Event:
    """An event of this kind as a receiver gets it, always the same."""
    now = json.loads(files("poller.examples").joinpath(f"{resource.name}.json").read_bytes())
    stream = Stream(now["organizationId"], resource.name)
    field, value = _EARLIER[resource.name]
    before = _record({**now, field: value, "updatedAt": now["createdAt"]})
    if kind == Kind.DELETED:
        deleted_at = "2025-06-30T10:15:20.431Z"
        now |= {"updatedAt": deleted_at, "_isDeleted": True, "deletedAt": deleted_at, "deletedId": now["id"]}
    seen = _record(now)
    marks = {} if kind == Kind.CREATED else {before.id: Mark(before.id, before.updated_ms, before.digest)}
    findings, _ = compare(differing([seen], marks), marks, {before.id: before.body}, Rules())
    change = findings[0].change
    if change is None:
        raise ValueError(f"the example of {resource.name} does not differ from its earlier self")
    now_ms = (seen.updated_ms or 0) + 24_319
    name = envelope.trigger(resource, kind)
    return envelope.seal(source, stream, name, change, ordinal=1, sequence=now_ms * 1000, now_ms=now_ms)


def _record(fields: dict[str, Any]) -> Record:
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return Record(fields["id"], parse_time(fields["updatedAt"]), bool(fields["_isDeleted"]), body, digest(body))
