"""Who is polled when, under a budget: the streams with their histories, and the price that they share.

The rule is ``budget``'s; this remembers what it needs from poll to poll. No clock, no threads: the daemon's loop brings
both, and so does a simulation.
"""

from collections.abc import Iterable
from math import inf

from poller import budget
from poller.budget import Bounds, Candidate, History
from poller.model import Stream

REPRICE_S = 30.0
"""How often the price should be found anew."""


class _Org:
    """What the streams of one organization have in common: their rates together."""

    def __init__(self) -> None:
        self.streams: dict[Stream, History] = {}
        self.usual = 0.0
        self.busy = History()

    def put(self, stream: Stream, history: History) -> None:
        before = self.streams.get(stream)
        self.usual += budget.usual_rate(history) - (budget.usual_rate(before) if before else 0.0)
        self.streams[stream] = history

    def drop(self, stream: Stream) -> None:
        self.usual -= budget.usual_rate(self.streams.pop(stream))


class Allotment:
    """The requests of one key, allotted to streams. Times are seconds of a clock that goes on from start to start."""

    def __init__(self) -> None:
        self._orgs: dict[str, _Org] = {}
        self._bounds: dict[Stream, Bounds] = {}
        self._price, self._prices = inf, dict[str, float]()  # until it is known, all wait for as long as they may

    def follow(self, stream: Stream, history: History, bounds: Bounds) -> None:
        """Give the stream its part from now on; or other bounds, if it has one."""
        org = self._orgs.setdefault(stream.org, _Org())
        org.busy = budget.joined(org.busy, history)
        org.put(stream, history)
        self._bounds[stream] = bounds

    def leave(self, stream: Stream) -> None:
        """Give the stream no part any more."""
        if self._bounds.pop(stream, None) is not None:
            self._orgs[stream.org].drop(stream)
            if not self._orgs[stream.org].streams:
                del self._orgs[stream.org]

    def follows(self, stream: Stream) -> bool:
        """Whether the stream has a part."""
        return stream in self._bounds

    def siblings(self, stream: Stream) -> list[Stream]:
        """The other streams of its organization."""
        org = self._orgs.get(stream.org)
        return [one for one in org.streams if one != stream] if org else []

    def history(self, stream: Stream) -> History:
        """What is remembered of the stream."""
        return self._orgs[stream.org].streams[stream]

    def polled(self, stream: Stream, found: int, requests: int, now_s: float) -> list[Stream]:
        """Keep what a poll found. The streams whose turn may come sooner by it: those of a busy organization."""
        org = self._orgs[stream.org]
        org.put(stream, budget.after_poll(org.streams[stream], found, requests, now_s))
        if not found:
            return [stream]
        org.busy = budget.after_poll(org.busy, found, 1, now_s)
        return list(org.streams)

    def due_s(self, stream: Stream, now_s: float) -> float:
        """When the stream should be polled next."""
        candidate = self._candidate(stream, now_s)
        price = self._prices.get(stream.org, self._price)
        return min(self.history(stream).at_s, now_s) + budget.interval_s(candidate, price)  # the clock may be set back

    def reprice(self, now_s: float, requests_s: float) -> Iterable[Stream]:
        """Find the price at which all streams together take so many requests a second; all whose turn may change."""
        candidates = [self._candidate(stream, now_s) for stream in self._bounds]
        self._price, self._prices = budget.prices(candidates, requests_s, self._price)
        return self._bounds

    def least(self) -> float:
        """How many requests a second it takes that no stream waits longer than its longest interval."""
        return sum(self.history(stream).cost / bounds.longest_s for stream, bounds in self._bounds.items())

    def _candidate(self, stream: Stream, now_s: float) -> Candidate:
        org = self._orgs[stream.org]
        history = org.streams[stream]
        rate = budget.expected_rate(history, org.usual, budget.recent_rate(org.busy, now_s), now_s)
        return Candidate(stream.org, rate, history.cost, self._bounds[stream])
