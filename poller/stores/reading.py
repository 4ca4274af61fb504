"""What a command reads of the state while a poller runs, or does not: a connection that cannot write."""

import errno
import os
import sqlite3
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from poller.breaker import Breaker
from poller.stores import Standing, StoreError, invariants, rows, streams, upkeep
from poller.stores.bodies import Codec
from poller.stores.figures import Figures, figures
from poller.stores.opening import ForeignError, LostError, NoStateError, OpeningError, folder
from poller.stores.selection import SELECTED, Selection, selected
from poller.stores.version import APPLICATION_ID, VERSION


class Backlog(NamedTuple):
    """How a sink's deliveries stand; times in milliseconds, None where there is nothing."""

    sink: str
    pending: int
    parked: int
    delivered: int
    oldest_ms: int | None
    delivered_ms: int | None
    breaker: Breaker


class Stored(NamedTuple):
    """An event as it lies in the outbox."""

    sequence: int
    id: str
    trigger: str
    recorded_ms: int
    body: bytes


class Totals(NamedTuple):
    """How many streams there are, how many of them are in trouble, and how many deliveries are pending."""

    streams: int
    failing: int
    held: int
    paused: int
    pending: int


def _see(path: Path) -> None:
    """See that there is a file, and that it may be read; raises ``OpeningError``."""
    why = None
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise OpeningError(folder(path))
        why = None if os.access(path, os.R_OK) else os.strerror(errno.EACCES)
    except (FileNotFoundError, NotADirectoryError):
        told = f"there is no state at {path}: nothing has been polled yet, or [state] path is another"
        raise NoStateError(told) from None
    except OSError as error:
        why = error.strerror
    if why is not None:
        raise OpeningError(f"{path} cannot be read: {why}; only the user that poller runs as can, and root")


