"""The port through which the poller remembers. ``sqlite.py`` is the one kept in a file."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from poller.breaker import Breaker
from poller.budget import History
from poller.diff import Finding
from poller.locate import Ranks
from poller.model import Change, Delivery, Mark, Quarantined, Stream, Tagged
from poller.overlap import Late
from poller.plan import Target
from poller.silence import NO_RHYTHM, Rhythm


class StoreError(Exception):
    """The state cannot be read or written just now (locked, disk full); nothing of the call happened."""


class Pass(StrEnum):
    """The kinds of complete listings: the first one, ids and stamps only, and with bodies."""

    BASELINE = "baseline"
    IDS = "ids"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Sweeping:
    """A complete listing under way, resumed from here after a crash.

    All of ``parent`` up to id ``after`` is done. ``began`` is the server's time, by parent, at which
    each listing began. ``tainted``: a record was quarantined, so absence proves nothing.
    """

    kind: Pass
    started_ms: int
    parent: str = ""
    after: str = ""
    began: Mapping[str, int] = field(default_factory=dict)
    tainted: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stream has been followed; only its poll changes it.

    ``watermarks`` are server times by parent ("" where there is none); ``count_gap`` is by how much the
    API's own count differed from the marks right after a complete sweep. Without a baseline, but with ``sweeps``, the
    stream was forgotten: it is read once more, in silence. ``rhythm`` is how it usually changes, ``late`` how
    late changes showed up.
    """

    baselined_ms: int | None = None
    watermarks: Mapping[str, int] = field(default_factory=dict)
    sweep: Sweeping | None = None
    polls: int = 0
    sweeps: int = 0
    next_sweep_ms: int = 0
    live: int = 0
    missing: int = 0
    held_ms: int | None = None
    count_gap: int = 0
    rhythm: Rhythm = NO_RHYTHM
    late: Late = ()


class Decision(StrEnum):
    """What the operator said of deletions that are held."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a stream stands: its progress, its schedule, its troubles.

    ``failing_ms`` is since when it counts as failing, ``silent_ms`` when its silence became odd.
    """

    stream: Stream
    progress: Progress = field(default_factory=Progress)
    decision: Decision | None = None
    next_poll_ms: int = 0
    polled_ms: int | None = None
    failures: int = 0
    error: str = ""
    suspended: bool = False
    paused: bool = False
    failing_ms: int | None = None
    silent_ms: int | None = None
    history: History = History()  # noqa: RUF009 - it is immutable


class Outgoing(NamedTuple):
    """A change to announce under its trigger's name, and where to."""

    change: Change
    trigger: str
    targets: tuple[Target, ...]


class Step(NamedTuple):
    """All that one page leads to; committed whole or not at all.

    ``decided`` says that the operator's decision has been carried out. ``notices`` are events about the stream itself.
    ``pages`` are those that a sweep saw to be as remembered.
    """

    progress: Progress
    findings: Sequence[Finding] = ()
    outgoing: Sequence[Outgoing] = ()
    quarantined: Sequence[Quarantined] = ()
    decided: bool = False
    notices: Sequence[Outgoing] = ()
    pages: Sequence[Tagged] = ()


class Settlement(NamedTuple):
    """How a delivery stands after a send: ``state`` is pending, delivered or parked.

    ``begun``: whether what was sent took effect is not known. ``steps`` are the results of all steps that are done,
    where there are new ones.
    """

    sequence: int
    state: str
    attempts: int
    troubles: int
    due_ms: int
    error: str = ""
    route: str = ""
    begun: bool = False
    steps: bytes = b""


class Verdict(NamedTuple):
    """What a sink's answers mean: how their deliveries stand, and its breaker before and after them.

    ``notices`` are events about the sink itself.
    """

    settlements: Sequence[Settlement]
    before: Breaker
    after: Breaker
    notices: Sequence[Outgoing] = ()


class Keep(NamedTuple):
    """How long deliveries are kept, in seconds: after a yes, after being parked, and while they wait in vain."""

    delivered_s: float = 14 * 86400.0
    parked_s: float = 30 * 86400.0
    pending_s: float = 14 * 86400.0


