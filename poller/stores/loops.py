"""What the two loops keep in SQLite: one connection, one writer, every change of it one IMMEDIATE transaction."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from poller.breaker import Breaker
from poller.locate import Ranks, ranked
from poller.model import Delivery, Mark, Stream, Tagged
from poller.notices import SINKS, about
from poller.stores import (
    Outgoing,
    Standing,
    Step,
    Verdict,
    marks,
    opening,
    outbox,
    pages,
    streams,
)
from poller.stores.bodies import Codec
from poller.stores.transaction import Transactions

CHUNK_MARKS = 10_000
"""So many are read at once, in 20 ms: all else waits meanwhile, and a million take most of a second."""


class LoopStore:
    """The ``Store`` in the file at ``path``; see ``opening.open_locked`` for when it cannot be opened.

    ``source`` is the name that event ids and types carry.
    """

    def __init__(self, path: Path, source: str, *, accept_loss: bool = False) -> None:
        self._connection, self._lock = opening.open_locked(path, accept_loss=accept_loss)
        self._path = path
        self._source = source
        self._stream_ids: dict[Stream, int] = {}
        self._transactions = Transactions(self._connection, path, self._undone)
        self._reading, self._writing = self._transactions.reading, self._transactions.writing
        try:
            self._codec = Codec(self._connection)
        except sqlite3.Error as error:
            self._connection.close()
            self._lock.release()
            raise opening.OpeningError(f"{path} cannot be read: {error}") from error

    def close(self) -> None:
        """Leave the state clean; nothing can be called afterwards. Waits for a commit under way."""
        with self._reading():
            opening.close(self._connection, self._lock)

    # Streams

    def standing(self, stream: Stream) -> Standing:
        """See ``Store.standing``."""
        with self._reading():
            return streams.standing(self._connection, self._id(stream))

    def enter(self, entered: Collection[Stream]) -> list[Standing]:
        """See ``Store.enter``."""
        if not set(entered) <= set(self._stream_ids):
            with self._writing():
                self._stream_ids |= streams.enter(self._connection, entered)
        asked = set(entered)
        return [standing for standing in self.streams() if standing.stream in asked]

    def streams(self) -> list[Standing]:
        """See ``Store.streams``."""
        with self._reading():
            return streams.standings(self._connection)

    def schedule(self, standing: Standing, notices: Sequence[Outgoing] = (), now_ms: int = 0) -> None:
        """See ``Store.schedule``."""
        with self._writing():
            streams.schedule(self._connection, self._id(standing.stream), standing)
            self._announce(about(standing.stream), notices, now_ms)

    def sweep_soon(self, stream: Stream) -> None:
        """See ``Store.sweep_soon``."""
        with self._writing():
            self._run("UPDATE stream SET next_sweep_ms = 0 WHERE id = ?", self._id(stream))

    # Marks

    def marks(self, stream: Stream, ids: Collection[str]) -> dict[str, Mark]:
        """See ``Store.marks``."""
        if not ids:
            return {}
        with self._reading():
            return marks.some(self._connection, self._id(stream), ids)

    def marks_between(self, stream: Stream, after: str, upto: str | None, limit: int = -1) -> dict[str, Mark]:
        """See ``Store.marks_between``."""
        with self._reading():
            return marks.between(self._connection, self._id(stream), after, upto, limit)

    def known(self, stream: Stream, parent: str, after: str, limit: int) -> dict[bytes, str]:
        """See ``Store.known``."""
        with self._reading():
            return marks.known(self._connection, self._id(stream), parent, after, limit)

    def live_between(self, stream: Stream, parent: str, after: str, upto: str) -> int:
        """See ``Store.live_between``."""
        with self._reading():
            return marks.live(self._connection, self._id(stream), parent, after, upto)

    def tagged(self, stream: Stream, parent: str, after: str, *, bodies: bool) -> Tagged | None:
        """See ``Store.tagged``."""
        with self._reading():
            return pages.tagged(self._connection, self._id(stream), parent, after, bodies=bodies)

    def missing(self, stream: Stream, after: str, limit: int) -> list[Mark]:
        """See ``Store.missing``."""
        with self._reading():
            return marks.missing(self._connection, self._id(stream), after, limit)

    def ranks(self, stream: Stream, page: int) -> dict[str, Ranks]:
        """See ``Store.ranks``."""
        return ranked(self._live_ids(stream), page)

    def _live_ids(self, stream: Stream) -> Iterator[tuple[str, str]]:
        after = ""
        while chunk := self._live_after(stream, after):
            yield from chunk
            after = chunk[-1][1]

    def _live_after(self, stream: Stream, after: str) -> list[tuple[str, str]]:
        with self._reading():
            return marks.live_after(self._connection, self._id(stream), after, CHUNK_MARKS)

    def bodies(self, of: Iterable[Mark]) -> dict[str, bytes]:
        """See ``Store.bodies``."""
        with self._reading():
            return marks.bodies(self._connection, self._codec, of)

    def commit(self, stream: Stream, step: Step, now_ms: int) -> int:
        """See ``Store.commit``."""
        with self._reading():
            with self._writing():
                number = self._id(stream)
                marks.remember(self._connection, self._codec, number, stream.resource, step.findings)
                marks.quarantine(self._connection, number, step.quarantined, now_ms)
                pages.keep(self._connection, number, step.pages)
                self._announce(stream, step.outgoing, now_ms)
                self._announce(about(stream), step.notices, now_ms)
                streams.advance(self._connection, number, step.progress, decided=step.decided)
                sequence = opening.last_sequence(self._connection)
            if step.outgoing:
                with suppress(OSError):  # it may lag behind
                    self._lock.advance(sequence)
        return len(step.outgoing)

    def _announce(self, stream: Stream, outgoing: Sequence[Outgoing], now_ms: int) -> None:
        outbox.announce(self._connection, self._codec, self._source, stream, outgoing, now_ms)

    def clear_quarantine(self, stream: Stream, before_ms: int) -> None:
        """See ``Store.clear_quarantine``."""
        with self._writing():
            self._run("DELETE FROM quarantine WHERE stream = ? AND seen_ms < ?", self._id(stream), before_ms)

    def quarantined(self, stream: Stream) -> int:
        """See ``Store.quarantined``."""
        with self._reading():
            return int(self._one("SELECT count(*) FROM quarantine WHERE stream = ?", self._id(stream))[0])

    def strangers(self, stream: Stream) -> int:
        """See ``Store.strangers``."""
        with self._reading():
            return marks.strangers(self._connection, self._id(stream))

    # Deliveries

    def due(self, sink: str, now_ms: int, limit: int, *, probe: bool = False) -> list[Delivery]:
        """See ``Store.due``."""
        with self._reading():
            return outbox.due(self._connection, self._codec, sink, now_ms, limit, probe=probe)

    def next_due_ms(self, sink: str, now_ms: int) -> int | None:
        """See ``Store.next_due_ms``."""
        with self._reading():
            found = self._all(outbox.NEXT_DUE, sink, now_ms)
            return int(found[0][0]) if found else None

    def settle(self, sink: str, judge: Callable[[Breaker], Verdict], now_ms: int) -> Verdict:
        """See ``Store.settle``."""
        with self._writing():
            verdict = outbox.settle(self._connection, sink, judge, now_ms)
            self._announce(Stream("", SINKS), verdict.notices, now_ms)
            return verdict

    def breaker(self, sink: str) -> Breaker:
        """See ``Store.breaker``."""
        with self._reading():
            return outbox.breaker(self._connection, sink)

    def begin(self, batch: Sequence[Delivery]) -> None:
        """See ``Store.begin``."""
        with self._writing():
            outbox.begin(self._connection, batch)

    # The connection

    def _id(self, stream: Stream) -> int:
        number = self._stream_ids.get(stream)
        if number is None:
            self._run("INSERT OR IGNORE INTO stream (org, resource) VALUES (?, ?)", *stream)
            (number,) = self._one("SELECT id FROM stream WHERE org = ? AND resource = ?", *stream)
            self._stream_ids[stream] = number
        return number

    def _run(self, sql: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def _one(self, sql: str, *values: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._connection.execute(sql, values).fetchone()
        return row

    def _undone(self) -> None:
        """Forget what was read or made in a transaction that failed."""
        self._stream_ids.clear()
        self._codec.forget()
