"""Whether polls have to pause: the outbox or the disk is full. Deliveries go on, and nothing is dropped.

A change that no poll sees meanwhile is seen by the next one, merged with what came after it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

RESUME = 0.8
"""The share of a limit at which polls go on: well below it, so that they do not stop and go."""

FREE_SHARE = 0.05
FREE_MOST = 4
"""Of the disk, at least so much is left free, but not more than so many times the limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Deliveries pending for one sink, bytes of the database, bytes left free on its disk."""

    pending: int = 100_000
    size_bytes: int = 2 << 30
    free_bytes: int = 256 << 20


class Load(NamedTuple):
    """How much there is of each; ``disk_bytes`` is the disk's size."""

    pending: Mapping[str, int]
    size_bytes: int
    free_bytes: int
    disk_bytes: int


class Level(NamedTuple):
    """How full something is: its limit is 1.0."""

    what: str
    full: float
    reason: str


def pressure(load: Load, limits: Limits, paused: Collection[str] = ()) -> dict[str, str]:
    """Why polls have to pause: what is full, each with its reason in words; empty if they need not.

    ``paused`` is for what they pause now: each of it has to come down to ``RESUME`` before they go on.
    """
    return {
        level.what: level.reason
        for level in _levels(load, limits)
        if level.full >= (RESUME if level.what in paused else 1.0)
    }


def _levels(load: Load, limits: Limits) -> Iterator[Level]:
    for sink, pending in load.pending.items():
        reason = f"{pending} deliveries are pending for sink {sink} (limit {limits.pending})"
        yield Level(f"sink {sink}", pending / limits.pending, reason)
    reason = f"the state takes {_mib(load.size_bytes)} (limit {_mib(limits.size_bytes)})"
    yield Level("state", load.size_bytes / max(1, limits.size_bytes), reason)
    least_bytes = min(max(limits.free_bytes, load.disk_bytes * FREE_SHARE), limits.free_bytes * FREE_MOST)
    reason = f"the disk has only {_mib(load.free_bytes)} free (limit {_mib(least_bytes)})"
    yield Level("disk", least_bytes / max(1, load.free_bytes), reason)


def _mib(size_bytes: float) -> str:
    return f"{size_bytes / (1 << 20):.0f} MiB"
