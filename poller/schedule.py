"""When a stream is polled next: arithmetic only; time and chance are arguments."""

from dataclasses import replace

from poller import retry
from poller.plan import Watch
from poller.sources import Denied, SourceError
from poller.stores import Standing, StoreError

CEILING_S = 900.0
"""The longest that trouble keeps a stream away; where access is denied, the wait from the first time on."""

JITTER = 0.05
"""Intervals vary by this share to either side, so that streams do not come to march in step."""


def after_poll(
    standing: Standing,
    watch: Watch,
    error: SourceError | StoreError | None,
    *,
    began_ms: int,
    now_ms: int,
    chance: float,
    worth_s: float | None = None,
) -> Standing:
    """The standing after a poll that began at ``began_ms`` and ended now, by ``error`` or well.

    ``worth_s`` is when the next one is worth its request; without a budget it comes at an interval.
    """
    if error is None:
        every_s = watch.every_s * (1 + JITTER * (2 * chance - 1)) if worth_s is None else worth_s
        return replace(
            standing,
            polled_ms=now_ms,
            next_poll_ms=max(now_ms, began_ms + int(every_s * 1000)),
            failures=0,
            error="",
            suspended=False,
        )
    failures = standing.failures + 1
    denied = isinstance(error, Denied)
    wait_s = CEILING_S if denied else retry.backoff(failures, chance, watch.every_s, max(CEILING_S, watch.every_s))
    return replace(
        standing,
        next_poll_ms=now_ms + int(wait_s * 1000),
        failures=failures,
        error=str(error),
        suspended=denied,
    )


def first_poll_ms(standing: Standing, watch: Watch, *, now_ms: int, spread_s: float, chance: float) -> int:
    """When a stream is polled first after a start: as stored, or, never polled, somewhere within ``spread_s``.

    So is one that was suspended: the token may be another one now, or the organization is back. What was stored may be
    by a longer interval, or by a budget: a stream without trouble waits no longer than the interval of now after its
    last poll. What is due by that comes within ``spread_s`` too, so that many do not come together.
    """
    if standing.next_poll_ms == 0 or standing.suspended:
        return now_ms + int(min(spread_s, watch.every_s) * chance * 1000)
    if standing.failures or standing.polled_ms is None or standing.polled_ms > now_ms:
        return next_poll_ms(standing, watch, now_ms=now_ms)
    due_ms = standing.polled_ms + int(watch.slowest_s * (1 + JITTER) * 1000)
    soon_ms = now_ms + int(min(spread_s, watch.slowest_s) * chance * 1000)
    return max(now_ms, min(standing.next_poll_ms, max(due_ms, soon_ms)))


def next_poll_ms(standing: Standing, watch: Watch, *, now_ms: int) -> int:
    """When a stream is polled next: as planned, but not in the past.

    A time further off than any wait can be is a clock that was set back since: then it is now.
    """
    furthest_ms = now_ms + int(max(watch.every_s * (1 + JITTER), watch.longest_s, CEILING_S) * 1000)
    return now_ms if standing.next_poll_ms > furthest_ms else max(now_ms, standing.next_poll_ms)
