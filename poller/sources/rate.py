"""How fast one API key may be used: a token bucket that all threads share."""

from threading import Event, Lock
from time import monotonic

from poller.sources import Unreachable

LONGEST_HOLD_S = 60.0
"""Longer than this no thread is kept waiting: its poll ends, and is run again later."""


class Bucket:
    """Lets ``rate`` requests a second pass, in bursts of as many; ``stop`` ends every wait at once."""

    def __init__(self, rate: float, stop: Event) -> None:
        self._rate = rate
        self._stop = stop
        self._lock = Lock()
        self._full_at = monotonic()
        self._open_at = 0.0

    def take(self) -> None:
        """Wait for the next turn; raises ``Unreachable`` where that is too far off, or at a stop."""
        delay_s = self._turn()
        if delay_s > LONGEST_HOLD_S:
            raise Unreachable(f"the API asked for a pause of another {delay_s:.0f} s")
        if delay_s > 0 and self._stop.wait(delay_s):
            raise Unreachable("the poller is stopping")

    def hold(self, delay_s: float) -> None:
        """The API asked all of the key's users to wait this long."""
        with self._lock:
            self._open_at = max(self._open_at, monotonic() + delay_s)

    def _turn(self) -> float:
        """Reserve a turn and say how far off it is; too far ones are not reserved.

        ``_full_at`` is when the bucket will be full again: each request puts that off by its share.
        """
        with self._lock:
            now = monotonic()
            full_at = max(self._full_at, now) + 1 / self._rate
            delay_s = max(full_at - now - max(1.0, 1 / self._rate), self._open_at - now)
            if delay_s <= LONGEST_HOLD_S:
                self._full_at = full_at
            return delay_s
