"""The nouns of the project: frozen values that travel between its parts.

Times are integers, milliseconds since 1970 in UTC, and end in ``_ms``; spans are seconds and end in ``_s``.
A record's body is always the API's own bytes: it is stored, compared and sent, but never written anew.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import NamedTuple


def parse_time(text: object) -> int | None:
    """Milliseconds of a date as the API may write it, or None.

    ``Z``, ``+00:00``, ``+00:00Z``, a blank for ``T`` and a date alone all occur in its documentation.
    What is not within the years 1 to 9999 of UTC cannot be written back, and is None too.
    """
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("+00:00Z", "Z"))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    time_ms = (moment - _EPOCH) // _MILLISECOND
    return time_ms if _FIRST_MS <= time_ms <= _LAST_MS else None


def format_time(time_ms: int) -> str:
    """The date as the API takes and gives it: ``2026-02-11T14:02:07.093Z``. Raises ``OverflowError``."""
    days, rest_ms = divmod(time_ms, 86_400_000)
    minutes, rest_ms = divmod(rest_ms, 60_000)
    return f"{_date(days)}T{minutes // 60:02}:{minutes % 60:02}:{rest_ms // 1000:02}.{rest_ms % 1000:03}Z"


@lru_cache(maxsize=512)
def _date(days: int) -> str:
    return (_EPOCH + timedelta(days)).date().isoformat()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST_MS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND


class Kind(StrEnum):
    """What happened to a record."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


class Stream(NamedTuple):
    """One listing that is followed: one resource of one organization."""

    org: str
    resource: str

    @property
    def name(self) -> str:
        """How people write it: ``<organization>/<resource>``."""
        return f"{self.org}/{self.resource}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of record that a source lists: a row of the source's table.

    ``singular`` is the word in trigger names (``client.created``); ``parent`` names the resource whose
    records each have a listing of their own (prices are listed by price list). ``ignore`` are dotted
    paths that never make a change; ``rendered`` are paths that the API writes anew when it answers,
    so that they count only when ``updatedAt`` moved too.
    """

    name: str
    singular: str
    title: str
    path: str
    parent: str | None = None
    ignore: frozenset[str] = frozenset()
    rendered: frozenset[str] = frozenset()
    opt_in: bool = False


class Organization(NamedTuple):
    """One organization that the token can see."""

    id: str
    name: str


class Record(NamedTuple):
    """One object as the API showed it.

    ``body`` is one JSON object on one line, and ``digest`` is of these bytes; both are empty in a listing of ids and
    stamps only. ``updated_ms`` is None where the API gave no usable ``updatedAt``.
    """

    id: str
    updated_ms: int | None
    deleted: bool
    body: bytes
    digest: bytes


class Quarantined(NamedTuple):
    """A record that cannot be followed: its id (or a digest where it has none) and the reason."""

    key: str
    reason: str


class Page(NamedTuple):
    """One answer of a listing, already checked.

    ``ids`` are those of all records that it shows, in its order; ``records`` leaves out those that are as remembered,
    where the listing was told what is (``sources.Sweep``). ``began_ms`` is the server's time at which its request
    began, never later than the truth, or None where the server gave no date.
    """

    ids: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    began_ms: int | None = None


class State(IntEnum):
    """Where a remembered record stands."""

    LIVE = 0
    DELETED = 1
    MISSING = 2  # a complete listing did not show it; not yet confirmed as deleted, or held for approval
    DISMISSED = 3  # missing, and the operator refused to have that announced


class Mark(NamedTuple):
    """What is remembered of a record, beside its last body.

    ``digest`` is of the body's bytes: equal digests mean an unchanged record. ``parent`` is the id of
    the parent record for resources that are listed by parent, else empty. ``body`` is the store's own
    number of the last body; 0 where none is kept.
    """

    id: str
    updated_ms: int | None
    digest: bytes
    state: State = State.LIVE
    parent: str = ""
    body: int = 0


class Change(NamedTuple):
    """A difference between what was remembered and what was seen: all that an event says.

    ``digest`` is canonical (key order, ``updatedAt`` and ignored paths do not count). ``body`` is the
    record now; for deletions the tombstone, or the last known record. ``previous`` is a JSON object of
    the changed paths' old values.
    """

    kind: Kind
    record_id: str
    time_ms: int | None
    version_ms: int | None
    digest: bytes
    body: bytes
    changed: tuple[str, ...] = ()
    previous: bytes = b""


class Event(NamedTuple):
    """One thing to tell, as it is stored: ``body`` is the final bytes on the wire."""

    sequence: int
    id: str
    trigger: str
    stream: Stream
    record_id: str
    recorded_ms: int
    body: bytes


CLOUDEVENT = "application/cloudevents+json; charset=utf-8"
"""What an event is sent as."""


class Delivery(NamedTuple):
    """One event on its way through one route to one sink.

    ``lane`` is what order is kept within: deliveries of one sink and lane go one after the other.
    ``attempts`` counts the sends that this event's own trouble ended, ``troubles`` those that the receiver's did.
    It is due since ``due_ms``.
    ``shape`` names the stored definition of what is sent, empty for the event as it is; only then ``route`` may be
    empty too. ``begun``: an earlier send was begun, and how it ended is not known. ``steps`` are the results of
    the steps that are done, as JSON. ``turn`` is its place in its lane, and in microseconds the time from which on it
    was to be made: of its commit, of the end of its delay, or of the request to send it again.
    """

    sink: str
    sequence: int
    lane: int
    event_id: str
    trigger: str
    attempts: int
    troubles: int
    body: bytes
    due_ms: int = 0
    route: str = ""
    shape: str = ""
    begun: bool = False
    steps: bytes = b""
    content_type: str = CLOUDEVENT
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver said yes."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """A step is done, and there are more: ``steps`` are the results so far, as JSON."""

    steps: bytes


@dataclass(frozen=True, slots=True)
class Later:
    """The receiver can take nothing now: its sink waits, and no event is to blame.

    ``after_s`` is how long the receiver asked to wait, where it did. ``unknown`` says, of this and of other outcomes,
    that it may have been done all the same, by this send or one before.
    """

    reason: str
    after_s: float | None = None
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver does not take this one event.

    ``final`` says that asking again is pointless; ``strange`` that the answer is one which a wrong address
    or a wrong secret would give to every event; ``unsent`` that it was not even asked, since there is nothing to send;
    ``unknown`` that it may have been done all the same.
    """

    reason: str
    final: bool = False
    strange: bool = False
    unsent: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver wants no more events: its sink pauses and keeps them, until an operator resumes it."""

    reason: str
    unknown: bool = False


Outcome = Delivered | Advanced | Later | Refused | Gone
