"""What the endpoint shows of the state: ``poller status``, bounded, and what the page draws."""

import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from poller import __version__, report
from poller.model import Kind, format_time
from poller.stores import StoreError, history, reading
from poller.stores.opening import OpeningError
from poller.web.attention import concerns
from poller.web.fresh import Fresh
from poller.web.inside import Asked

MOST_STREAMS = 200
MOST_ROWS = 50
MOST_EVENTS = 30
_LONGEST_NAME = 120
_BUCKETS = 48
_KINDS = (*Kind, "other")


class Status:
    """Shows the state at ``path``, each answer kept for about a second, and the plots' for longer if they cost more.

    ``followed`` resources and ``running`` are asked for each time: a reload may change them.
    """

    def __init__(
        self,
        path: Path,
        followed: Callable[[], Collection[str]],
        running: Callable[[], report.Running],
        now_ms: Callable[[], int],
    ) -> None:
        self._path = path
        self._followed = followed
        self._running = running
        self._now_ms = now_ms
        self._now = Fresh(self._look, time.monotonic)
        self._past = Fresh(self._look_back, time.monotonic)

    def __call__(self, asked: Asked) -> dict[str, Any]:
        """All that is shown; raises ``StoreError`` or ``OpeningError`` where the state cannot be read."""
        return self._now(asked.search.strip().lower()) | {"history": self._past(asked.hours)}

    def forget(self) -> None:
        """See anew what an action has changed."""
        self._now.forget()

    def ready(self) -> str:
        """Why the database does not answer; empty while it does."""
        try:
            with reading.View(self._path) as view:
                history.answers(view)
        except (StoreError, OpeningError) as error:
            return str(error)
        return ""

    def _look(self, search: str) -> dict[str, Any]:
        followed, now_ms = self._followed(), self._now_ms()
        with reading.View(self._path) as view:
            groups = history.groups(view, now_ms)
            many = sum(group.streams for group in groups) > MOST_STREAMS
            chosen = history.streams(view, now_ms, MOST_STREAMS, search=search, trouble=many and not search)
            sinks = [backlog.sink for backlog in view.backlogs()]
            part = report.Part(chosen, history.parked(view, sinks, MOST_ROWS), history.quarantined(view, MOST_ROWS))
            found = report.status(view, followed, self._running(), part)
            found |= {
                "version": __version__,
                "now": format_time(now_ms),
                "summary": summary(groups, followed),
                "missing": [report.stream(standing, followed) for standing in history.missing(view, MOST_ROWS)],
                "counts": history.counts(view),
                "events": [event(stored) for stored in history.newest(view, MOST_EVENTS)],
            }
        found["parked"] = [row | {"settled": _time(row["settled_ms"])} for row in found["parked"]]
        return found | {"attention": [concern._asdict() for concern in concerns(found)]}

    def _look_back(self, hours: int) -> dict[str, Any]:
        width_ms = hours * 3_600_000 // _BUCKETS
        begins_ms = (self._now_ms() // width_ms - _BUCKETS + 1) * width_ms
        with reading.View(self._path) as view:
            counted = history.events(view, begins_ms, width_ms)
            latencies = history.latencies(view, begins_ms, width_ms)
        return {
            "hours": hours,
            "begins": format_time(begins_ms),
            "bucket_s": width_ms / 1000,
            "events": by_kind(counted, begins_ms, width_ms),
            "latency": by_sink(latencies, begins_ms, width_ms),
        }


def summary(groups: Sequence[history.Group], followed: Collection[str]) -> dict[str, Any]:
    """The streams in numbers: how many in which state, and by resource."""
    states: dict[str, int] = {}
    resources: dict[str, dict[str, Any]] = {}
    for group in groups:
        state = group.state if group.resource in followed else "off"
        states[state] = states.get(state, 0) + group.streams
        row = resources.setdefault(
            group.resource,
            {"resource": group.resource, "streams": 0, "records": 0, "late": 0, "polled": None, "states": {}},
        )
        row["streams"] += group.streams
        row["records"] += group.records
        row["late"] += 0 if state == "off" else group.late
        row["states"][state] = row["states"].get(state, 0) + group.streams
        if state not in ("off", "paused", "suspended") and group.polled_ms is not None:
            row["polled"] = min(filter(None, (row["polled"], format_time(group.polled_ms))))
    return {
        "streams": sum(states.values()),
        "records": sum(row["records"] for row in resources.values()),
        "late": sum(row["late"] for row in resources.values()),
        "states": states,
        "resources": list(resources.values()),
    }


class _Data(msgspec.Struct):
    object: msgspec.Raw = msgspec.Raw(b"{}")
    changed: list[str] = []


class _Envelope(msgspec.Struct):
    subject: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


def event(stored: reading.Stored) -> dict[str, Any]:
    """One event for people: when, what, which record by its id and its name, and what changed."""
    try:
        envelope = msgspec.json.decode(stored.body, type=_Envelope)
    except msgspec.MsgspecError:
        envelope = _Envelope()
    return {
        "id": stored.id,
        "trigger": stored.trigger,
        "recorded": format_time(stored.recorded_ms),
        "subject": envelope.subject,
        "name": name(envelope.data.object),
        "changed": envelope.data.changed,
    }


def name(record: bytes) -> str:
    """What people call a record; empty where it has no name, number or title."""
    try:
        fields = msgspec.json.decode(record)
    except (msgspec.MsgspecError, RecursionError):
        return ""
    names = [fields.get(key) for key in ("name", "number", "title", "label")] if isinstance(fields, dict) else []
    return next((text[:_LONGEST_NAME] for text in names if isinstance(text, str) and text.strip()), "")


def by_kind(counted: Sequence[history.Counted], begins_ms: int, width_ms: int) -> dict[str, list[int]]:
    """Events in each bucket by kind, oldest first; those of no record's change are ``other``."""
    series = {str(kind): [0] * _BUCKETS for kind in _KINDS}
    for bucket in counted:
        kind = bucket.trigger.partition(".")[2]
        place = (bucket.begins_ms - begins_ms) // width_ms
        if 0 <= place < _BUCKETS:
            series[kind if kind in series else "other"][place] += bucket.events
    return series


def by_sink(latencies: Sequence[history.Latency], begins_ms: int, width_ms: int) -> dict[str, list[Any]]:
    """Seconds that half, and 99 of a hundred, of the deliveries took, by sink and bucket; None where none ended."""
    series: dict[str, list[Any]] = {}
    for found in latencies:
        place = (found.begins_ms - begins_ms) // width_ms
        if 0 <= place < _BUCKETS:
            buckets = series.setdefault(found.sink, [None] * _BUCKETS)
            buckets[place] = {"p50": found.half_ms / 1000, "p99": found.most_ms / 1000}
    return series


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_time(time_ms)
