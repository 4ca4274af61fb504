"""How fast a key may be used, learned from refusals: arithmetic only, of a token bucket whose rate gives way.

A limit that is announced by refusals alone is found by additive increase and multiplicative decrease, as TCP finds
the width of a line (Chiu and Jain, 1989): every request that passed makes the rate a little higher, a refusal makes it
a quarter lower. Times are seconds of any clock that only goes on.
"""

from typing import NamedTuple

DECREASE = 0.75
"""What a refusal leaves of the rate."""
INCREASE = 0.5
"""By so many requests a second the rate rises in a second of full use, and by less in one of little use."""
INCREASE_SHARE = 1 / 50
"""By no more than this share of itself: a low limit shall not be met every few requests."""
LEAST_RATE = 0.5
"""No refusal makes the rate lower, in requests a second."""
BURST_S, CAREFUL_BURST_S = 1.0, 0.1
"""How much of unused time is kept for a burst; the second once a request was refused, whose limit may be by window."""
GATHER_SHARE = 0.25
"""Who is early waits for this share of a burst beyond its turn, so that what it asks next goes at once: requests in rows
of 25 take a quarter less of CPU than as many with 10 ms of sleep before each (measured on a sweep, 100 a second)."""
PAUSE_S = 0.25
"""How long all wait after a refusal that does not say for how long: what is left of a window is likely less."""


class Pace(NamedTuple):
    """A token bucket: at most ``ceiling`` requests a second, now ``rate``.

    ``full_s`` is when it will be full again: each request puts that off by its share. Before ``open_s`` nothing
    passes. ``lowered_s`` is when the rate was last lowered, None if it never was.
    """

    ceiling: float
    rate: float
    full_s: float
    open_s: float = 0.0
    lowered_s: float | None = None

    @property
    def burst_s(self) -> float:
        """How much unused time a burst may make up for; one request always may."""
        return max(BURST_S if self.lowered_s is None else CAREFUL_BURST_S, 1 / self.rate)


def taken(pace: Pace, now_s: float) -> tuple[float, Pace]:
    """How far off the next turn is, in seconds, and the pace once that turn is taken."""
    full_s = max(pace.full_s, now_s) + 1 / pace.rate
    early_s = full_s - now_s - pace.burst_s
    wait_s = early_s + GATHER_SHARE * pace.burst_s if early_s > 0 else 0.0
    return max(wait_s, pace.open_s - now_s), pace._replace(full_s=full_s)


def held(pace: Pace, until_s: float) -> Pace:
    """The pace when nothing may pass before ``until_s``; an earlier end than before ends nothing."""
    return pace._replace(open_s=max(pace.open_s, until_s))


def passed(pace: Pace) -> Pace:
    """The pace after a request that was not refused."""
    rise = min(INCREASE, pace.rate * INCREASE_SHARE) / pace.rate
    return pace._replace(rate=min(pace.ceiling, pace.rate + rise))


def refused(pace: Pace, sent_s: float, now_s: float) -> Pace:
    """The pace after a refusal of what was sent at ``sent_s``.

    What was sent before the rate was last lowered says nothing of the rate as it is: many requests are under way when
    a limit is met, and they count as one refusal.
    """
    paused = held(pace, now_s + PAUSE_S)
    if pace.lowered_s is not None and sent_s <= pace.lowered_s:
        return paused
    least = min(LEAST_RATE, pace.ceiling)
    return paused._replace(rate=max(least, pace.rate * DECREASE), lowered_s=now_s)
