"""How fast one API key may be used: a token bucket that all threads share, and that gives way to refusals."""

from threading import Event, Lock
from time import monotonic

from poller import pace

LONGEST_HOLD_S = 60.0
"""Longer than this no thread is kept waiting: what it was about is done later."""

TOO_MANY = 429
"""The status of an answer to one request too many."""


class NoTurn(Exception):
    """There is no turn: the next one is ``after_s`` away, which is too far, or the process stops (None)."""

    def __init__(self, after_s: float | None) -> None:
        self.after_s = after_s
        stops = after_s is None
        super().__init__("the poller is stopping" if stops else f"the API asked for a pause of another {after_s:.0f} s")


class Bucket:
    """Lets ``rate`` requests a second pass, in bursts of as many, and fewer while the API refuses some.

    ``stop`` ends every wait at once.
    """

    def __init__(self, rate: float, stop: Event) -> None:
        self._stop = stop
        self._lock = Lock()
        self._pace = pace.Pace(rate, rate, monotonic())

    @property
    def rate(self) -> float:
        """How many requests a second pass now: what is allowed, or what refusals have left of it."""
        return self._pace.rate

    def take(self) -> float:
        """Wait for the next turn, and say when it came, for ``heed``.

        Raises ``NoTurn`` where it is too far off, or at a stop.
        """
        delay_s = self._turn()
        if delay_s > LONGEST_HOLD_S:
            raise NoTurn(delay_s)
        if self._stop.is_set() or (delay_s > 0 and self._stop.wait(delay_s)):
            raise NoTurn(None)
        return monotonic()

    def hold(self, delay_s: float) -> None:
        """The API asked all of the key's users to wait this long."""
        with self._lock:
            self._pace = pace.held(self._pace, monotonic() + delay_s)

    def heed(self, status: int, sent_s: float) -> None:
        """What had its turn at ``sent_s`` was answered with this status: 429 says that it was one too many."""
        with self._lock:
            if status == TOO_MANY:
                self._pace = pace.refused(self._pace, sent_s, monotonic())
            else:
                self._pace = pace.passed(self._pace)

    def _turn(self) -> float:
        """Reserve a turn and say how far off it is; too far ones are not reserved."""
        with self._lock:
            delay_s, after = pace.taken(self._pace, monotonic())
            if delay_s <= LONGEST_HOLD_S:
                self._pace = after
            return delay_s