class Tidied(NamedTuple):
    """How much was tidied, in rows and pages; of that, how many deliveries of each sink expired."""

    done: int
    expired: Mapping[str, int]


class Store(Protocol):
    """What is remembered.

    Every method is one transaction, may be called from any thread, and raises ``StoreError`` where it
    could not be carried out.
    """

    def standing(self, stream: Stream) -> Standing:
        """Where the stream stands; a stream not known before is entered."""
        ...

    def enter(self, streams: Collection[Stream]) -> Sequence[Standing]:
        """Where these streams stand, in any order; those not known before are entered, all at once."""
        ...

    def streams(self) -> Sequence[Standing]:
        """All streams ever followed."""
        ...

    def marks(self, stream: Stream, ids: Collection[str]) -> dict[str, Mark]:
        """The marks of these records."""
        ...

    def marks_between(self, stream: Stream, after: str, upto: str | None, limit: int = -1) -> dict[str, Mark]:
        """The marks with ids above ``after`` and up to ``upto`` (None: to the end), in order of ids."""
        ...

    def known(self, stream: Stream, parent: str, after: str, limit: int) -> Mapping[bytes, str]:
        """By the digest of their bodies, the ids of live records listed by ``parent`` that are next above ``after``."""
        ...

    def live_between(self, stream: Stream, parent: str, after: str, upto: str) -> int:
        """How many live records a listing by ``parent`` should show above ``after`` and up to ``upto``."""
        ...

    def tagged(self, stream: Stream, parent: str, after: str, *, bodies: bool) -> Tagged | None:
        """The page of a sweep that follows an id, if it was as remembered, and what is remembered is still the same."""
        ...

    def missing(self, stream: Stream, after: str, limit: int) -> Sequence[Mark]:
        """Missing marks with ids above ``after``, in order of ids."""
        ...

    def ranks(self, stream: Stream, page: int) -> dict[str, Ranks]:
        """The ranks of the live marks of each listing, by parent; of a listing without any there are none."""
        ...

    def bodies(self, marks: Iterable[Mark]) -> dict[str, bytes]:
        """The last bodies of these marks, by record id."""
        ...

    def commit(self, stream: Stream, step: Step, now_ms: int) -> int:
        """Marks, watermark, events and deliveries of one page, in one transaction; how many events."""
        ...

    def sweep_soon(self, stream: Stream) -> None:
        """Make the stream's next poll begin a sweep."""
        ...

    def schedule(self, standing: Standing, notices: Sequence[Outgoing] = (), now_ms: int = 0) -> None:
        """Keep the schedule and the troubles of a stream (not its progress), and events about it."""
        ...

    def clear_quarantine(self, stream: Stream, before_ms: int) -> None:
        """Forget quarantined records that were last seen before a complete listing began."""
        ...

    def quarantined(self, stream: Stream) -> int:
        """How many records of the stream are in quarantine."""
        ...

    def strangers(self, stream: Stream) -> int:
        """How many of them are not remembered as live."""
        ...

    def due(self, sink: str, now_ms: int, limit: int, *, probe: bool = False) -> Sequence[Delivery]:
        """Pending deliveries that are the first of their lane and due, longest first.

        To ``probe``, those first that met trouble least often.
        """
        ...

    def begin(self, batch: Sequence[Delivery]) -> None:
        """Keep that these are about to be sent, for a process that ends before it is known how that went."""
        ...

    def next_due_ms(self, sink: str, now_ms: int) -> int | None:
        """When, after now, the next delivery of the sink is due that is the first of its lane; None if none is."""
        ...

    def settle(self, sink: str, judge: Callable[[Breaker], Verdict], now_ms: int) -> Verdict:
        """Keep how sends ended, and how the sink's receiver is.

        ``judge`` is given the breaker as it is within the transaction, so that nothing that was done to it
        meanwhile is undone.
        """
        ...

    def breaker(self, sink: str) -> Breaker:
        """How the sink's receiver was last known to be."""
        ...
