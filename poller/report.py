"""What commands print: tables for people, JSON for programs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from tabulate import tabulate

from poller.model import format_time
from poller.stores import Standing, reading
from poller.stores.selection import Selection

NO_STREAM = (
    "It is not known which organizations the token sees. If that lasts, the log says why (organizations.failed); "
    "poller check tries it."
)


class Running(NamedTuple):
    """A poller that runs: its process, why its polls pause, if they do, and what it follows.

    ``reloaded`` is how its configuration was last read anew: ``ok``, ``at_ms``, ``error``; None if it never was.
    ``requests`` are how many it may make a second: ``allowed``, the ``rate`` that is left of that, ``budget``.
    ``lost`` is since when it is in vain asked which organizations there are, ``since_ms``, and why, ``error``; None
    while that is known.
    """

    process: int
    pressed: str
    resources: Collection[str] = ()
    reloaded: dict[str, Any] | None = None
    requests: dict[str, Any] | None = None
    lost: dict[str, Any] | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Running":
        """What it says of itself when it is asked; one of an older version says less."""
        process, pressed, resources = int(answer["pid"]), str(answer["pressed"]), tuple(answer["resources"])
        return cls(process, pressed, resources, answer["reloaded"], answer.get("requests"), answer.get("lost"))


class Part(NamedTuple):
    """What is shown where there may be more than can be shown."""

    streams: Sequence[Standing]
    parked: list[dict[str, Any]]
    quarantined: list[dict[str, Any]]


def status(
    view: reading.View, followed: Collection[str], running: Running | None, part: Part | None = None
) -> dict[str, Any]:
    """All that ``poller status`` shows, as plain values, or a part of it; ``running`` is None where no poller runs.

    ``followed`` are the resources of the configuration that is in force.
    """
    part = part or Part(view.streams(), view.parked(Selection()), view.quarantined())
    return {
        "running": running and running.process,
        "polls_paused": running.pressed if running else "",
        "requests": running and running.requests,
        "streams": [stream(standing, followed) for standing in part.streams],
        "sinks": sinks(view),
        "held": view.held(),
        "parked": part.parked,
        "quarantined": part.quarantined,
        "reloaded": running and running.reloaded and _reloaded(running.reloaded),
        "organizations": running and running.lost and _lost(running.lost),
        "silent": [_silent(standing) for standing in part.streams if standing.silent_ms is not None],
    }


def _silent(standing: Standing) -> dict[str, Any]:
    rhythm = standing.progress.rhythm
    return {
        "stream": standing.stream.name,
        "last_change": _time(rhythm.changed_ms),
        "reported": _time(standing.silent_ms),
        "longest_pause_s": rhythm.longest_s,
        "mean_pause_s": rhythm.mean_s,
    }


def _reloaded(last: dict[str, Any]) -> dict[str, Any]:
    return {"ok": last["ok"], "at": _time(last["at_ms"]), "error": last["error"]}


def _lost(lost: dict[str, Any]) -> dict[str, Any]:
    return {"unknown_since": _time(lost["since_ms"]), "error": lost["error"]}


def stream(standing: Standing, followed: Collection[str]) -> dict[str, Any]:
    """One stream; it is off where its resource is not among those that are ``followed``."""
    progress = standing.progress
    return {
        "stream": standing.stream.name,
        "state": _state(standing) if standing.stream.resource in followed else "off",
        "records": progress.live,
        "missing": progress.missing,
        "polled": _time(standing.polled_ms),
        "next_poll": _time(standing.next_poll_ms or None),
        "watermark": _time(max(progress.watermarks.values(), default=None)),
        "next_sweep": _time(progress.next_sweep_ms or None),
        "held_since": _time(progress.held_ms),
        "failures": standing.failures,
        "error": standing.error,
    }


def sinks(view: reading.View) -> list[dict[str, Any]]:
    """How each sink and its receiver are."""
    return [_sink(backlog) for backlog in view.backlogs()]


def _sink(backlog: reading.Backlog) -> dict[str, Any]:
    breaker = backlog.breaker
    return {
        "sink": backlog.sink,
        "state": breaker.state,
        "pending": backlog.pending,
        "parked": backlog.parked,
        "delivered": backlog.delivered,
        "oldest_pending": _time(backlog.oldest_ms),
        "last_delivered": _time(backlog.delivered_ms),
        "next_try": _time(breaker.wait_until_ms or None),
        "error": breaker.paused or breaker.error,
    }


def sinks_text(rows: Sequence[dict[str, Any]]) -> str:
    """The sinks for people."""
    return _table(rows, ("sink", "state", "pending", "parked", "delivered", "oldest_pending", "next_try", "error"))


def _state(standing: Standing) -> str:
    if standing.paused:
        return "paused"
    if standing.suspended:
        return "suspended"
    if standing.progress.held_ms is not None:
        return "held"
    if standing.failures:
        return "failing"
    return "following" if standing.progress.baselined_ms is not None else "baseline"


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_time(time_ms)


def status_text(found: dict[str, Any]) -> str:
    """The status for people: what needs a person first."""
    running = found["running"]
    parts = [f"poller is running (process {running})" if running else "poller is not running"]
    if found["polls_paused"]:
        parts.append(f"POLLS PAUSE: {found['polls_paused']}. Deliveries go on, and so do polls when that is over.")
    if found["reloaded"] and not found["reloaded"]["ok"]:
        parts.append(
            f"NOT RELOADED: at {found['reloaded']['at']} the changed configuration could not be used; the old one is "
            f"in force.\n{found['reloaded']['error']}"
        )
    if lost := found["organizations"]:
        parts.append(
            f"ORGANIZATIONS UNKNOWN: since {lost['unknown_since']} it is asked in vain which there are; those that "
            f"were known before are followed on.\n{lost['error']}"
        )
    parts += _requests(found["requests"] or {})
    if not found["streams"]:
        parts.append(f"NO STREAM is followed yet. {NO_STREAM}")
    parts += _held(found["streams"])
    parts += [
        f"SILENT: {row['stream']} has not changed since {row['last_change']}, and never paused so long of late."
        for row in found["silent"]
    ]
    parts += [
        f"HELD: {row['held']} deliveries of route {row['route']}, more than it lets through at a time.\n"
        f"  Send them?     poller approve {row['route']}\n"
        f"  Forget them?   poller reject {row['route']}"
        for row in found["held"]
    ]
    parts.append(_table(found["streams"], ("stream", "state", "records", "polled", "next_poll", "watermark", "error")))
    parts.append(sinks_text(found["sinks"]))
    if found["parked"]:
        parts.append("Parked deliveries (poller retry sends them again):")
        parts.append(parked_text(found["parked"]))
    if found["quarantined"]:
        parts.append("Quarantined records (not followed until the API shows them whole):")
        parts.append(_table(found["quarantined"], ("stream", "record", "reason")))
    return "\n\n".join(part for part in parts if part)


def _requests(told: dict[str, Any]) -> list[str]:
    """What polls may take, where that is other than what is allowed to all."""
    if not told:
        return []
    parts = [f"a budget of {told['budget']:.3g} a second"] if told["budget"] else []
    if told["rate"] < told["allowed"]:
        parts.append(f"{told['rate']:.3g} of {told['allowed']:.3g} a second, since the API refused some (429)")
    return [f"Requests: {'; now '.join(parts)}."] if parts else []


def parked_text(rows: Sequence[dict[str, Any]]) -> str:
    """Parked deliveries for people."""
    return _table(rows, ("sink", "route", "id", "trigger", "attempts", "error"))


def deliveries_text(rows: Sequence[dict[str, Any]]) -> str:
    """How the deliveries of an event stand, for people."""
    return _table(rows, ("sink", "route", "state", "attempts", "error"))


def _held(streams: Iterable[dict[str, Any]]) -> list[str]:
    return [
        f"HELD: {row['missing']} of {row['missing'] + row['records']} records of {row['stream']} are gone from the "
        f"listing since {row['held_since']}.\n"
        f"  They were deleted?   poller approve {row['stream']}\n"
        f"  The API is wrong?    poller reject {row['stream']}\n"
        "  If they come back, they are let go by themselves."
        for row in streams
        if row["held_since"]
    ] + [
        f"UNCONFIRMED: {row['missing']} records of {row['stream']} are gone from the listing, but the API still counts "
        f"them.\n  If that stays so and they were deleted:   poller approve {row['stream']}"
        for row in streams
        if row["missing"] and not row["held_since"]
    ]


def _table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return ""
    return tabulate([[row[column] for column in columns] for row in rows], columns, "simple", disable_numparse=True)


def event_line(stored: reading.Stored) -> str:
    """One event on one line for people: when, what, which record, what changed."""
    event = msgspec.json.decode(stored.body)
    changed = ", ".join(event["data"].get("changed", ()))
    return f"{event['recordedtime']}  {stored.trigger:<25}  {event['subject']:<40}  {changed}".rstrip()
