"""How far an increment looks back, learned from what came late: arithmetic only.

A change is stamped when it is made, but may show up later: a replica lags, a transaction takes its time. An increment
that looks back further than that misses none; what it misses is found by a sweep, hours later. So delays are counted in
steps that double, and the overlap covers all but one in two thousand of the last changes.
"""

from bisect import bisect_left
from collections.abc import Iterable

Late = tuple[int, ...]
"""How many changes came on time, then how many came late by up to 1, 2, 4, ... seconds; empty where none is known."""

LONGEST_S = 3600.0
"""No overlap is longer: what comes later is left to sweeps."""
UNCOVERED = 2000
"""Of so many changes one may have come later than the overlap covers."""
REMEMBERED = 8000
"""At so many changes all numbers are halved: what was observed long ago counts less and less."""

_STEPS_S = (0.0, *(2.0**power for power in range(13)))


def observed(late: Late, delays_s: Iterable[float]) -> Late:
    """With these delays counted too: how long after its stamp a change was first seen; 0 or less is on time."""
    counts = [*late, *[0] * (len(_STEPS_S) - len(late))]
    for delay_s in delays_s:
        counts[_step(delay_s)] += 1
    return tuple(count // 2 for count in counts) if sum(counts) > REMEMBERED else tuple(counts)


def missed(late: Late, changes: int, overlap_s: float) -> Late:
    """With so many changes counted that came too late for this overlap: how late, nobody saw. Twice as late, say."""
    return observed(late, [2 * overlap_s] * changes)


def span_s(late: Late, least_s: float) -> float:
    """How far to look back, in seconds; never less than ``least_s``, which is what the operator set."""
    uncovered = 0
    for count, step_s in zip(reversed(late), reversed(_STEPS_S[: len(late)]), strict=True):
        uncovered += count
        if uncovered * UNCOVERED > sum(late):
            return max(least_s, min(step_s, LONGEST_S))
    return least_s


def _step(delay_s: float) -> int:
    return min(bisect_left(_STEPS_S, delay_s), len(_STEPS_S) - 1)
