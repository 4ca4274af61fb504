"""What tests of whole polls share: a rig around one simulated account, and a mirror that folds events.

A ``Rig`` is a poller without its daemon: a real SQLite file, the real source, a clock that only tests move.
A ``Mirror`` is the receiver that the poller exists for: it believes nothing but events, and says at once
when one of them cannot be true.
"""

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from unpacked import unpacking

from poller.http import Disconnected, Response, TimedOut, TooLarge
from poller.model import Stream
from poller.plan import Plan, Watch
from poller.poll import poll
from poller.running import Tools
from poller.simulator import Account, Simulator
from poller.simulator.http import Request, query
from poller.sources.spaceinvoices import RESOURCES, SpaceInvoices
from poller.stores import Decision, Progress
from poller.stores.sqlite import SqliteStore

START_MS = 1_770_818_400_000  # 2026-02-11T14:00:00Z
OVERLAP_S = 300.0
SECOND_MS, MINUTE_MS, HOUR_MS = 1000, 60_000, 3_600_000
STAMP = "updatedAt"


class Clock:
    """The time of account, server and poller alike; it stands still until it is moved."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, span_ms: int) -> None:
        self.now_ms += span_ms


class NoWait(Event):
    """A stop that never comes, and for which nobody waits: retries follow at once."""

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002  nobody waits
        return self.is_set()


class CountedSource(SpaceInvoices):
    """The real source, with a list of the paths that it asked for."""

    def __init__(self, token: str, base_url: str) -> None:
        super().__init__(token, base_url=base_url, rate=10_000, stop=NoWait(), chance=lambda: 0.0)
        self.asked: list[str] = []

    def _try(self, url: str, parent: str) -> Any:
        self.asked.append(urlsplit(url).path.removeprefix("/v1/"))
        return super()._try(url, parent)


class InProcess:
    """Stands in for the HTTP client: the simulator answers without sockets, and in no time."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def request(self, method: str, url: str, *, headers, deadline_s: float, max_bytes: int) -> Response:
        target = urlsplit(url)
        lower = {name.lower(): value for name, value in headers.items()}
        answer = self._simulator.answer(Request(method, target.path, query(target.query), lower))
        if answer.wire.reset or answer.wire.keep_bytes is not None:
            raise Disconnected("the connection was closed in the middle of the answer")
        if answer.wire.hang_s > deadline_s or answer.wire.pause_s * len(answer.body) > deadline_s:
            raise TimedOut(f"the deadline of {deadline_s} s passed")
        known = httpx.Headers(list(answer.headers))
        body = zlib.decompress(answer.body, 31) if known.get("content-encoding") == "gzip" else answer.body
        if len(body) > max_bytes:
            raise TooLarge(f"the answer is larger than {max_bytes} bytes")
        return Response(answer.status, known, body, 0.0)


def plan(*names: str, alone: bool = True, **how: Any) -> Plan:
    """A plan that follows these resources, all in the same way; prices bring their price lists along.

    ``alone``: counts and sweeps come when a test asks for them, never by themselves.
    """
    seldom = {"count_every": 1_000_000, "sweep_every_s": 1e9} if alone else {}
    asked = ["price_lists", *names] if "prices" in names and "price_lists" not in names else names
    rows = sorted((RESOURCES[name] for name in asked), key=lambda row: row.parent is not None)
    every = {"every_s": 60.0, "sweep_every_s": 6 * 3600.0, "overlap_s": OVERLAP_S} | seldom | how
    ignored = frozenset(every.pop("ignore", ()))
    watches = [Watch(row, ignore=row.ignore | ignored, announces=row.name in names, **every) for row in rows]
    return Plan({watch.resource.name: watch for watch in watches})


class Told(NamedTuple):
    """An event as a receiver reads it; ``raw`` is what came over the wire."""

    id: str
    sequence: int
    org: str
    resource: str
    record_id: str
    kind: str
    object: dict[str, Any]
    changed: list[str] | None
    previous: dict[str, Any] | None
    raw: bytes

    @property
    def key(self) -> tuple[str, str, str]:
        return self.org, self.resource, self.record_id


