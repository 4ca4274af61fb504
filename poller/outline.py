"""Configurations in outline, without a secret, and what differs between two of them. Frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from poller.stores import Standing


class Followed(NamedTuple):
    """How a resource is followed; not ``announced``: for the sake of another one, and silently."""

    singular: str
    every_s: float
    sweep_every_s: float
    ignore: tuple[str, ...] = ()
    announced: bool = True


class Receiver(NamedTuple):
    """A queue of deliveries: a sink, or a route that does actions (of kind ``actions``).

    ``digest`` is of all its settings but its name.
    """

    kind: str
    digest: str


class Way(NamedTuple):
    """A route: the triggers that it is on, the queues it may fill, and whether it takes the first sight of a stream.

    ``first`` None is as the source says; ``digest`` is of all that it says.
    """

    on: tuple[str, ...]
    to: tuple[str, ...]
    first: bool | None
    digest: str


@dataclass(frozen=True, slots=True)
class Outline:
    """What matters of a configuration. ``settings`` are those that are nothing of the rest, as texts by their keys."""

    address: str
    organizations: tuple[str, ...] | None
    emit_first: bool
    resources: Mapping[str, Followed]
    receivers: Mapping[str, Receiver]
    routes: Mapping[str, Way]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """What the state knows. ``waiting`` are deliveries by queue, ``held`` those that a route of that name holds."""

    address: str = ""
    standings: Sequence[Standing] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)


class What(StrEnum):
    """What happens to a stream, a queue or a route."""

    ADDED = "added"
    REMOVED = "removed"
    REREAD = "re-read"
    ANNOUNCED = "announced"
    HUSHED = "hushed"
    CHANGED = "changed"


class StreamChange(NamedTuple):
    """What happens to a stream, which ``records`` are remembered of.

    ``emits``: each record that its first listing shows makes an event, which goes ``to`` these; else the change makes
    none. The organization ``ANY`` is each that the state does not know.
    """

    stream: str
    what: What
    records: int = 0
    emits: bool = False
    to: tuple[str, ...] = ()
    reason: str = ""


class QueueChange(NamedTuple):
    """What happens to a queue, for which so many deliveries wait.

    They go on waiting where it is removed, and are sent where it is there (again). ``gains`` and ``loses`` are the
    triggers that it may get from now on, and no more. ``renamed`` is what was probably its name before.
    """

    name: str
    what: What
    waiting: int = 0
    gains: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()
    renamed: str = ""


class RouteChange(NamedTuple):
    """What happens to a route, which holds so many deliveries."""

    name: str
    what: What
    held: int = 0


class Setting(NamedTuple):
    """A setting that becomes another; empty is one that is not there."""

    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Changes:
    """All that a configuration changes; ``refused`` are keys that a reload cannot change.

    Streams that are not among ``streams`` go on: what happened to their records meanwhile is told.
    """

    streams: tuple[StreamChange, ...]
    queues: tuple[QueueChange, ...]
    routes: tuple[RouteChange, ...]
    settings: tuple[Setting, ...]
    refused: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything changes at all."""
        return bool(self.streams or self.queues or self.routes or self.settings)

    def told(self) -> dict[str, Any]:
        """As plain values, for programs."""
        return {
            "changes": self.any,
            "fires": [change.stream for change in self.streams if change.emits],
            **{name: [each._asdict() for each in getattr(self, name)] for name in _PARTS},
            "refused": self.refused,
        }


_PARTS = ("streams", "queues", "routes", "settings")
