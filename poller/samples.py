"""Full example events, made of the example records by the code that makes the real ones."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from poller import envelope
from poller.diff import Rules, compare, differing, digest
from poller.model import Event, Kind, Mark, Record, Resource, Stream, parse_time

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
    marks = {} if kind == Kind.CREATED else {before.id: Mark(before.id, before.updated_ms, digest(before.body))}
    findings, _ = compare(differing([seen], marks), marks, {before.id: before.body}, Rules())
    change = findings[0].change
    if change is None:
        raise ValueError(f"the example of {resource.name} does not differ from its earlier self")
    now_ms = (seen.updated_ms or 0) + 24_319
    name = envelope.trigger(resource, kind)
    return envelope.seal(source, stream, name, change, ordinal=1, sequence=now_ms * 1000, now_ms=now_ms)


def _record(fields: dict[str, Any]) -> Record:
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return Record(fields["id"], parse_time(fields["updatedAt"]), bool(fields["_isDeleted"]), body)
