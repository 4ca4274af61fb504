"""Metrics for Prometheus: what the meter counted, and how everything stands at the scrape.

No label ever is a record, and none an organization unless that is asked for, so that there are as many series as the
configuration has resources, triggers and sinks, however much is followed.
"""

import platform
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

from poller import __version__
from poller.breaker import STATES as SINK_STATES
from poller.breaker import Breaker
from poller.gauges import BOUNDS
from poller.meter import Labels, Meter
from poller.plan import Plan
from poller.reload import Reloaded
from poller.service import Service, wall_ms
from poller.shares import Requests, Span
from poller.stores import StoreError, reading
from poller.stores.figures import SQLITE, STREAM_STATES, Figures, Queue, Receiver, Streams
from poller.stores.opening import OpeningError

Values = dict[str, dict[Labels, float]]
"""Gauges by name and labels; an organization stands behind all other labels."""

_SIZES = ("database_bytes", "database_used_bytes", "database_log_bytes", "disk_free_bytes", "disk_size_bytes")
_UNPOLLED = ("suspended", "paused")


@dataclass(frozen=True, slots=True)
class Scrape:
    """What to tell, and where to look.

    ``state`` is the database, ``sinks`` are those of the configuration, ``pressed`` is why polls pause, empty if they
    do not; ``reloaded`` is None before the first reload. ``organizations`` makes series of their own for each of them.
    ``sighted``: the last look-up of the organizations, if any, was a success. ``requests`` may be made; under a budget
    ``spans`` are the planned intervals by resource.
    """

    meter: Meter
    state: Path
    plan: Plan
    sinks: Collection[str]
    now_ms: int
    reloaded: Reloaded | None = None
    pressed: str = ""
    organizations: bool = False
    sighted: bool = True
    requests: Requests | None = None
    spans: Mapping[str, Span] = field(default_factory=dict)


def scrape_of(
    service: Service, state: Path, reloaded: Reloaded | None = None, *, organizations: bool = False
) -> Scrape:
    """What there is to tell of a service at work, now."""
    return Scrape(
        service.meter,
        state,
        service.plan,
        [queue.name for queue in service.drains],
        wall_ms(),
        reloaded,
        service.pressed,
        organizations,
        service.sight.lost is None,
        service.requests(),
        service.shares.spans if service.shares else {},
    )


class Exposition(NamedTuple):
    """The answer to a scrape."""

    body: bytes
    content_type: str


def render(scrape: Scrape, accept: str = "") -> Exposition:
    """All metrics, in the format that an ``Accept`` header prefers: Prometheus' text, or OpenMetrics."""
    from poller.exposition import encode  # noqa: PLC0415 - what it imports takes memory, and few ask

    return Exposition(*encode(scrape.meter, values(scrape), accept))


def values(scrape: Scrape) -> Values:
    """How everything stands. Where the state cannot be read now, what it would tell is left out."""
    found: Values = defaultdict(dict)
    found["build_info"][__version__, platform.python_version(), SQLITE] = 1
    found["config_last_reload_successful"][()] = scrape.reloaded is None or scrape.reloaded.ok
    if scrape.reloaded:
        found["config_last_reload_timestamp_seconds"][()] = scrape.reloaded.at_ms / 1000
    found["last_lookup_successful"][()] = scrape.sighted
    found["polls_paused"][()] = bool(scrape.pressed)
    _tell_plan(found, scrape)
    try:
        with reading.View(scrape.state) as view:
            figures = view.figures(scrape.now_ms, organizations=scrape.organizations)
    except (StoreError, OpeningError, OSError):
        found["state_readable"][()] = 0
        return found
    found["state_readable"][()] = 1
    _tell_streams(found, figures, scrape)
    _tell_sinks(found, figures, scrape)
    for name, size_bytes in zip(_SIZES, figures.sizes, strict=True):
        found[name][()] = size_bytes
    return found


def _tell_plan(found: Values, scrape: Scrape) -> None:
    """What polls are allowed, and how often they are to come."""
    for name, watch in scrape.plan.watches.items():
        if watch.announces:
            found["stream_interval_seconds"][name,] = watch.slowest_s
    for name, span in scrape.spans.items():
        for bound, span_s in zip(BOUNDS, span, strict=True):
            found["stream_planned_interval_seconds"][name, bound] = span_s
    if scrape.requests:
        found["request_rate_limit"][()] = scrape.requests.allowed
        found["request_rate"][()] = scrape.requests.rate
        if scrape.requests.budget:
            found["request_budget"][()] = scrape.requests.budget


def _tell_streams(found: Values, figures: Figures, scrape: Scrape) -> None:
    for name, state in product(scrape.plan.watches, STREAM_STATES):
        found["streams"][name, state] = 0
    for name in scrape.plan.watches:
        found["quarantine_records"][name,] = figures.quarantined.get(name, 0)
        found["streams_silent"][name,] = 0
    for streams in figures.streams:
        if streams.resource in scrape.plan.watches:
            found["streams"][streams.resource, streams.state] += streams.number
            found["streams_silent"][streams.resource,] += streams.silent
            labels = (streams.resource, *([streams.org] if scrape.organizations else []))
            _tell_records(found, streams, labels)
            if scrape.plan.watches[streams.resource].announces:  # else it has no polls of its own
                _tell_polls(found, streams, labels, scrape.now_ms)


def _tell_records(found: Values, streams: Streams, labels: Labels) -> None:
    amounts = {"records": streams.live, "records_missing": streams.missing, "deletions_held": streams.held}
    for name, amount in amounts.items():
        found[name][labels] = found[name].get(labels, 0) + amount


def _tell_polls(found: Values, streams: Streams, labels: Labels, now_ms: int) -> None:
    if streams.state in _UNPOLLED:
        return
    oldest, overdue = found["stream_oldest_poll_timestamp_seconds"], found["stream_overdue_seconds"]
    overdue_s = max(0.0, (now_ms - streams.next_poll_ms) / 1000) if streams.next_poll_ms else 0.0
    overdue[labels] = max(overdue.get(labels, 0.0), overdue_s)
    if streams.polled_ms is not None:
        polled_s = streams.polled_ms / 1000
        oldest[labels] = min(oldest.get(labels, polled_s), polled_s)


def _tell_sinks(found: Values, figures: Figures, scrape: Scrape) -> None:
    known = {*scrape.sinks, *figures.queues, *figures.receivers}
    for sink in known:
        queue = figures.queues.get(sink, Queue())
        waits_ms = 0 if queue.oldest_ms is None else max(0, scrape.now_ms - queue.oldest_ms)
        found["sink_pending_deliveries"][sink,] = queue.pending
        found["sink_backlog_age_seconds"][sink,] = waits_ms / 1000
        receiver = figures.receivers.get(sink, Receiver(Breaker(), None))
        for state in SINK_STATES:
            found["sink_state"][sink, state] = receiver.breaker.state == state
        if receiver.delivered_ms is not None:
            found["sink_last_delivery_timestamp_seconds"][sink,] = receiver.delivered_ms / 1000
    for sink in {*known, *figures.parked}:
        found["sink_parked_deliveries"][sink,] = figures.parked.get(sink, 0)
    for route, held in figures.held.items():
        found["route_held_deliveries"][route,] = held
