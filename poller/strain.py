"""Whether polls have to pause, since there is no room for what they would find."""

import time
from collections.abc import Callable

import structlog

from poller.pressure import Limits, Load, pressure
from poller.signing import EARLIEST_S
from poller.stores import StoreError

log = structlog.get_logger()

EVERY_S = 5.0
"""How old the answer may be."""


class Strain:
    """What is there, by ``load``, beside its ``limits``; logs when that has polls pause, and when it is over.

    That nothing can be kept is logged by whoever cannot.
    """

    def __init__(self, load: Callable[[], Load], limits: Limits) -> None:
        self._load = load
        self._limits = limits
        self._full: dict[str, str] = {}
        self._measured_at = float("-inf")
        self._stalled = ""
        self._stalled_until = float("-inf")

    @property
    def why(self) -> str:
        """Why polls pause, in words; empty while they do not."""
        stalled = [self._stalled] if time.monotonic() < self._stalled_until else []
        return "; ".join([*self._full.values(), *stalled])

    def stall(self, error: StoreError, pause_s: float) -> None:
        """Have polls pause for so long, since nothing of them could be kept; then they find out whether it can."""
        self._stalled, self._stalled_until = str(error), time.monotonic() + pause_s

    def now(self) -> bool:
        """Whether polls have to pause: the outbox or the disk is full, or nothing can be kept."""
        if time.monotonic() - self._measured_at > EVERY_S:
            self._measured_at = time.monotonic()
            before, self._full = self._full, pressure(self._load(), self._limits, self._full) | _unset_clock()
            if self._full and not before:
                log.warning("polls.paused", reason="; ".join(self._full.values()))
            elif before and not self._full:
                log.info("polls.resumed")
        return bool(self.why)


def _unset_clock() -> dict[str, str]:
    """Why polls have to pause where nobody knows the time: events would bear a wrong one for ever."""
    if time.time_ns() >= EARLIEST_S * 10**9:
        return {}
    return {"clock": "the clock of this machine is before 2025; set it"}
