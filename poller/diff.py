"""Remembered and seen, compared: the only place that knows what "changed" means.

The digest decides, the timestamp only steers: a record is updated when its content changed, by text
and not by Python's equality (``True == 1 == 1.0`` there), whatever its ``updatedAt`` says.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple, TypeGuard

import msgspec

from poller.model import Change, Kind, Mark, Quarantined, Record, State, parse_time

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_texts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder(float_hook=Decimal).decode
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
    return mark.state == expected and mark.digest == record.digest


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
    new = Mark(record.id, record.updated_ms, record.digest, state, parent, mark.body if mark else 0)
    if mark is None:
        return Finding(None, new, record.body, None if rules.silent else _created(record, rules))
    if mark.state == State.DELETED:
        if record.deleted:
            return Finding(mark.state, new)
        return Finding(mark.state, new, record.body, _created(record, rules, again=True))
    if record.deleted:
        return Finding(mark.state, new._replace(body=0), b"", _deleted(record, rules))
    return Finding(mark.state, new, record.body, _updated(record, mark, last, rules))


def vanished(mark: Mark, last: bytes, rules: Rules) -> Finding:
    """The finding on a record that is confirmed to be gone without a tombstone: the last body speaks."""
    try:
        content = _digest(_content(last), rules.ignore)
    except _UNREADABLE:
        content = digest(last)
    change = Change(Kind.DELETED, mark.id, None, mark.updated_ms, content, last)
    return Finding(mark.state, mark._replace(state=State.DELETED, body=0), b"", change)


def _created(record: Record, rules: Rules, *, again: bool = False) -> Change:
    """The first sight of a record, or of one that was deleted: it has no stamp of its own for coming back."""
    content = _content(record.body)
    time_ms = record.updated_ms if again else parse_time(content.get("createdAt"))
    return Change(Kind.CREATED, record.id, time_ms, record.updated_ms, _digest(content, rules.ignore), record.body)


def _deleted(record: Record, rules: Rules) -> Change:
    content = _content(record.body)
    time_ms = parse_time(content.get("deletedAt")) or record.updated_ms
    return Change(Kind.DELETED, record.id, time_ms, record.updated_ms, _digest(content, rules.ignore), record.body)


def _updated(record: Record, mark: Mark, last: bytes, rules: Rules) -> Change | None:
    """A save that changed nothing, or what the API renders anew by itself, is no update."""
    moved = record.updated_ms != mark.updated_ms
    skipped = rules.ignore if moved else rules.ignore | rules.rendered
    paths = dict(_differences(_texts(last), _texts(record.body), skipped | {STAMP}, ""))
    if not paths:
        return None
    previous = _encode({path: old for path, old in paths.items() if old is not None})
    content = _digest(_content(record.body), rules.ignore)
    return Change(
        Kind.UPDATED, record.id, record.updated_ms, record.updated_ms, content, record.body, tuple(paths), previous
    )


def _content(body: bytes) -> dict[str, Any]:
    """What a record says, but for its stamp."""
    fields = _decode(body)
    fields.pop(STAMP, None)
    return fields


def _digest(content: dict[str, Any], ignore: frozenset[str]) -> bytes:
    """The canonical digest: key order and ignored paths do not count."""
    return digest(_encode(_kept(content, ignore, "")))


def _kept(value: dict[str, Any], ignore: frozenset[str], prefix: str) -> dict[str, Any]:
    if not any(path.startswith(prefix) for path in ignore):
        return value
    return {
        key: _kept(item, ignore, f"{prefix}{key}.") if isinstance(item, dict) else item
        for key, item in value.items()
        if prefix + key not in ignore
    }


Texts = Mapping[str, msgspec.Raw]
"""The fields of an object, each as its JSON text."""


def _differences(
    old: Texts, new: Texts, skipped: frozenset[str], prefix: str
) -> Iterator[tuple[str, msgspec.Raw | None]]:
    """Changed paths with their old values, in the order of the new record, then what is gone from it."""
    other = [key for key, text in new.items() if old.get(key) != text]  # few are, and only these are looked into
    gone = [] if old.keys() <= new.keys() else [key for key in old if key not in new]
    for key in (*other, *gone):
        path, before, after = prefix + key, old.get(key), new.get(key)
        if path in skipped:
            continue
        if _is_object(before) and _is_object(after):
            yield from _differences(_texts(before), _texts(after), skipped, f"{path}.")
        elif before is None or after is None or _canonical(before) != _canonical(after):
            yield path, before


def _is_object(text: msgspec.Raw | None) -> TypeGuard[msgspec.Raw]:
    return text is not None and bytes(text).startswith(b"{")


def _canonical(text: msgspec.Raw) -> bytes:
    """The same for texts that mean the same: key order, escapes and blanks do not count, 10.10 is not 10.1."""
    return _encode(_value(text))


def holds(missing: int, live: int) -> bool:
    """Whether so many missing beside so many live ones are too many to believe without a person.

    More than 10 records and more than 20 % of the stream at once: the guard against an API that
    answers with too little.
    """
    return missing > 10 and missing * 5 > missing + live
