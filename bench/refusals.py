"""A limit that only refusals announce: workers that keep asking, in simulated time, and how many are refused."""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import NamedTuple

from poller import pace

CEILING = 1000.0
"""What the workers are allowed: far more than the API lets through."""
LIMIT = 100
WORKERS = 8
LATENCY_S = 0.08
LEARNING_S = 60.0
"""What is not counted."""
RETRY_S = 0.5
"""A worker whose request was refused waits for so long, at most, of its own accord."""

Limiter = Callable[[float], bool]
"""Whether the API lets a request through at this time."""


class Outcome(NamedTuple):
    """What came of it after the time to learn: requests let through a second, and the share of those refused."""

    passed: float
    refused: float


def windows() -> Limiter:
    """So many in each second of the clock."""
    counts: dict[int, int] = {}

    def limiter(now_s: float) -> bool:
        counts[int(now_s)] = counts.get(int(now_s), 0) + 1
        return counts[int(now_s)] <= LIMIT

    return limiter


def sliding() -> Limiter:
    """So many in any span of a second."""
    taken: deque[float] = deque()

    def limiter(now_s: float) -> bool:
        while taken and taken[0] <= now_s - 1:
            taken.popleft()
        if len(taken) >= LIMIT:
            return False
        taken.append(now_s)
        return True

    return limiter


def tokens() -> Limiter:
    """So many a second, with a fifth of that at once."""
    most = LIMIT / 5
    left, at_s = most, 0.0

    def limiter(now_s: float) -> bool:
        nonlocal left, at_s
        left, at_s = min(most, left + (now_s - at_s) * LIMIT), now_s
        if left < 1:
            return False
        left -= 1
        return True

    return limiter


LIMITERS = {"a second of the clock": windows, "any second": sliding, "a token bucket": tokens}
"""The ways in which APIs count, by what of."""


def simulate(limiter: Limiter, span_s: float, seed: int = 1) -> Outcome:
    """Keep all workers asking for so long."""
    rng, numbers = Random(seed), count()
    now = pace.Pace(CEILING, CEILING, 0.0)
    queue: list[tuple[float, int, str, float]] = []  # when, a number of its own, what happens, when it was sent
    asked = refused = 0

    def later(at_s: float, what: str, sent_s: float = 0.0) -> None:
        heappush(queue, (at_s, next(numbers), what, sent_s))

    def under_way_s() -> float:
        return LATENCY_S * (0.25 + rng.random() / 2)

    for _ in range(WORKERS):
        later(rng.random() * LATENCY_S, "ask")
    while queue[0][0] < span_s:
        at_s, _, what, sent_s = heappop(queue)
        if what == "ask":
            delay_s, now = pace.taken(now, at_s)
            later(at_s + delay_s, "send")
        elif what == "send":
            later(at_s + under_way_s(), "arrive", at_s)
        elif what == "arrive":
            fine = limiter(at_s)
            asked, refused = asked + (at_s >= LEARNING_S), refused + (at_s >= LEARNING_S and not fine)
            later(at_s + under_way_s(), "yes" if fine else "no", sent_s)
        elif what == "yes":
            now = pace.passed(now)
            later(at_s, "ask")
        else:
            now = pace.refused(now, sent_s, at_s)
            later(at_s + rng.random() * RETRY_S, "ask")
    return Outcome((asked - refused) / (span_s - LEARNING_S), refused / asked)