class View:
    """The state at ``path``, to be read; a context manager.

    Raises ``opening.OpeningError`` where there is none or it is not ours. Each call is short, so that it does not
    keep a poller's log from being folded in. What SQLite cannot do or read ends the block with ``StoreError``
    or ``LostError``.
    """

    def __init__(self, path: Path) -> None:
        _see(path)
        try:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            self._connection.execute("PRAGMA busy_timeout = 5000")
            (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        except sqlite3.Error as error:
            raise LostError(f"{path} cannot be read: {error}") from error
        if application != APPLICATION_ID:
            self._connection.close()
            raise ForeignError(f"{path} is not a poller's state")
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with closing(self._connection):
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(f"{self._path} cannot be read now: {self._version() or error}") from error
        if isinstance(error, sqlite3.DatabaseError):
            raise LostError(f"{self._path} is damaged: {error}") from error

    def _version(self) -> str:
        """Why what this version looks for may not be there; empty where it should be."""
        with suppress(sqlite3.Error):
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version < VERSION:
                return "an older poller wrote it; start this one, which brings it up to date"
            if version > VERSION:
                return "a newer poller wrote it; use the commands of that version"
        return ""

    def _query(self, sql: str, values: Sequence[Any] | dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """What a statement finds, by the names of its columns."""
        from sqlite_utils import Database  # noqa: PLC0415 - 30 ms; most commands do without

        return list(Database(self._connection).query(sql, values))

    def rows(self, sql: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        """What a statement of this package finds."""
        return self._connection.execute(sql, values).fetchall()

    def streams(self) -> list[Standing]:
        """All streams ever followed."""
        found = self._connection.execute(f"SELECT {rows.STANDING} FROM stream ORDER BY org, resource")
        return [rows.standing(row) for row in found]

    def address(self) -> str:
        """Where the API is whose records are remembered; empty if that was never kept."""
        return streams.address(self._connection)

    def totals(self, resources: Collection[str]) -> Totals:
        """How it goes with the streams of these resources, and with all deliveries, in numbers."""
        row = self._connection.execute(
            """SELECT count(*), coalesce(sum(failures > 0), 0), coalesce(sum(held_ms IS NOT NULL), 0),
                 coalesce(sum(paused), 0), (SELECT count(*) FROM delivery WHERE state = 'pending')
               FROM stream WHERE resource IN (SELECT value FROM json_each(?))""",
            [msgspec.json.encode(list(resources)).decode()],
        ).fetchone()
        return Totals(*row)

    def quarantined(self) -> list[dict[str, Any]]:
        """Records that cannot be followed, with their reasons."""
        return self._query(
            "SELECT org || '/' || resource AS stream, record, reason, seen_ms FROM quarantine "
            "JOIN stream ON stream.id = quarantine.stream ORDER BY 1, 2"
        )

    def backlogs(self) -> list[Backlog]:
        """Every sink that ever had a delivery."""
        found = self._connection.execute(
            """WITH waiting AS (
                 SELECT sink, count(*) AS pending, min(sequence) AS oldest
                 FROM delivery WHERE state = 'pending' GROUP BY sink),
               given_up AS (SELECT sink, count(*) AS parked FROM delivery WHERE state = 'parked' GROUP BY sink),
               names AS (
                 SELECT sink AS name FROM waiting UNION SELECT sink FROM given_up WHERE sink <> ''
                 UNION SELECT name FROM sink)
               SELECT names.name, coalesce(pending, 0), coalesce(parked, 0), coalesce(delivered, 0),
                 (SELECT recorded_ms FROM event WHERE sequence = oldest),
                 delivered_ms, coalesce(breaker, '{}')
               FROM names LEFT JOIN waiting ON waiting.sink = names.name
                 LEFT JOIN given_up ON given_up.sink = names.name LEFT JOIN sink ON sink.name = names.name
               ORDER BY 1"""
        )
        return [Backlog._make([*row[:-1], msgspec.json.decode(row[-1], type=Breaker)]) for row in found]

    def figures(self, now_ms: int, *, organizations: bool = False) -> Figures:
        """How much there is of everything, as sums; of each organization if they are to be told apart."""
        return figures(self._connection, self._path, now_ms, organizations=organizations)

    def unfinished(self, now_ms: int) -> dict[str, int]:
        """How many deliveries of each sink should have been made, which leaves out those that a route puts off."""
        found = self._connection.execute(
            "SELECT sink, count(*) FROM delivery WHERE state = 'pending' AND turn <= ? * 1000 GROUP BY sink", [now_ms]
        )
        return dict(found)

    def parked(self, selection: Selection) -> list[dict[str, Any]]:
        """Parked deliveries, oldest first, a thousand at most."""
        return self._query(
            f"""SELECT d.sink, d.route, e.id, e.trigger, d.attempts, d.error, d.settled_ms
                FROM delivery d JOIN event e USING (sequence)
                WHERE d.state = 'parked' AND {SELECTED} ORDER BY d.sequence LIMIT 1000""",
            asdict(selection),
        )

    def held(self) -> list[dict[str, Any]]:
        """How many deliveries each route holds, where it holds any."""
        return self._query(
            "SELECT route, count(*) AS held FROM delivery WHERE state = 'held' GROUP BY route ORDER BY route"
        )

    def count(self, selection: Selection, states: Sequence[str]) -> int:
        """How many deliveries of these states are meant."""
        return len(selected(self._connection, selection, states))

    def event(self, event_id: str) -> Stored | None:
        """The event of this id, if it is still kept."""
        return next(iter(self.events("WHERE id = :id", {"id": event_id})), None)

    def deliveries(self, event_id: str) -> list[dict[str, Any]]:
        """How the deliveries of an event stand."""
        return self._query(
            "SELECT sink, route, state, attempts, troubles, error FROM delivery "
            "WHERE sequence = (SELECT sequence FROM event WHERE id = ?) ORDER BY sink",
            [event_id],
        )

    def damage(self) -> str:
        """What a quick look at the whole database finds damaged; empty if nothing."""
        (answer,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        return "" if answer == "ok" else str(answer).splitlines()[-1]

    def violations(self) -> Iterator[str]:
        """What is wrong with the state; nothing if it is well."""
        return invariants.violations(self._connection)

    def last(self, trigger: str, limit: int) -> list[Stored]:
        """The newest events whose trigger matches a pattern such as ``client.*``, oldest of them first."""
        values = {"trigger": trigger, "limit": limit}
        return self.events("WHERE trigger GLOB :trigger ORDER BY sequence DESC LIMIT :limit", values)[::-1]

    def after(self, trigger: str, sequence: int) -> list[Stored]:
        """Events of a higher sequence, oldest first, a thousand at most."""
        values = {"trigger": trigger, "sequence": sequence}
        return self.events("WHERE sequence > :sequence AND trigger GLOB :trigger ORDER BY sequence LIMIT 1000", values)

    def events(self, chosen: str, values: Mapping[str, object]) -> list[Stored]:
        """The events of a ``WHERE`` or an ``ORDER BY``."""
        found = self.rows(f"SELECT sequence, id, trigger, recorded_ms, body, dictionary FROM event {chosen}", values)
        codec = Codec(self._connection)
        return [Stored._make([*row[:4], codec.unpack(*row[4:])]) for row in found]

    def backup(self, target: Path) -> None:
        """Write a consistent, checked copy to ``target``; a poller goes on meanwhile. Raises ``StoreError``."""
        beside = {f"{self._path.name}{end}" for end in ("", "-wal", "-shm", ".lock", ".sock")}
        if target.name in beside and target.parent.resolve() == self._path.parent.resolve():
            raise StoreError(f"{target} belongs to the state itself; name another file")
        try:
            upkeep.backup(self._connection, target)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{target} cannot be written: {error}") from error

    def copy(self, target: Path) -> None:
        """Make a consistent copy of the whole state."""
        with closing(sqlite3.connect(target)) as connection:
            self._connection.backup(connection)
