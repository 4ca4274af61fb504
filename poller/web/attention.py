"""What of the state needs a person, and what will be well by itself: first things first."""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from poller.report import NO_STREAM

Found = Mapping[str, Any]


class Level(StrEnum):
    """Whether a person has to act, or only to watch."""

    ACT = "act"
    WATCH = "watch"


class Concern(NamedTuple):
    """One thing to see to. ``what`` names it, ``text`` says what is the case and what to do.

    ``actions`` are those that may be done to ``target``.
    """

    level: Level
    what: str
    text: str
    actions: tuple[str, ...] = ()
    target: Mapping[str, str] = {}


def concerns(found: Found) -> list[Concern]:
    """All of them, those that need a person first."""
    every = [concern for look in _LOOKS for concern in look(found)]
    return sorted(every, key=lambda concern: concern.level == Level.WATCH)


def _polls(found: Found) -> Iterator[Concern]:
    if found["polls_paused"]:
        yield Concern(
            Level.ACT, "Polls pause", f"{found['polls_paused']}. Deliveries go on, and polls once that is over."
        )


def _reload(found: Found) -> Iterator[Concern]:
    reloaded = found.get("reloaded") or {}
    if reloaded.get("ok") is False:
        text = f"{reloaded.get('error', '')} The configuration from before is still in force."
        yield Concern(Level.ACT, "The new configuration was refused", text)


def _organizations(found: Found) -> Iterator[Concern]:
    lost = found.get("organizations")
    if lost:
        text = f"{lost['error']}. Those that were known before are followed on; new ones are not."
        yield Concern(Level.WATCH, "The organizations are unknown", text)


def _deletions(found: Found) -> Iterator[Concern]:
    for row in found["missing"]:
        if row["held_since"]:
            every = row["missing"] + row["records"]
            text = (
                f"{row['missing']} of {every} records are gone from the listing. "
                "Approve if they were deleted; reject if the API is wrong. If they come back, they are let go."
            )
        else:
            text = (
                f"{row['missing']} records are gone from the listing, but the API still counts them. "
                "If that stays so and they were deleted, approve."
            )
        level, what = (Level.ACT, "Deletions held") if row["held_since"] else (Level.WATCH, "Records missing")
        yield Concern(level, f"{what} in {row['stream']}", text, ("approve", "reject"), {"name": row["stream"]})


def _floods(found: Found) -> Iterator[Concern]:
    for row in found["held"]:
        text = f"{_count(row['held'], 'delivery', 'deliveries')}, more than the route lets through at a time."
        actions = ("approve", "reject")
        yield Concern(Level.ACT, f"Deliveries held by route {row['route']}", text, actions, {"name": row["route"]})


def _sinks(found: Found) -> Iterator[Concern]:
    for row in found["sinks"]:
        name, error = row["sink"], row["error"]
        waiting = _count(row["pending"], "delivery waits", "deliveries wait")
        if row["parked"]:
            text = (
                f"{_count(row['parked'], 'delivery was', 'deliveries were')} given up. Mend the receiver, then retry."
            )
            yield Concern(Level.ACT, f"Dead letters of {name}", text, ("retry",), {"sink": name})
        if row["state"] == "paused":
            yield Concern(Level.ACT, f"Sink {name} is paused", f"{error}. {waiting}.", ("resume",), {"name": name})
        elif row["state"] == "open":
            yield Concern(
                Level.WATCH, f"Sink {name} is away", f"{error}. {waiting}; it is tried again.", (), {"name": name}
            )


def _unrouted(found: Found) -> Iterator[Concern]:
    lost = found["counts"]["parked"] - sum(row["parked"] for row in found["sinks"])
    if lost > 0:
        text = (
            f"{_count(lost, 'event has', 'events have')} no sink: a condition of a route failed. Mend it, then retry."
        )
        yield Concern(Level.ACT, "Dead letters of no sink", text, ("retry",), {"sink": ""})


def _streams(found: Found) -> Iterator[Concern]:
    states, rows = found["summary"]["states"], found["summary"].get("resources", ())
    if not states:
        yield Concern(Level.ACT, "No stream is followed yet", NO_STREAM)
    for state, level, text in _STATES:
        count = states.get(state, 0)
        if count:
            told = _of(row["resource"] for row in rows if row["states"].get(state)) + text
            yield Concern(level, f"{_count(count, 'stream', 'streams')} {state}", told, (), {})
    late = found["summary"]["late"]
    if late and not found["polls_paused"]:
        told = _of(row["resource"] for row in rows if row["late"]) + _LATE
        yield Concern(Level.ACT, f"{_count(late, 'stream', 'streams')} late", told)


def _of(resources: Iterator[str]) -> str:
    """Which resources have such streams, before what is the case."""
    names = list(resources)
    return f"Of {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}. " if names else ""


_LATE = "Polls are overdue by more than two minutes: [source] rate is too low for so many, or the API is slow."


_STATES = (
    (
        "suspended",
        Level.ACT,
        "The API denies access, or the organization is gone for this token. Mend that; each is tried every 15 minutes.",
    ),
    ("paused", Level.ACT, "Stopped by an operator until resumed."),
    ("failing", Level.WATCH, "The last polls failed; they are tried again, at most 15 minutes apart."),
    ("baseline", Level.WATCH, "The first complete listing is under way; it makes no events."),
)


def _silent(found: Found) -> Iterator[Concern]:
    count = found["counts"].get("silent", 0)
    if count:
        names = [row["stream"] for row in found["silent"][:3]]
        text = "No change for far longer than it is used to: is all well where its records come from?"
        told = f"{', '.join(names)}{' and others' if count > len(names) else ''}. {text}" if names else text
        yield Concern(Level.WATCH, f"{_count(count, 'stream is', 'streams are')} silent", told)


def _quarantine(found: Found) -> Iterator[Concern]:
    count = found["counts"]["quarantined"]
    if count:
        text = "Not followed until the API shows them whole."
        yield Concern(Level.WATCH, f"{_count(count, 'record', 'records')} in quarantine", text)


def _count(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


_LOOKS: tuple[Callable[[Found], Iterator[Concern]], ...] = (
    _polls,
    _reload,
    _organizations,
    _deletions,
    _floods,
    _sinks,
    _unrouted,
    _streams,
    _silent,
    _quarantine,
)
