"""How fast one API key may be used: a token bucket that all threads share."""

from threading import Event, Lock
from time import monotonic

LONGEST_HOLD_S = 60.0
"""Longer than this no thread is kept waiting: what it was about is done later."""


class NoTurn(Exception):
    """There is no turn: the next one is ``after_s`` away, which is too far, or the process stops (None)."""

    def __init__(self, after_s: float | None) -> None:
        self.after_s = after_s
        stops = after_s is None
        super().__init__("the poller is stopping" if stops else f"the API asked for a pause of another {after_s:.0f} s")


class Bucket:
    """Lets ``rate`` requests a second pass, in bursts of as many; ``stop`` ends every wait at once."""

    def __init__(self, rate: float, stop: Event) -> None:
        self._rate = rate
        self._stop = stop
        self._lock = Lock()
        self._full_at = monotonic()
        self._open_at = 0.0

    def take(self) -> None:
        """Wait for the next turn; raises ``NoTurn`` where that is too far off, or at a stop."""
        delay_s = self._turn()
        if delay_s > LONGEST_HOLD_S:
            raise NoTurn(delay_s)
        if delay_s > 0 and self._stop.wait(delay_s):
            raise NoTurn(None)

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
