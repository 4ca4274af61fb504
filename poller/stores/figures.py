"""How much there is of everything, for metrics: sums over many rows, made where the rows are."""

from collections.abc import Sequence
from pathlib import Path
from sqlite3 import Connection, sqlite_version
from typing import NamedTuple

import msgspec

from poller.breaker import Breaker
from poller.stores import rows, upkeep

SQLITE = sqlite_version
"""The version of SQLite that this process uses."""

STREAM_STATES = ("following", "baseline", "failing", "suspended", "held", "paused")

_STREAMS = f"""
  SELECT {{org}}, resource, {rows.STREAM_STATE},
    count(*), sum(live), sum(missing), sum(iif(held_ms IS NULL, 0, missing)), min(polled_ms), min(next_poll_ms),
    count(silent_ms)
  FROM stream GROUP BY 1, 2, 3
"""


class Streams(NamedTuple):
    """Streams of one resource in one state, and of one organization where they were to be told apart.

    ``held`` are those of the ``missing`` records that wait for an operator's word.
    ``polled_ms`` is the oldest of their last good polls, None where none had any; ``next_poll_ms`` the earliest.
    ``silent`` of them have not changed for longer than they usually do.
    """

    org: str
    resource: str
    state: str
    number: int
    live: int
    missing: int
    held: int
    polled_ms: int | None
    next_poll_ms: int
    silent: int


class Queue(NamedTuple):
    """Deliveries of one sink: ``oldest_ms`` is since when the first that should have been made waits."""

    pending: int = 0
    oldest_ms: int | None = None


class Receiver(NamedTuple):
    """A sink's receiver as it was found, and when it took something last."""

    breaker: Breaker
    delivered_ms: int | None


class Sizes(NamedTuple):
    """Bytes: of the database's file, in use in it, of its log; free, and in all, on its disk."""

    database: int
    used: int
    log: int
    free: int
    disk: int


class Figures(NamedTuple):
    """All of it: ``quarantined`` by resource, ``queues``, ``parked`` and ``receivers`` by sink, ``held`` by route."""

    streams: Sequence[Streams]
    quarantined: dict[str, int]
    queues: dict[str, Queue]
    parked: dict[str, int]
    held: dict[str, int]
    receivers: dict[str, Receiver]
    sizes: Sizes


def figures(connection: Connection, path: Path, now_ms: int, *, organizations: bool) -> Figures:
    """Read them; each statement is short. ``organizations`` tells streams apart by them."""
    ask = connection.execute
    streams = _STREAMS.format(org="org" if organizations else "''")
    return Figures(
        streams=[Streams._make(row) for row in ask(streams)],
        quarantined=dict(
            ask("SELECT resource, count(*) FROM quarantine JOIN stream ON stream.id = quarantine.stream GROUP BY 1")
        ),
        queues={
            sink: Queue(pending, None if turn is None else turn // 1000)
            for sink, pending, turn in ask(
                "SELECT sink, count(*), min(turn) FILTER (WHERE turn <= ? * 1000) FROM delivery "
                "WHERE state = 'pending' GROUP BY sink",
                [now_ms],
            )
        },
        parked=dict(ask("SELECT sink, count(*) FROM delivery WHERE state = 'parked' GROUP BY sink")),
        held=dict(ask("SELECT route, count(*) FROM delivery WHERE state = 'held' GROUP BY route")),
        receivers={
            sink: Receiver(msgspec.json.decode(breaker, type=Breaker), delivered_ms)
            for sink, breaker, delivered_ms in ask("SELECT name, breaker, delivered_ms FROM sink")
        },
        sizes=_sizes(connection, path),
    )


def _sizes(connection: Connection, path: Path) -> Sizes:
    used, free, disk = upkeep.sizes(connection, path)
    log = path.with_name(f"{path.name}-wal")
    return Sizes(path.stat().st_size, used, log.stat().st_size if log.exists() else 0, free, disk)
