"""Remembered and seen, compared: the only place that knows what "changed" means.

The digest decides, the timestamp only steers: a record is updated when its content changed, by text
and not by Python's equality (``True == 1 == 1.0`` there), whatever its ``updatedAt`` says.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from poller.model import Change, Kind, Mark, Quarantined, Record, State, parse_time

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_encode = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode

_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError, ArithmeticError)

STAMP = "updatedAt"
"""The one field that is never content."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a change in one stream.

    ``silent``: a record never seen before makes no event (the first complete listing). ``ignore`` and
    ``rendered`` are dotted paths, see ``model.Resource``.
    """

    silent: bool = False
    ignore: frozenset[str] = frozenset()
    rendered: frozenset[str] = frozenset()


class Finding(NamedTuple):
    """What to remember of one record from now on, and the event that it makes, if any.

    ``was`` is where the record stood before, None if unknown. ``body`` replaces the last body: empty
    forgets it, None keeps it.
    """

    was: State | None
    mark: Mark
    body: bytes | None = None
    change: Change | None = None


def digest(body: bytes) -> bytes:
    """16 bytes that are equal for equal bodies only."""
    return sha256(body).digest()[:16]


def newest(records: Sequence[Record]) -> dict[str, Record]:
    """One record an id: where an answer shows an id twice, the later ``updatedAt`` wins."""
    found: dict[str, Record] = {}
    for record in records:
        other = found.get(record.id)
        if other is None or (record.updated_ms or 0) >= (other.updated_ms or 0):
            found[record.id] = record
    return found


def differing(records: Iterable[Record], marks: Mapping[str, Mark]) -> list[Record]:
    """The whole records whose bytes or state are not those remembered."""
    return [record for record in records if not _as_remembered(record, marks.get(record.id))]


def _as_remembered(record: Record, mark: Mark | None) -> bool:
    if mark is None:
        return record.deleted  # born and deleted between two polls: never known, never told
    expected = State.DELETED if record.deleted else State.LIVE
    return mark.state == expected and mark.digest == digest(record.body)


def suspects(records: Iterable[Record], marks: Mapping[str, Mark]) -> list[Record]:
    """Of records listed without bodies, those to ask for whole: unknown ones and other stamps."""
    return [record for record in records if not _as_stamped(record, marks.get(record.id))]


def _as_stamped(record: Record, mark: Mark | None) -> bool:
    if mark is None:
        return record.deleted
    if record.deleted or mark.state == State.DELETED:
        return record.deleted and mark.state == State.DELETED
    return record.updated_ms == mark.updated_ms


def returned(records: Iterable[Record], marks: Mapping[str, Mark]) -> Iterator[Finding]:
    """Missing records that a listing without bodies shows again, live and unchanged."""
    for record in records:
        mark = marks.get(record.id)
        if mark and mark.state in (State.MISSING, State.DISMISSED) and _as_stamped(record, mark):
            yield Finding(mark.state, mark._replace(state=State.LIVE))


def absent(marks: Iterable[Mark], seen: Iterable[str], parent: str) -> Iterator[Finding]:
    """Live marks that a gapless stretch of a listing did not show: missing until confirmed."""
    shown = set(seen)
    for mark in marks:
        if mark.state == State.LIVE and mark.parent == parent and mark.id not in shown:
            yield Finding(State.LIVE, mark._replace(state=State.MISSING))


def compare(
    records: Iterable[Record],
    marks: Mapping[str, Mark],
    bodies: Mapping[str, bytes],
    rules: Rules,
    parent: str = "",
) -> tuple[list[Finding], list[Quarantined]]:
    """Findings on ``differing`` records, given the last bodies of those that are known.

    A record that cannot be read as JSON content is quarantined and leaves its mark as it was.
    """
    findings, quarantined = [], []
    for record in records:
        try:
            mark = marks.get(record.id)
            findings.append(_compare(record, mark, bodies.get(record.id, b""), rules, parent))
        except _UNREADABLE as error:
            quarantined.append(Quarantined(record.id, f"the record cannot be read: {error}"))
    return findings, quarantined


def _compare(record: Record, mark: Mark | None, last: bytes, rules: Rules, parent: str) -> Finding:
    state = State.DELETED if record.deleted else State.LIVE
    new = Mark(record.id, record.updated_ms, digest(record.body), state, parent, mark.body if mark else 0)
    if mark is None:
        return Finding(None, new, record.body, None if rules.silent else _created(record, rules, "createdAt"))
    if mark.state == State.DELETED:
        if record.deleted:
            return Finding(mark.state, new)
        return Finding(mark.state, new, record.body, _created(record, rules, STAMP))
    if record.deleted:
        return Finding(mark.state, new._replace(body=0), b"", _deleted(record, rules))
    return Finding(mark.state, new, record.body, _updated(record, mark, last, rules))


def vanished(mark: Mark, last: bytes, rules: Rules) -> Finding:
    """The finding on a record that is confirmed to be gone without a tombstone: the last body speaks."""
    try:
        content = _encode(_content(_decode(last), rules.ignore))
    except _UNREADABLE:
        content = last
    change = Change(Kind.DELETED, mark.id, None, mark.updated_ms, digest(content), last)
    return Finding(mark.state, mark._replace(state=State.DELETED, body=0), b"", change)


def _created(record: Record, rules: Rules, stamp: str) -> Change:
    record_now = _decode(record.body)
    time_ms = parse_time(record_now.get(stamp))
    content = digest(_encode(_content(record_now, rules.ignore)))
    return Change(Kind.CREATED, record.id, time_ms, record.updated_ms, content, record.body)


def _deleted(record: Record, rules: Rules) -> Change:
    tombstone = _decode(record.body)
    time_ms = parse_time(tombstone.get("deletedAt")) or record.updated_ms
    content = digest(_encode(_content(tombstone, rules.ignore)))
    return Change(Kind.DELETED, record.id, time_ms, record.updated_ms, content, record.body)


def _updated(record: Record, mark: Mark, last: bytes, rules: Rules) -> Change | None:
    """A save that changed nothing, or what the API renders anew by itself, is no update."""
    now, before = _decode(record.body), _decode(last)
    moved = record.updated_ms != mark.updated_ms
    skipped = rules.ignore if moved else rules.ignore | rules.rendered
    paths = dict(_differences(before, now, skipped | {STAMP}, ""))
    if not paths:
        return None
    previous = _encode({path: old for path, old in paths.items() if old is not _ABSENT})
    content = digest(_encode(_content(now, rules.ignore)))
    return Change(
        Kind.UPDATED, record.id, record.updated_ms, record.updated_ms, content, record.body, tuple(paths), previous
    )


def _content(value: dict[str, Any], ignore: frozenset[str]) -> dict[str, Any]:
    return {key: item for key, item in _kept(value, ignore, "").items() if key != STAMP}


def _kept(value: dict[str, Any], ignore: frozenset[str], prefix: str) -> dict[str, Any]:
    if not any(path.startswith(prefix) for path in ignore):
        return value
    return {
        key: _kept(item, ignore, f"{prefix}{key}.") if isinstance(item, dict) else item
        for key, item in value.items()
        if prefix + key not in ignore
    }


_ABSENT = object()
_PLAIN = frozenset({str, int, bool, type(None)})


def _differences(
    old: dict[str, Any], new: dict[str, Any], skipped: frozenset[str], prefix: str
) -> Iterator[tuple[str, Any]]:
    """Changed paths with their old values, in the order of the new record, then what is gone from it."""
    for key in (*new, *(key for key in old if key not in new)):
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if type(before) in _PLAIN and type(before) is type(after) and before == after:
            continue  # most are, so this comes first
        path = prefix + key
        if path in skipped:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after, skipped, f"{path}.")
        elif not _same(before, after):
            yield path, before


def _same(before: object, after: object) -> bool:
    """Equal as JSON text: 10.10 is not 10.1, true is not 1."""
    if type(before) is not type(after):
        return False
    if isinstance(before, (list, Decimal)):
        return _encode(before) == _encode(after)
    return before == after


def holds(missing: int, live: int) -> bool:
    """Whether so many missing beside so many live ones are too many to believe without a person.

    More than 10 records and more than 20 % of the stream at once: the guard against an API that
    answers with too little.
    """
    return missing > 10 and missing * 5 > missing + live
