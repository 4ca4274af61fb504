"""State in one SQLite file: what the loops keep in it, and what operators and upkeep do with it."""

from collections.abc import Callable, Iterable, Sequence

from poller.model import Stream
from poller.plan import Target
from poller.pressure import Load
from poller.stores import Decision, Keep, StoreError, Tidied, departure, marks, outbox, pages, streams, upkeep
from poller.stores.loops import LoopStore
from poller.stores.selection import Chosen, Selection, selected

Reroute = Callable[[str, bytes], Sequence[Target] | None]
"""Where an event, given as its bytes, goes by the route of this name."""


class SqliteStore(LoopStore):
    """All that can be done with the state in the file at ``path``; see ``LoopStore``."""

    # Streams

    def decide(self, name: str, decision: Decision) -> bool:
        """Keep the operator's word on the deletions of the stream of this name that wait, for its next poll.

        False if there are none.
        """
        with self._writing():
            return streams.decide(self._connection, name, decision)

    def pause_stream(self, name: str, *, paused: bool) -> bool:
        """Stop polling the stream of this name until it is resumed; False if there is none."""
        with self._writing():
            return streams.pause(self._connection, name, paused=paused)

    def forget(self, stream: Stream) -> None:
        """Forget all records of a stream; when it is polled again it is read in silence."""
        with self._writing():
            marks.forget(self._connection, self._id(stream))
            pages.forget(self._connection, self._id(stream))
            streams.forget(self._connection, self._id(stream))

    def address(self) -> str:
        """Where the API is whose records are remembered; empty if that was never kept."""
        with self._reading():
            return streams.address(self._connection)

    def keep_address(self, new: str) -> None:
        """Keep where it is."""
        with self._writing():
            streams.keep_address(self._connection, new)

    # Deliveries

    def pause(self, sink: str, reason: str, now_ms: int) -> None:
        """Stop a sink until it is resumed; with an empty reason, resume it: closed, and all of it due."""
        with self._writing():
            outbox.pause(self._connection, sink, reason, now_ms)

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
        body, dictionary = self._one("SELECT body, dictionary FROM event WHERE sequence = ?", parked.sequence)
        return reroute(parked.route, self._codec.unpack(body, dictionary))

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

    def tidy(self, keep: Keep, now_ms: int) -> Tidied:
        """Park what has expired, forget what has served its time, and shrink the file: a chunk of each.

        Nothing was done when all is.
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
        with self._reading():
            shrunk = upkeep.shrink(self._connection)
        return Tidied(sum(expired.values()) + pruned + shrunk, expired)

    def set_back(self, by_ms: int, now_ms: int) -> None:
        """Have all that waits do so by a clock that was set back by so much."""
        with self._writing():
            outbox.set_back(self._connection, by_ms, now_ms)

    def load(self) -> Load:
        """How much there is of what ``pressure`` limits."""
        with self._reading():
            pending = dict(self._all("SELECT sink, count(*) FROM delivery WHERE state = 'pending' GROUP BY sink"))
            try:
                return Load(pending, *upkeep.sizes(self._connection, self._path))
            except OSError as error:  # its disk may be gone
                raise StoreError(f"the state cannot be used now: {error}") from error
