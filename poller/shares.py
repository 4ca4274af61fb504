"""The budget at work: which streams are polled when, by the wall clock and from several threads."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple

from poller.allotment import REPRICE_S, Allotment
from poller.budget import Bounds, History
from poller.model import Stream
from poller.plan import Watch

SHORTEST_S = 5.0
"""No stream is polled more often than this, however much is expected of it."""
MOST_OF_IT = 0.95
"""So much of the budget is planned; the rest is for what nobody plans: retries, decisions, looks for organizations."""
EACH_S = 0.01
"""For each stream, by so much later the next price is found: that costs some microseconds a stream."""
PAGE = 100
"""A poll that found more has not seen the end of it: it is followed by the next as soon as can be."""


class Move(NamedTuple):
    """A stream whose turn comes at another time now."""

    stream: Stream
    time_ms: int


class Requests(NamedTuple):
    """How many requests a second the key may make, and how many refusals have left of that; the budget, if any."""

    allowed: float
    rate: float
    budget: float | None


class Span(NamedTuple):
    """The shortest and the longest planned interval of some streams."""

    shortest_s: float
    longest_s: float


class Shares:
    """``Allotment`` in milliseconds since 1970, for any thread. What polls may take together is ``requests_s``.

    ``missing`` is how many it would take to keep the longest intervals, where that is more than there is; else 0.
    ``spans`` are the intervals that were planned when the price was found last, by resource; streams in trouble are
    not among them.
    """

    def __init__(self, requests_s: float) -> None:
        self._allotment = Allotment()
        self._requests_s = requests_s
        self.missing = 0.0
        self.spans: Mapping[str, Span] = {}
        self._lock = Lock()
        self._busy: set[Stream] = set()
        self._well: set[Stream] = set()
        self._stirred: set[Stream] = set()

    def follow(self, stream: Stream, history: History, watch: Watch) -> None:
        """Give a stream its part from now on; nothing new where it has one."""
        with self._lock:
            if self._allotment.follows(stream):
                return
            longest_s = max(watch.longest_s, 2 * SHORTEST_S)
            self._allotment.follow(stream, history, Bounds(SHORTEST_S, longest_s))

    def leave(self, stream: Stream) -> None:
        """Give a stream no part any more."""
        with self._lock:
            self._allotment.leave(stream)
            self._well.discard(stream)

    @contextmanager
    def polling(self, stream: Stream) -> Iterator[None]:
        """While a stream is polled, nobody else moves its turn."""
        with self._lock:
            self._busy.add(stream)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(stream)

    def failed(self, stream: Stream) -> None:
        """Its trouble says when it is polled next, and no news of others does."""
        with self._lock:
            self._well.discard(stream)

    def polled(self, stream: Stream, found: int, requests: int, began_ms: int) -> tuple[History, float]:
        """What is remembered of a stream after a poll that went well; how long after its begin the next one comes."""
        with self._lock:
            self._well.add(stream)
            now_s = began_ms / 1000
            self._allotment.polled(stream, found, requests, now_s)
            if found:
                self._stirred.add(stream)
            wait_s = SHORTEST_S if found >= PAGE else self._allotment.due_s(stream, now_s) - now_s
            return self._allotment.history(stream), wait_s

    def siblings(self, stream: Stream, now_ms: int) -> list[Move]:
        """After news of the stream: when the others of its organization are polled, of which news are expected too."""
        with self._lock:
            if stream not in self._stirred:
                return []
            self._stirred.discard(stream)
            return self._moves(self._allotment.siblings(stream), now_ms)

    def reprice(self, now_ms: int, rate: float) -> tuple[list[Move], float]:
        """When all are polled, at the price of now; and in how many seconds that should be asked again.

        ``rate`` is what the API takes, in requests a second, which may be less than the budget.
        """
        with self._lock:
            planned = MOST_OF_IT * min(self._requests_s, rate)
            streams = list(self._allotment.reprice(now_ms / 1000, planned))
            least = self._allotment.least()
            self.missing = least / MOST_OF_IT if least > planned else 0.0
            moves = self._moves(streams, now_ms)
            self.spans = self._spans(moves)
            return moves, REPRICE_S + EACH_S * len(streams)

    def _spans(self, moves: Iterable[Move]) -> Mapping[str, Span]:
        found: dict[str, Span] = {}
        for stream, time_ms in moves:
            span_s = time_ms / 1000 - self._allotment.history(stream).at_s
            shortest_s, longest_s = found.get(stream.resource, (span_s, span_s))
            found[stream.resource] = Span(min(shortest_s, span_s), max(longest_s, span_s))
        return found

    def _moves(self, streams: list[Stream], now_ms: int) -> list[Move]:
        free = [stream for stream in streams if stream in self._well and stream not in self._busy]
        return [Move(stream, int(self._allotment.due_s(stream, now_ms / 1000) * 1000)) for stream in free]
