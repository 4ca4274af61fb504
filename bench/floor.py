"""The floor: what no program in Python that does this work can leave out, by bare msgspec, sqlite3 and httpx.

It lists the same pages, cuts them, hashes every record, compares with a dict, and writes what changed: a snapshot with
the body, and for what is told an event with the body; each page is one transaction, as durable as poller's. It has no
schedule, no retries, no limits; it resumes nowhere, compares no fields, and delivers nothing.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import httpx
import msgspec
from figures import Timing, timed
from listing import STREAM

Ask = Callable[[str], bytes]
"""Gives the page that follows an id; the first one follows the empty id, and an empty one the last."""

Row = tuple[str, str, bytes, bytes]
"""A record as it is remembered: id, ``updatedAt``, digest, body."""


class Head(msgspec.Struct):
    """The fields that are needed of each record."""

    id: str
    updatedAt: str  # noqa: N815 - named by the API


_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_heads = msgspec.json.Decoder(list[Head]).decode

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE snapshot (id TEXT PRIMARY KEY, updated TEXT, digest BLOB, body BLOB);
CREATE TABLE event (sequence INTEGER PRIMARY KEY, record TEXT, updated TEXT, body BLOB);
"""
_SNAPSHOT = """
INSERT INTO snapshot VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET updated = excluded.updated, digest = excluded.digest, body = excluded.body
"""
_EVENT = "INSERT INTO event (record, updated, body) VALUES (?, ?, ?)"


def prepared(pages: Iterable[bytes]) -> Ask:
    """Pages that are there already."""
    rest = iter(pages)
    return lambda _after: next(rest, b"[]")


def fetched(client: httpx.Client, address: str, *, bodies: bool = True) -> Ask:
    """Pages as the server at ``address`` gives them."""
    listing = f"{address}/v1/Organizations/{STREAM.org}/{STREAM.resource}?filter="
    fields = {} if bodies else {"fields": {"id": True, "updatedAt": True, "_isDeleted": True, "deletedAt": True}}
    rest = fields | {"order": ["id ASC"], "limit": 100, "deleted": True}

    def ask(after: str) -> bytes:
        where = {"where": {"id": {"gt": after}}} if after else {}
        return client.get(listing + quote(msgspec.json.encode(where | rest), safe="")).raise_for_status().content

    return ask


class Floor:
    """The same works as ``core.Poller`` has, on the pages that these give; each answers what it took."""

    def __init__(self, first: Callable[[], Ask], stamps: Callable[[], Ask], second: Callable[[], Ask]) -> None:
        self._first, self._stamps, self._second = first, stamps, second
        self._known = {head.id: (head.updatedAt, digest) for head, digest, _ in _records(first())}

    def idle(self) -> Timing:
        """Hash every record and find nothing."""
        ask = self._first()
        with timed() as timing:
            _expect(sum(1 for page in _pages(ask) if _changed(page, self._known)), 0)
        return timing

    def ids(self) -> Timing:
        """Compare every stamp and find nothing."""
        ask, after, changed = self._stamps(), "", 0
        known = {one: stamp for one, (stamp, _) in self._known.items()}
        with timed() as timing:
            while heads := _heads(ask(after)):
                after = heads[-1].id
                changed += sum(1 for head in heads if known.get(head.id) != head.updatedAt)
        _expect(changed, 0)
        return timing

    def new(self) -> Timing:
        """Remember every record."""
        with _database() as database:
            return self._write(database, self._first(), {}, tell=False)

    def announced(self) -> Timing:
        """Remember every record, and enter an event for it."""
        with _database() as database:
            return self._write(database, self._first(), {}, tell=True)

    def changed(self) -> Timing:
        """Remember every record anew, and enter an event for it."""
        with _database() as database:
            self._write(database, self._first(), {}, tell=False)
            return self._write(database, self._second(), self._known, tell=True)

    def _write(
        self, database: sqlite3.Connection, ask: Ask, known: Mapping[str, tuple[str, bytes]], *, tell: bool
    ) -> Timing:
        written = 0
        with timed() as timing:
            for page in _pages(ask):
                rows = _changed(page, known)
                written += len(rows)
                database.execute("BEGIN IMMEDIATE")
                database.executemany(_SNAPSHOT, rows)
                if tell:
                    database.executemany(_EVENT, [(one, stamp, body) for one, stamp, _, body in rows])
                database.execute("COMMIT")
        _expect(written, len(self._known))
        return timing


def _pages(ask: Ask) -> Iterator[tuple[list[Head], list[bytes]]]:
    after = ""
    while heads := _heads(page := ask(after)):
        after = heads[-1].id
        yield heads, [bytes(raw) for raw in _raws(page)]


def _records(ask: Ask) -> Iterator[tuple[Head, bytes, bytes]]:
    for heads, bodies in _pages(ask):
        for head, body in zip(heads, bodies, strict=True):
            yield head, sha256(body).digest()[:16], body


def _changed(page: tuple[list[Head], list[bytes]], known: Mapping[str, tuple[str, bytes]]) -> list[Row]:
    """The records of a page whose bytes are not those that are known."""
    changed = []
    for head, body in zip(*page, strict=True):
        digest = sha256(body).digest()[:16]
        before = known.get(head.id)
        if before is None or before[1] != digest:
            changed.append((head.id, head.updatedAt, digest, body))
    return changed


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    with (
        TemporaryDirectory(prefix="poller-bench-") as folder,
        closing(sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)) as database,
    ):
        database.executescript(_SCHEMA)
        yield database


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise AssertionError(f"the floor found {found} changes, not {wanted}")
