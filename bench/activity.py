"""What people do in a simulated account: which stream changes when, in seconds from the start."""

from collections import defaultdict
from itertools import accumulate
from random import Random
from typing import NamedTuple

from poller.model import Stream

RESOURCES = (
    "documents",
    "payments",
    "clients",
    "items",
    "orders",
    "prices",
    "recurrences",
    "taxes",
    "units",
    "categories",
)
"""The busiest first."""


class Activity(NamedTuple):
    """How much is done: ``sittings`` a day for each organization on average, but by Zipf's law with ``exponent``.

    A sitting takes ``sitting_s`` and brings a change every ``gap_s``, both on average, in streams that follow Zipf's
    law too. ``steady``: as many changes, but at any time.
    """

    orgs: int = 200
    sittings: float = 2.0
    sitting_s: float = 1800.0
    gap_s: float = 30.0
    exponent: float = 1.0
    steady: bool = False


def streams(activity: Activity) -> list[Stream]:
    """All streams of the account."""
    return [Stream(f"org-{number:04}", resource) for number in range(activity.orgs) for resource in RESOURCES]


def changes(activity: Activity, span_s: float, rng: Random) -> dict[Stream, list[float]]:
    """When each stream changes within ``span_s``, in order."""
    parts = [1 / rank**activity.exponent for rank in range(1, activity.orgs + 1)]
    weights = list(accumulate(1 / rank for rank in range(1, len(RESOURCES) + 1)))
    every_s = 86400 / (activity.sittings * activity.orgs)
    found: dict[Stream, list[float]] = defaultdict(list)
    for number, part in enumerate(parts):
        for at_s in _times(activity, every_s * sum(parts) / part, span_s, rng):
            (resource,) = rng.choices(RESOURCES, cum_weights=weights)
            found[Stream(f"org-{number:04}", resource)].append(at_s)
    return {stream: sorted(times) for stream, times in found.items()}


def _times(activity: Activity, every_s: float, span_s: float, rng: Random) -> list[float]:
    """When one organization does something; it sits down ``every_s`` on average."""
    if activity.steady:
        return _poisson(0.0, span_s, every_s * activity.gap_s / activity.sitting_s, rng)
    times: list[float] = []
    for begins_s in _poisson(0.0, span_s, every_s, rng):
        ends_s = min(span_s, begins_s + rng.expovariate(1 / activity.sitting_s))
        times += [begins_s, *_poisson(begins_s, ends_s, activity.gap_s, rng)]
    return times


def _poisson(from_s: float, upto_s: float, gap_s: float, rng: Random) -> list[float]:
    times: list[float] = []
    at_s = from_s + rng.expovariate(1 / gap_s)
    while at_s < upto_s:
        times.append(at_s)
        at_s += rng.expovariate(1 / gap_s)
    return times
