"""Whether polls have to pause: the outbox or the disk is full. Deliveries go on, and nothing is dropped.

A change that no poll sees meanwhile is seen by the next one, merged with what came after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

RESUME = 0.8
"""The share of a limit at which polls go on: well below it, so that they do not stop and go."""

FREE_SHARE = 0.05
"""Of the disk, at least so much is left free, however low the limit."""


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


def pressure(load: Load, limits: Limits, *, paused: bool) -> str:
    """Why polls have to pause, in words; empty if they need not. ``paused`` says whether they do now."""
    share = RESUME if paused else 1.0
    sink, pending = max(load.pending.items(), key=lambda item: item[1], default=("", 0))
    if pending >= limits.pending * share:
        return f"{pending} deliveries are pending for sink {sink} (limit {limits.pending})"
    if load.size_bytes >= limits.size_bytes * share:
        return f"the state takes {_mib(load.size_bytes)} (limit {_mib(limits.size_bytes)})"
    least_bytes = min(max(limits.free_bytes, load.disk_bytes * FREE_SHARE), limits.free_bytes * 4)
    if load.free_bytes < least_bytes / share:
        return f"the disk has only {_mib(load.free_bytes)} free (limit {_mib(least_bytes)})"
    return ""


def _mib(size_bytes: float) -> str:
    return f"{size_bytes / (1 << 20):.0f} MiB"
