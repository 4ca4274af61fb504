"""Operator events: what the poller tells of itself, and when. A notice is something new about a sink or a stream.

Each is told once, where a state turns: a sink's breaker opens or closes, deletions are held, a stream fails for long.
Its id comes of what it is about and of when that began, so that it is the same after a crash or a restored backup.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import NamedTuple

from poller import envelope, route
from poller.breaker import Breaker
from poller.model import Change, Kind, Stream, format_time
from poller.plan import Plan, Scope, Target

SINKS, STREAMS = "sinks", "streams"
"""What notices are about, where records have their resource."""


class Row(NamedTuple):
    """One trigger: what it is ``about``, its ``title``, and when it is told."""

    about: str
    title: str
    when: str


NOTICES: Mapping[str, Row] = {
    "poller.sink.failing": Row(SINKS, "Sink Failing", "a receiver is away, or wants no more"),
    "poller.sink.recovered": Row(SINKS, "Sink Recovered", "it takes events again"),
    "poller.deletions.held": Row(STREAMS, "Deletions Held", "too many records vanished at once: decide"),
    "poller.stream.failing": Row(STREAMS, "Stream Failing", "polls fail for long, or access is denied"),
    "poller.stream.recovered": Row(STREAMS, "Stream Recovered", "polls go well again"),
    "poller.stream.silent": Row(STREAMS, "Stream Silent", "nothing changes where something should have"),
    "poller.baseline.completed": Row(STREAMS, "Baseline Completed", "the first complete listing is done"),
}
"""Every operator event by its trigger."""

FAILURES = 5
"""A stream is failing after so many polls in a row that failed,"""
OVERDUE_S, FAILURES_OVERDUE = 1800.0, 2
"""or after so few, where it should have been polled well so long ago; or at once, where access is denied."""


class Notice(NamedTuple):
    """Something to tell of the sink or the stream ``name``, which happened at ``at_ms``.

    ``began_ms`` is when the state began that it tells of; ``org`` is empty for sinks.
    """

    trigger: str
    org: str
    name: str
    began_ms: int
    at_ms: int
    data: Mapping[str, object]

    @property
    def stream(self) -> Stream:
        """What stands in its event where records have the listing that they are of."""
        return Stream(self.org, NOTICES[self.trigger].about)

    def change(self) -> Change:
        """The notice as the outbox takes it: a record that was created."""
        body = json.dumps({"id": self.name, **self.data}, separators=(",", ":")).encode()
        identity = sha256(f"{self.trigger} {self.began_ms}".encode()).digest()[:16]
        return Change(Kind.CREATED, self.name, self.at_ms, self.began_ms, identity, body)


def about(stream: Stream) -> Stream:
    """What stands in events about a stream where records have the listing that they are of."""
    return Stream(stream.org, STREAMS)


def targets(plan: Plan, source: str, notice: Notice, now_ms: int) -> tuple[Target, ...]:
    """Where a notice goes: only where a route names its trigger, and never to the sink that it is about."""
    scope: Callable[[], Scope] = partial(_scope, source, notice, now_ms)
    return route.targets(plan, notice.trigger, scope)


def _scope(source: str, notice: Notice, now_ms: int) -> Scope:
    change = notice.change()
    event_id = envelope.event_id(source, notice.stream, change)
    return route.scope(notice.stream, notice.trigger, change, event_id, now_ms)


def sink_turned(sink: str, before: Breaker, after: Breaker, now_ms: int) -> Notice | None:
    """What to tell where answers turned a sink's breaker."""
    if after.down_ms and not before.down_ms:
        told = {
            "since": format_time(after.down_ms),
            "paused": bool(after.paused),
            "reason": after.paused or after.error,
        }
        return Notice("poller.sink.failing", "", sink, after.down_ms, now_ms, told)
    if before.down_ms and not after.down_ms:
        return Notice("poller.sink.recovered", "", sink, before.down_ms, now_ms, _over(before.down_ms, now_ms))
    return None


def _over(began_ms: int, now_ms: int) -> dict[str, object]:
    """From when until when trouble lasted that is over now."""
    down_s = max(0, now_ms - began_ms) // 1000
    return {"since": format_time(began_ms), "recovered": format_time(now_ms), "down_s": down_s}


def deletions_held(stream: Stream, held_ms: int, missing: int, live: int) -> Notice:
    """Tell that deletions wait for an operator."""
    told = {"since": format_time(held_ms), "missing": missing, "records": live}
    return _of("poller.deletions.held", stream, held_ms, held_ms, told)


def baseline_completed(stream: Stream, baselined_ms: int, live: int) -> Notice:
    """Tell that a stream is followed from now on."""
    told = {"completed": format_time(baselined_ms), "records": live}
    return _of("poller.baseline.completed", stream, baselined_ms, baselined_ms, told)


def failing_since(
    was_ms: int | None, *, failures: int, denied: bool, polled_ms: int | None, every_s: float, now_ms: int
) -> int | None:
    """Since when a stream has been failing, after a poll that was the last of so many failures; None if it is not."""
    if not failures and not denied:
        return None
    if was_ms is not None:
        return was_ms
    overdue = polled_ms is not None and now_ms - polled_ms > (every_s + OVERDUE_S) * 1000
    failing = denied or failures >= FAILURES or (overdue and failures >= FAILURES_OVERDUE)
    return now_ms if failing else None


def stream_failing(
    stream: Stream, failing_ms: int, *, failures: int, denied: bool, polled_ms: int | None, reason: str
) -> Notice:
    """Tell that a stream cannot be followed now."""
    told = {
        "since": format_time(failing_ms),
        "polled": None if polled_ms is None else format_time(polled_ms),
        "failures": failures,
        "denied": denied,
        "reason": reason,
    }
    return _of("poller.stream.failing", stream, failing_ms, failing_ms, told)


def stream_recovered(stream: Stream, failing_ms: int, now_ms: int) -> Notice:
    """Tell that a stream that was failing is followed again."""
    return _of("poller.stream.recovered", stream, failing_ms, now_ms, _over(failing_ms, now_ms))


def stream_silent(stream: Stream, silent_ms: int, changed_ms: int, limit_s: float) -> Notice:
    """Tell that a stream has not changed for longer than its history makes likely."""
    told = {
        "since": format_time(changed_ms),
        "silent_s": max(0, silent_ms - changed_ms) // 1000,
        "expected_s": round(limit_s),
    }
    return _of("poller.stream.silent", stream, changed_ms, silent_ms, told)


def _of(trigger: str, stream: Stream, began_ms: int, at_ms: int, told: Mapping[str, object]) -> Notice:
    data = {"organization": stream.org, "resource": stream.resource, **told}
    return Notice(trigger, stream.org, stream.name, began_ms, at_ms, data)
