"""What the status page reads of the state: all of it bounded, whatever the number of streams, events and deliveries.

Events and deliveries are found by their sequence, which is the time in microseconds at which they were recorded (it may
run ahead of a clock that was set back), so that no further index has to be kept for them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from poller.stores import Standing, rows
from poller.stores.reading import Stored, View

LATE_MS = 120_000
"""A poll that is overdue for longer is late."""

ENOUGH = 20_000
"""So many deliveries tell how long they take."""

_LATE = "(NOT paused AND NOT suspended AND next_poll_ms BETWEEN 1 AND :late_ms)"
_TROUBLE = f"(paused OR suspended OR missing OR failures OR silent_ms IS NOT NULL OR {_LATE})"


class Group(NamedTuple):
    """The streams of one resource in one state; ``polled_ms`` is when the one was polled that waits for longest."""

    resource: str
    state: str
    streams: int
    records: int
    late: int
    polled_ms: int | None


class Counted(NamedTuple):
    """Events of one trigger that were recorded from ``begins_ms`` on, until the next bucket begins."""

    begins_ms: int
    trigger: str
    events: int


class Latency(NamedTuple):
    """How long it took until a sink had said yes, in milliseconds, to half and to 99 of a hundred of its deliveries.

    Counted from when each was to be sent: from its event, or the end of its route's delay, or a retry.
    """

    sink: str
    begins_ms: int
    half_ms: int
    most_ms: int


def groups(view: View, now_ms: int) -> list[Group]:
    """The streams, summed up by resource and state."""
    found = view.rows(
        f"""SELECT resource, {rows.STREAM_STATE}, count(*), sum(live), sum({_LATE}), min(polled_ms)
            FROM stream GROUP BY 1, 2 ORDER BY 1, 2""",
        {"late_ms": now_ms - LATE_MS},
    )
    return [Group._make(row) for row in found]


def streams(view: View, now_ms: int, limit: int, *, search: str = "", trouble: bool = False) -> list[Standing]:
    """The streams whose name or error holds ``search``, or only those in ``trouble``; those in trouble first."""
    found = view.rows(
        f"""SELECT {rows.STANDING} FROM stream
            WHERE (:search = '' OR instr(lower(org || '/' || resource || ' ' || error), :search))
              AND (NOT :trouble OR {_TROUBLE})
            ORDER BY {_TROUBLE} DESC, org, resource LIMIT :limit""",
        {"search": search.lower(), "trouble": trouble, "limit": limit, "late_ms": now_ms - LATE_MS},
    )
    return [rows.standing(row) for row in found]


def missing(view: View, limit: int) -> list[Standing]:
    """Streams of which records are gone from the listing: held, or not confirmed yet."""
    found = view.rows(
        f"SELECT {rows.STANDING} FROM stream WHERE missing ORDER BY held_ms IS NULL, org, resource LIMIT :limit",
        {"limit": limit},
    )
    return [rows.standing(row) for row in found]


def events(view: View, since_ms: int, width_ms: int) -> list[Counted]:
    """How many events there were, in buckets of ``width_ms`` that begin at its multiples."""
    found = view.rows(
        """SELECT recorded_ms / :width_ms * :width_ms, trigger, count(*) FROM event
           WHERE sequence >= :since_ms * 1000 AND recorded_ms >= :since_ms GROUP BY 1, 2""",
        {"since_ms": since_ms, "width_ms": width_ms},
    )
    return [Counted._make(row) for row in found]


def latencies(view: View, since_ms: int, width_ms: int) -> list[Latency]:
    """How long deliveries took, by sink and by the bucket of their end; of events since then.

    Of very many, only ``ENOUGH`` are looked at, spread evenly.
    """
    values = {"since_ms": since_ms, "width_ms": width_ms}
    done = "sequence >= :since_ms * 1000 AND state = 'delivered'"
    ((every,),) = view.rows(f"SELECT count(*) FROM delivery WHERE {done}", values)
    found = view.rows(
        f"""WITH done AS (
              SELECT sink, settled_ms / :width_ms * :width_ms AS begins_ms, max(0, settled_ms - turn / 1000) AS took_ms
              FROM delivery WHERE {done} AND sequence % :nth = 0),
            placed AS (
              SELECT *, row_number() OVER (PARTITION BY sink, begins_ms ORDER BY took_ms) AS place,
                count(*) OVER (PARTITION BY sink, begins_ms) AS every
              FROM done)
            SELECT sink, begins_ms, min(took_ms) FILTER (WHERE place * 2 >= every),
              min(took_ms) FILTER (WHERE place * 100 >= every * 99)
            FROM placed GROUP BY 1, 2""",
        values | {"nth": max(1, every // ENOUGH)},
    )
    return [Latency._make(row) for row in found]


def newest(view: View, limit: int) -> list[Stored]:
    """The newest events, newest first."""
    return view.events("ORDER BY sequence DESC LIMIT :limit", {"limit": limit})


def parked(view: View, sinks: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """The newest parked deliveries of each of these sinks, and of no sink, so many of each at most, newest first."""
    columns = ("sequence", "sink", "route", "id", "trigger", "attempts", "error", "settled_ms")
    found = [
        dict(zip(columns, row, strict=True))
        for sink in dict.fromkeys([*sinks, ""])
        for row in view.rows(
            """SELECT d.sequence, d.sink, d.route, e.id, e.trigger, d.attempts, d.error, d.settled_ms
               FROM delivery d JOIN event e USING (sequence)
               WHERE d.sink = :sink AND d.state = 'parked' ORDER BY d.sequence DESC LIMIT :limit""",
            {"sink": sink, "limit": limit},
        )
    ]
    return sorted(found, key=lambda row: row.pop("sequence"), reverse=True)[:limit]


def counts(view: View) -> dict[str, int]:
    """How many deliveries are parked, also under no sink; how many records in quarantine; how many streams silent."""
    ((parked_count, quarantined_count, silent_count),) = view.rows(
        """SELECT (SELECT count(*) FROM delivery WHERE state = 'parked'), (SELECT count(*) FROM quarantine),
             (SELECT count(*) FROM stream WHERE silent_ms IS NOT NULL)""",
        {},
    )
    return {"parked": parked_count, "quarantined": quarantined_count, "silent": silent_count}


def quarantined(view: View, limit: int) -> list[dict[str, Any]]:
    """The records that were set aside last."""
    found = view.rows(
        """SELECT org || '/' || resource, record, reason, seen_ms FROM quarantine
           JOIN stream ON stream.id = quarantine.stream ORDER BY seen_ms DESC, 1, 2 LIMIT :limit""",
        {"limit": limit},
    )
    return [dict(zip(("stream", "record", "reason", "seen_ms"), row, strict=True)) for row in found]


def answers(view: View) -> bool:
    """Whether the database can be read now; raises what SQLite says."""
    return bool(view.rows("SELECT count(*) FROM meta", {}))
