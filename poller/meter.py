"""Counters and histograms of what the loops do: for whoever asks, and cheap where nobody does.

What is counted is a row of ``ROWS``; ``metrics`` says it to Prometheus. Count by the page, not by the record.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from itertools import product
from threading import Lock
from typing import NamedTuple

POLLS = ("ok", "failed", "denied", "paused")
STATUSES = ("2xx", "3xx", "4xx", "429", "5xx", "none")
ATTEMPTS = ("delivered", "advanced", "later", "refused", "gone")
ENDS = ("delivered", "parked")
LOOKUPS = ("ok", "failed", "denied")
LOOPS = ("poll", "drain", "agenda", "control", "http")

FAST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds, in seconds, for what takes a request or a few."""
LONG_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0)
"""The same for what may wait for somebody else: a poll that sweeps, a delivery while its receiver is away."""


class Row(NamedTuple):
    """Something that is counted, or with ``buckets`` (upper bounds) observed.

    ``labels`` with the values that there can be; None where those come from the configuration: a resource, a sink, a
    trigger. Never a record, and never an organization.
    """

    name: str
    about: str
    labels: Mapping[str, Collection[str] | None]
    buckets: tuple[float, ...] = ()


_RESOURCE: Mapping[str, None] = {"resource": None}
_SINK: Mapping[str, None] = {"sink": None}

ROWS: Mapping[str, Row] = {
    row.name: row
    for row in (
        Row(
            "polls",
            "Polls by how they ended: denied is access refused, paused is one left for later.",
            {"resource": None, "outcome": POLLS},
        ),
        Row("poll_seconds", "How long polls took that were not left for later.", _RESOURCE, LONG_S),
        Row(
            "requests",
            "Requests to the API by the class of their status; 429 is not in 4xx, none is no answer.",
            {"status": STATUSES},
        ),
        Row("request_seconds", "How long the API took for whole answers.", {}, FAST_S),
        Row("rate_wait_seconds", "Seconds that requests to the API waited for their turn.", {}),
        Row("records_seen", "Records that answers showed, or said to be the same.", _RESOURCE),
        Row("records_unchanged", "Records that were compared, and were as remembered.", _RESOURCE),
        Row("records_quarantined", "Records set aside since they cannot be followed, each time anew.", _RESOURCE),
        Row("records_late", "Changes that a sweep found and that increments should have shown.", _RESOURCE),
        Row("events", "Events by trigger.", {"trigger": None}),
        Row("holds", "Times that deletions of a stream were held for approval.", _RESOURCE),
        Row("count_disagreements", "Times that the API counted other than is remembered.", _RESOURCE),
        Row("attempts", "Deliveries handed to a sink by its answer.", {"sink": None, "outcome": ATTEMPTS}),
        Row("send_seconds", "How long a sink took for an answer, to one delivery or a batch.", _SINK, FAST_S),
        Row("deliveries", "Deliveries that came to an end.", {"sink": None, "outcome": ENDS}),
        Row(
            "delivery_seconds",
            "From when a delivery could be made (commit, end of a delay, or a retry asked for) to the yes.",
            _SINK,
            LONG_S,
        ),
        Row(
            "lookups",
            "Look-ups of the organizations by how they ended: denied is access refused.",
            {"outcome": LOOKUPS},
        ),
        Row("defects", "Defects of poller that it survived; the log has their tracebacks.", {"loop": LOOPS}),
        Row("reloads", "Reloads of the configuration.", {"outcome": ("ok", "failed")}),
    )
}
"""All that is counted, by name; ``metrics`` adds ``poller_`` and, to counters, ``_total``."""

Labels = tuple[str, ...]
"""The values of a row's labels, in their order."""


class Observed(NamedTuple):
    """A histogram: how many were within each bucket alone, the last of them above all bounds, and their sum."""

    counts: tuple[int, ...]
    total: float


class Meter:
    """Counts, from any thread. A name that is no row is a ``KeyError``, as are labels that are not the row's."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: dict[str, dict[Labels, float]] = {row.name: {} for row in ROWS.values() if not row.buckets}
        self._histograms: dict[str, dict[Labels, list[float]]] = {row.name: {} for row in ROWS.values() if row.buckets}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Count so many more."""
        series, key = self._counters[name], _key(name, labels)
        with self._lock:
            series[key] = series.get(key, 0) + amount

    def observe(self, name: str, *values: float, **labels: str) -> None:
        """Enter these values of a histogram."""
        series, key, buckets = self._histograms[name], _key(name, labels), ROWS[name].buckets
        with self._lock:
            counts = series.setdefault(key, _empty(buckets))
            for value in values:
                counts[bisect_left(buckets, value)] += 1
            counts[-1] += sum(values)

    def begin(self, **values: Collection[str]) -> None:
        """Let all series of these label values begin at 0, so that the first of anything is seen as an increase."""
        for row in ROWS.values():
            known = [values.get(label) if among is None else among for label, among in row.labels.items()]
            for key in product(*(among or () for among in known)):
                with self._lock:
                    if row.buckets:
                        self._histograms[row.name].setdefault(key, _empty(row.buckets))
                    else:
                        self._counters[row.name].setdefault(key, 0)

    def counters(self) -> Iterator[tuple[Row, dict[Labels, float]]]:
        """What was counted so far."""
        for name, series in self._counters.items():
            with self._lock:
                found = dict(series)
            yield ROWS[name], found

    def histograms(self) -> Iterator[tuple[Row, dict[Labels, Observed]]]:
        """What was observed so far."""
        for name, series in self._histograms.items():
            with self._lock:
                found = {key: tuple(counts) for key, counts in series.items()}
            yield ROWS[name], {key: Observed(tuple(map(int, counts[:-1])), counts[-1]) for key, counts in found.items()}


def _key(name: str, labels: Mapping[str, str]) -> Labels:
    wanted = ROWS[name].labels
    if len(labels) != len(wanted):
        raise KeyError(f"{name} has the labels {', '.join(wanted) or 'none'}")
    return tuple([labels[label] for label in wanted])


def _empty(buckets: tuple[float, ...]) -> list[float]:
    """The count of each bucket, of what is above them, and the sum."""
    return [0.0] * (len(buckets) + 2)
