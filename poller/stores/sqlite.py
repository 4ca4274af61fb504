"""State in one SQLite file: one connection, one writer, every change of it one IMMEDIATE transaction."""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from sqlite_utils import Database

from poller.breaker import Breaker
from poller.diff import Finding
from poller.model import Delivery, Mark, Quarantined, State, Stream
from poller.plan import Target
from poller.pressure import Load
from poller.stores import (
    Decision,
    Keep,
    Standing,
    Step,
    StoreError,
    Verdict,
    departure,
    opening,
    outbox,
    rows,
    upkeep,
)
from poller.stores.bodies import Codec
from poller.stores.selection import Chosen, Selection, selected
from poller.stores.wal import Wal

Reroute = Callable[[str, bytes], Sequence[Target] | None]
"""Where an event, given as its bytes, goes by the route of this name."""

_MARK = "id, updated_ms, digest, state, parent, body"
_STATES = tuple(State)
_SAVE_PROGRESS = f"""
  UPDATE stream SET ({rows.PROGRESS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?), decision = iif(?, NULL, decision)
  WHERE id = ?
"""
_SAVE_BODY = """
  INSERT INTO body VALUES (?, ?, ?)
  ON CONFLICT (id) DO UPDATE SET dictionary = excluded.dictionary, bytes = excluded.bytes
"""
_SAVE_MARK = f"""
  INSERT INTO mark (stream, {_MARK}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (stream, id) DO UPDATE SET
    updated_ms = excluded.updated_ms, digest = excluded.digest, state = excluded.state,
    parent = excluded.parent, body = excluded.body
"""