def read_event(raw: bytes) -> Told:
    """Read an event's bytes; what the envelope says twice has to agree."""
    told = json.loads(raw)
    resource, record_id = told["subject"].split("/")
    org = told["source"].rsplit("/", 1)[1]
    data = told["data"]
    assert told["partitionkey"] == f"{org}/{resource}/{record_id}"
    assert data["object"]["id"] == record_id
    assert b"\n" not in raw
    return Told(
        told["id"],
        int(told["sequence"]),
        org,
        resource,
        record_id,
        told["type"].rsplit(".", 1)[1],
        data["object"],
        data.get("changed"),
        data.get("previous"),
        raw,
    )


class Rig:
    """One poller on one account. ``source``, ``store`` and ``plan`` may be replaced while it runs.

    With a ``simulator`` instead of a ``url`` nothing goes over the network.
    """

    def __init__(
        self,
        path: Path,
        follow: Plan,
        *,
        url: str = "",
        token: str = "",
        simulator: Simulator | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.path = path
        self.plan = follow
        self.now_ms = clock or Clock()
        self.source = CountedSource(token, url or "http://simulated/v1")
        if simulator is not None:
            self.source._headers["Authorization"] = simulator.account.token
            self.source._thread.client = InProcess(simulator)
        self.store = SqliteStore(path, self.source.name)
        self._read = 0

    def close(self) -> None:
        self.store.close()
        client = self.source._client()
        if not isinstance(client, InProcess):
            client.close()

    def reopen(self) -> None:
        """As a restart of the process does."""
        self.store.close()
        self.store = SqliteStore(self.path, self.source.name)

    def run(self, org: str, resource: str, *, full: bool = False) -> None:
        """Poll once; ``news`` has the events, also those of a poll that fails half way."""
        poll(Tools(self.source, self.store, self.plan, self.now_ms), Stream(org, resource), full=full)

    def poll(self, org: str, resource: str, *, full: bool = False) -> list[Told]:
        """Poll once; the events that this made."""
        self.run(org, resource, full=full)
        return self.news()

    def asked(self) -> list[str]:
        """The paths asked for since the last call."""
        asked, self.source.asked = self.source.asked, []
        return asked

    def news(self) -> list[Told]:
        """The events in the outbox since the last call, oldest first."""
        found = self.outbox(self._read)
        self._read = max((event.sequence for event in found), default=self._read)
        return found

    def outbox(self, above: int = 0) -> list[Told]:
        """All events of a higher sequence."""
        sql = "SELECT unpacked(dictionary, body) FROM event WHERE sequence > ? ORDER BY sequence"
        return [read_event(body) for (body,) in self.rows(sql, above)]

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What another process would read of the file."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as connection:
            return unpacking(connection).execute(sql, values).fetchall()

    def progress(self, org: str, resource: str) -> Progress:
        return self.store.standing(Stream(org, resource)).progress

    def decide(self, org: str, resource: str, decision: Decision) -> bool:
        return self.store.decide(Stream(org, resource).name, decision)

    def follow(self, **how: Any) -> None:
        """Change how every resource is followed."""
        self.plan = Plan({name: replace(watch, **how) for name, watch in self.plan.watches.items()})

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is remembered and announced, table by table."""
        tables = ("mark", "body", "event", "delivery", "quarantine", "meta")
        found = {name: self.rows(f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables}
        columns = "org, resource, baselined_ms, watermarks, sweep, sweeps, live, missing, held_ms, count_gap"
        return found | {"stream": self.rows(f"SELECT {columns} FROM stream ORDER BY 1, 2")}


def content(body: Mapping[str, Any], ignore: Iterable[str] = ()) -> dict[str, Any]:
    """What of a record is to be compared: all but its stamp and the ignored paths."""
    return _without(body, {*ignore, STAMP}, "")


def _without(value: Mapping[str, Any], ignore: set[str], prefix: str) -> dict[str, Any]:
    return {
        key: _without(item, ignore, f"{prefix}{key}.") if isinstance(item, dict) else item
        for key, item in value.items()
        if prefix + key not in ignore
    }


def same(one: object, other: object) -> bool:
    """Equal as JSON text: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def paths(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every dotted path at which two records differ, with its old value where it had one."""
    found: dict[str, Any] = {}
    for key in {**before, **now}:
        old, new, path = before.get(key, _NONE), now.get(key, _NONE), prefix + key
        if isinstance(old, dict) and isinstance(new, dict):
            found |= paths(old, new, f"{path}.")
        elif (old is _NONE) != (new is _NONE) or (old is not _NONE and not same(old, new)):
            found[path] = old
    return found


_NONE = object()


def difference(before: Mapping[str, Any], now: Mapping[str, Any], ignore: Iterable[str] = ()) -> Any:
    """What an update has to say: the set of the paths that changed, and the old values of those that had one."""
    differing = paths(content(before, ignore), content(now, ignore))
    return set(differing), {path: value for path, value in differing.items() if value is not _NONE}


class Mirror:
    """What a receiver knows who believes nothing but events. ``records`` is its copy of the account."""

    def __init__(self, ignore: Mapping[str, frozenset[str]] | None = None) -> None:
        self.records: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._ignore = dict(ignore or {})
        self._bytes: dict[str, bytes] = {}
        self._sequences: dict[tuple[str, str, str], int] = {}

    def fold(self, events: Iterable[Told]) -> None:
        """Take events in order; fails at the first that does not fit what the ones before it said."""
        for event in events:
            assert self._bytes.setdefault(event.id, event.raw) == event.raw, "one id, two events"
            assert event.sequence > self._sequences.get(event.key, 0), "sequence does not rise"
            self._sequences[event.key] = event.sequence
            {"created": self._create, "updated": self._update, "deleted": self._delete}[event.kind](event)

    def _create(self, event: Told) -> None:
        assert event.key not in self.records, f"created, but it was there: {event.key}"
        assert event.object.get("_isDeleted") is not True
        self.records[event.key] = event.object

    def _update(self, event: Told) -> None:
        before = self.records.get(event.key)
        assert before is not None, f"updated, but it was not there: {event.key}"
        changed, previous = difference(before, event.object, self._ignored(event))
        assert changed, "updated, but nothing changed"
        assert set(event.changed or ()) == changed, "changed does not say what changed"
        assert same(event.previous, previous), "previous does not say what was"
        self.records[event.key] = event.object

    def _delete(self, event: Told) -> None:
        last = self.records.pop(event.key, None)
        assert last is not None, f"deleted, but it was not there: {event.key}"
        if event.object.get("_isDeleted") is not True:
            ignore = self._ignored(event)
            assert same(content(event.object, ignore), content(last, ignore)), "not the last known record"

    def _ignored(self, event: Told) -> frozenset[str]:
        return self._ignore.get(event.resource, frozenset())

    def differences(self, account: Account, org: str, resource: str) -> list[str]:
        """In what the copy of a listing differs from what the API shows."""
        shown = account.live(org, resource)
        known = {key[2]: body for key, body in self.records.items() if key[:2] == (org, resource)}
        ignore = self._ignore.get(resource, frozenset())
        wrong = [f"{resource} {one}: announced, but not there" for one in sorted(known.keys() - shown.keys())]
        wrong += [f"{resource} {one}: there, but not announced" for one in sorted(shown.keys() - known.keys())]
        wrong += [
            f"{resource} {one}: differs in {', '.join(differing)}"
            for one in sorted(shown.keys() & known.keys())
            if (differing := paths(content(known[one], ignore), content(shown[one], ignore)))
        ]
        return wrong
