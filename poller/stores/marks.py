"""What is remembered of records: marks, last bodies, quarantine. Within a transaction that the store has begun."""

from collections.abc import Collection, Iterable, Sequence
from sqlite3 import Connection
from typing import Any

import msgspec

from poller.diff import Finding
from poller.model import Mark, Quarantined, State
from poller.stores.bodies import Codec

_MARK = "id, updated_ms, digest, state, parent, body"
_STATES = tuple(State)
_SAVE_BODY = "INSERT OR REPLACE INTO body VALUES (?, ?, ?)"
_SAVE_MARK = f"INSERT OR REPLACE INTO mark (stream, {_MARK}) VALUES (?, ?, ?, ?, ?, ?, ?)"


def some(connection: Connection, number: int, ids: Collection[str]) -> dict[str, Mark]:
    """The marks of these records of the stream with this number."""
    sql = f"SELECT {_MARK} FROM mark WHERE stream = ? AND id IN (SELECT value FROM json_each(?))"
    return _marks(connection.execute(sql, [number, _list(ids)]))


def between(connection: Connection, number: int, after: str, upto: str | None, limit: int) -> dict[str, Mark]:
    """The marks with ids above ``after`` and up to ``upto`` (None: to the end), in order of ids."""
    bound = "" if upto is None else "AND id <= ?"
    sql = f"SELECT {_MARK} FROM mark WHERE stream = ? AND id > ? {bound} ORDER BY id LIMIT ?"
    limits = (limit,) if upto is None else (upto, limit)
    return _marks(connection.execute(sql, [number, after, *limits]))


def known(connection: Connection, number: int, parent: str, after: str, limit: int) -> dict[bytes, str]:
    """By digest, the ids above ``after`` of live records, in order of ids."""
    sql = "SELECT digest, id FROM mark WHERE stream = ? AND id > ? AND state = 0 AND parent = ? ORDER BY id LIMIT ?"
    return dict(connection.execute(sql, [number, after, parent, limit]).fetchall())


def live(connection: Connection, number: int, parent: str, after: str, upto: str) -> int:
    """How many live records have ids above ``after`` and up to ``upto``."""
    sql = "SELECT count(*) FROM mark WHERE stream = ? AND id > ? AND id <= ? AND state = 0 AND parent = ?"
    (count,) = connection.execute(sql, [number, after, upto, parent]).fetchone()
    return int(count)


def missing(connection: Connection, number: int, after: str, limit: int) -> list[Mark]:
    """Missing marks with ids above ``after``, in order of ids."""
    sql = f"SELECT {_MARK} FROM mark WHERE stream = ? AND id > ? AND state = 2 ORDER BY id LIMIT ?"
    return list(_marks(connection.execute(sql, [number, after, limit])).values())


def live_after(connection: Connection, number: int, after: str, limit: int) -> list[tuple[str, str]]:
    """The parents and ids of live marks with ids above ``after``, in order of ids."""
    sql = "SELECT parent, id FROM mark WHERE stream = ? AND id > ? AND state = 0 ORDER BY id LIMIT ?"
    return connection.execute(sql, [number, after, limit]).fetchall()


def bodies(connection: Connection, codec: Codec, of: Iterable[Mark]) -> dict[str, bytes]:
    """The last bodies of these marks, by record id."""
    by_number = {mark.body: mark.id for mark in of if mark.body}
    if not by_number:
        return {}
    sql = "SELECT id, dictionary, bytes FROM body WHERE id IN (SELECT value FROM json_each(?))"
    found = connection.execute(sql, [_list(by_number)]).fetchall()
    return {by_number[number]: codec.unpack(packed, dictionary) for number, dictionary, packed in found}


def remember(connection: Connection, codec: Codec, number: int, resource: str, findings: Sequence[Finding]) -> None:
    """Keep the marks and the bodies of findings; forget bodies that are to be forgotten."""
    if not findings:
        return
    places, forgotten, marks = [], [], []
    for _, mark, body, _ in findings:
        place = mark.body
        if body:
            place = place or codec.next_number()
            places.append(place)
        elif body is not None:
            forgotten.append((number, mark.id))
        marks.append((number, mark.id, mark.updated_ms, mark.digest, mark.state, mark.parent, place))
    run = connection.executemany
    run("DELETE FROM body WHERE id = (SELECT body FROM mark WHERE stream = ? AND id = ?)", forgotten)
    dictionary, packed = codec.packed(resource, [finding.body for finding in findings if finding.body])
    run(_SAVE_BODY, [(place, dictionary, body) for place, body in zip(places, packed, strict=True)])
    run(_SAVE_MARK, marks)


def quarantine(connection: Connection, number: int, quarantined: Sequence[Quarantined], now_ms: int) -> None:
    """Enter records that cannot be followed."""
    connection.executemany(
        "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?)",
        [(number, key, reason, now_ms) for key, reason in quarantined],
    )


def strangers(connection: Connection, number: int) -> int:
    """How many records in quarantine are not remembered as live."""
    known = "SELECT id FROM mark WHERE stream = quarantine.stream AND id = quarantine.record AND state = 0"
    sql = f"SELECT count(*) FROM quarantine WHERE stream = ? AND NOT EXISTS ({known})"
    return int(connection.execute(sql, [number]).fetchone()[0])


def forget(connection: Connection, number: int) -> None:
    """Forget all records of a stream."""
    connection.execute("DELETE FROM body WHERE id IN (SELECT body FROM mark WHERE stream = ?)", [number])
    connection.execute("DELETE FROM mark WHERE stream = ?", [number])
    connection.execute("DELETE FROM quarantine WHERE stream = ?", [number])


def _marks(found: Iterable[tuple[Any, ...]]) -> dict[str, Mark]:
    return {
        one: Mark(one, updated_ms, digest, _STATES[state], parent, body)
        for one, updated_ms, digest, state, parent, body in found
    }


def _list(values: Iterable[str | int]) -> str:
    return msgspec.json.encode(list(values)).decode()