class SqliteStore:
    """The ``Store`` in the file at ``path``; see ``opening.open_locked`` for when it cannot be opened.

    ``source`` is the name that event ids and types carry.
    """

    def __init__(self, path: Path, source: str, *, accept_loss: bool = False) -> None:
        self._connection, self._lock = opening.open_locked(path, accept_loss=accept_loss)
        self._path = path
        self._wal = Wal(path)
        self._mutex = threading.RLock()
        self._source = source
        self._stream_ids: dict[Stream, int] = {}
        try:
            self._codec = Codec(Database(self._connection))
            (self._last_body,) = self._one("SELECT coalesce(max(id), 0) FROM body")
        except sqlite3.Error as error:
            self._connection.close()
            self._lock.release()
            raise opening.OpeningError(f"{path} cannot be read: {error}") from error

    def close(self) -> None:
        """Leave the state clean; nothing can be called afterwards. Waits for a commit under way."""
        with self._mutex, _as_store_error():
            opening.close(self._connection, self._lock)

    # Streams

    def standing(self, stream: Stream) -> Standing:
        """See ``Store.standing``."""
        with self._reading():
            return rows.standing(self._one(f"SELECT {rows.STANDING} FROM stream WHERE id = ?", self._id(stream)))

    def streams(self) -> list[Standing]:
        """See ``Store.streams``."""
        with self._reading():
            return [
                rows.standing(row) for row in self._all(f"SELECT {rows.STANDING} FROM stream ORDER BY org, resource")
            ]

    def schedule(self, standing: Standing) -> None:
        """See ``Store.schedule``."""
        with self._writing():
            self._run(
                """UPDATE stream SET next_poll_ms = ?, polled_ms = ?, failures = ?, error = ?, suspended = ?
                   WHERE id = ?""",
                standing.next_poll_ms,
                standing.polled_ms,
                standing.failures,
                standing.error,
                standing.suspended,
                self._id(standing.stream),
            )

    def sweep_soon(self, stream: Stream) -> None:
        """See ``Store.sweep_soon``."""
        with self._writing():
            self._run("UPDATE stream SET next_sweep_ms = 0 WHERE id = ?", self._id(stream))

    def decide(self, name: str, decision: Decision) -> bool:
        """Keep the operator's word on the deletions of the stream of this name that wait, for its next poll.

        False if there are none.
        """
        with self._writing():
            sql = """UPDATE stream SET decision = ?, next_poll_ms = 0
                     WHERE org || '/' || resource = ? AND missing > 0"""
            return self._run(sql, decision, name).rowcount > 0

    def pause_stream(self, name: str, *, paused: bool) -> bool:
        """Stop polling the stream of this name until it is resumed; False if there is none."""
        with self._writing():
            sql = "UPDATE stream SET paused = ?, next_poll_ms = 0 WHERE org || '/' || resource = ?"
            return self._run(sql, paused, name).rowcount > 0

    # Marks

    def marks(self, stream: Stream, ids: Collection[str]) -> dict[str, Mark]:
        """See ``Store.marks``."""
        if not ids:
            return {}
        sql = f"SELECT {_MARK} FROM mark WHERE stream = ? AND id IN (SELECT value FROM json_each(?))"
        with self._reading():
            return _marks(self._all(sql, self._id(stream), msgspec.json.encode(list(ids)).decode()))

    def marks_between(self, stream: Stream, after: str, upto: str | None, limit: int = -1) -> dict[str, Mark]:
        """See ``Store.marks_between``."""
        bound = "" if upto is None else "AND id <= ?"
        sql = f"SELECT {_MARK} FROM mark WHERE stream = ? AND id > ? {bound} ORDER BY id LIMIT ?"
        with self._reading():
            limits = (limit,) if upto is None else (upto, limit)
            return _marks(self._all(sql, self._id(stream), after, *limits))

    def missing(self, stream: Stream, after: str, limit: int) -> list[Mark]:
        """See ``Store.missing``."""
        sql = f"SELECT {_MARK} FROM mark WHERE stream = ? AND id > ? AND state = 2 ORDER BY id LIMIT ?"
        with self._reading():
            return list(_marks(self._all(sql, self._id(stream), after, limit)).values())

    def bodies(self, marks: Iterable[Mark]) -> dict[str, bytes]:
        """See ``Store.bodies``."""
        by_number = {mark.body: mark.id for mark in marks if mark.body}
        if not by_number:
            return {}
        sql = "SELECT id, dictionary, bytes FROM body WHERE id IN (SELECT value FROM json_each(?))"
        with self._reading():
            found = self._all(sql, msgspec.json.encode(list(by_number)).decode())
            return {by_number[number]: self._codec.unpack(packed, dictionary) for number, dictionary, packed in found}

    def commit(self, stream: Stream, step: Step, now_ms: int) -> int:
        """See ``Store.commit``."""
        with self._mutex:
            with self._writing():
                number = self._id(stream)
                self._remember(number, stream.resource, step.findings)
                self._quarantine(number, step.quarantined, now_ms)
                outbox.announce(self._connection, self._source, stream, step.outgoing, now_ms)
                self._run(_SAVE_PROGRESS, *rows.progress_row(step.progress), step.decided, number)
                sequence = opening.last_sequence(self._connection)
            if step.outgoing:
                with suppress(OSError):  # it may lag behind
                    self._lock.advance(sequence)
        return len(step.outgoing)

    def _remember(self, number: int, resource: str, findings: Sequence[Finding]) -> None:
        if not findings:
            return
        kept, forgotten, marks = [], [], []
        new = [finding.body for finding in findings if finding.body]
        dictionary = self._codec.dictionary(resource, new) if new else 0
        for _, mark, body, _ in findings:
            place = mark.body
            if body:
                if not place:
                    place = self._last_body = self._last_body + 1
                kept.append((place, dictionary, self._codec.pack(body, dictionary)))
            elif body is not None:
                forgotten.append((number, mark.id))
            marks.append((number, mark.id, mark.updated_ms, mark.digest, mark.state, mark.parent, place))
        run = self._connection.executemany
        run("DELETE FROM body WHERE id = (SELECT body FROM mark WHERE stream = ? AND id = ?)", forgotten)
        run(_SAVE_BODY, kept)
        run(_SAVE_MARK, marks)

    def _quarantine(self, number: int, quarantined: Sequence[Quarantined], now_ms: int) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?)",
            [(number, key, reason, now_ms) for key, reason in quarantined],
        )

    def clear_quarantine(self, stream: Stream, before_ms: int) -> None:
        """See ``Store.clear_quarantine``."""
        with self._writing():
            self._run("DELETE FROM quarantine WHERE stream = ? AND seen_ms < ?", self._id(stream), before_ms)

    def quarantined(self, stream: Stream) -> int:
        """See ``Store.quarantined``."""
        with self._reading():
            return int(self._one("SELECT count(*) FROM quarantine WHERE stream = ?", self._id(stream))[0])

    # Deliveries

    def due(self, sink: str, now_ms: int, limit: int, *, probe: bool = False) -> list[Delivery]:
        """See ``Store.due``."""
        with self._reading():
            return outbox.due(self._connection, sink, now_ms, limit, probe=probe)

    def next_due_ms(self, sink: str, now_ms: int) -> int | None:
        """See ``Store.next_due_ms``."""
        with self._reading():
            found = self._all(outbox.NEXT_DUE, sink, now_ms)
            return int(found[0][0]) if found else None

    def settle(self, sink: str, judge: Callable[[Breaker], Verdict], now_ms: int) -> Verdict:
        """See ``Store.settle``."""
        with self._writing():
            return outbox.settle(self._connection, sink, judge, now_ms)

    def breaker(self, sink: str) -> Breaker:
        """See ``Store.breaker``."""
        with self._reading():
            return outbox.breaker(self._connection, sink)

    def pause(self, sink: str, reason: str, now_ms: int) -> None:
        """Stop a sink until it is resumed; with an empty reason, resume it: closed, and all of it due."""
        with self._writing():
            outbox.pause(self._connection, sink, reason, now_ms)

    def begin(self, batch: Sequence[Delivery]) -> None:
        """See ``Store.begin``."""
        with self._writing():
            outbox.begin(self._connection, batch)

    def again(
        self, selection: Selection, states: Sequence[str], now_ms: int, reroute: Reroute = lambda _, __: None
    ) -> int:
        """Send settled deliveries of these states once more, behind all that is pending; how many.

        Parked ones go through their route as it is now: ``reroute`` gives where an event goes by the route of this
        name, None if there is none; then they go as they were meant, or stay parked where nobody could tell.
        """
        with self._writing():
            kept, count = [], 0
            for chosen in selected(self._connection, selection, states):
                targets = self._rerouted(chosen, reroute) if chosen.state == "parked" and chosen.route else None
                if targets is None and chosen.sink:
                    kept.append(chosen)
                elif targets is not None:
                    turn = outbox.next_turn(self._connection, now_ms)
                    outbox.keep_sequence(self._connection, turn)
                    count += departure.redo(self._connection, chosen, targets, turn, now_ms)
            outbox.again(self._connection, kept, now_ms)
            return count + len(kept)

    def _rerouted(self, parked: Chosen, reroute: Reroute) -> Sequence[Target] | None:
        return reroute(parked.route, *self._one("SELECT body FROM event WHERE sequence = ?", parked.sequence))

    def drop(self, selection: Selection) -> int:
        """Forget parked deliveries; how many."""
        with self._writing():
            meant = selected(self._connection, selection, ["parked"])
            outbox.drop(self._connection, meant)
            return len(meant)

    # Routes

    def keep_shapes(self, shapes: Iterable[tuple[str, str, bool]]) -> None:
        """Keep what deliveries may be made by: digest, definition, and whether it does what cannot be undone."""
        with self._writing():
            self._connection.executemany("INSERT OR IGNORE INTO shape VALUES (?, ?, ?)", shapes)

    def shape(self, digest: str) -> str | None:
        """The definition of this digest."""
        with self._reading():
            row = self._one("SELECT definition FROM shape WHERE digest = ?", digest)
            return row[0] if row else None

    def release(self, route: str, decision: Decision, now_ms: int, pace_s: float = 0.0) -> int:
        """Let go what a route holds, one every ``pace_s``, or forget it; how many deliveries."""
        with self._writing():
            if decision == Decision.REJECT:
                return departure.discard(self._connection, route)
            turn = outbox.next_turn(self._connection, now_ms)
            released = departure.release(self._connection, route, pace_s, turn, now_ms)
            outbox.keep_sequence(self._connection, turn + released)
            return released

    # Upkeep

    def tidy(self, keep: Keep, now_ms: int) -> int:
        """Park what has expired, forget what has served its time, and shrink the file: a chunk of each.

        How much was done, 0 when all is.
        """
        with self._writing():
            upkeep.rewind(self._connection, now_ms)
            expired = upkeep.expire(
                self._connection, recorded_before_ms=now_ms - int(keep.pending_s * 1000), now_ms=now_ms
            )
            pruned = upkeep.prune(
                self._connection,
                delivered_before_ms=now_ms - int(keep.delivered_s * 1000),
                parked_before_ms=now_ms - int(keep.parked_s * 1000),
            )
        with self._mutex, _as_store_error():
            shrunk = upkeep.shrink(self._connection)
        return expired + pruned + shrunk

    def set_back(self, by_ms: int, now_ms: int) -> None:
        """Have all that waits do so by a clock that was set back by so much."""
        with self._writing():
            outbox.set_back(self._connection, by_ms, now_ms)

    def load(self) -> Load:
        """How much there is of what ``pressure`` limits."""
        with self._reading():
            pending = dict(self._all("SELECT sink, count(*) FROM delivery WHERE state = 'pending' GROUP BY sink"))
            return Load(pending, *upkeep.sizes(self._connection, self._path))

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

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._mutex, _as_store_error():
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction that writes from its first statement on, so that it cannot fail half way."""
        with self._mutex, _as_store_error():
            self._run("BEGIN IMMEDIATE")
            try:
                yield
                self._run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._run("ROLLBACK")
                self._stream_ids.clear()
                self._codec.forget()
                raise
            self._wal.shorten(self._connection)


@contextmanager
def _as_store_error() -> Iterator[None]:
    began = monotonic()
    try:
        yield
    except sqlite3.Error as error:
        busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
        waited = f" (waited {monotonic() - began:.1f} s)" if busy else ""
        raise StoreError(f"the state cannot be used now: {error}{waited}") from error


def _marks(found: Iterable[tuple[Any, ...]]) -> dict[str, Mark]:
    return {row[0]: Mark(row[0], row[1], row[2], _STATES[row[3]], row[4], row[5]) for row in found}
