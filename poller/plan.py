"""The configuration as the loops need it: what is followed, and where events go. Frozen values, as in ``model``."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from poller.model import Resource


class Order(StrEnum):
    """What a sink keeps order within: the events of a record, of a stream, all of them, or none."""

    RECORD = "record"
    STREAM = "stream"
    SINK = "sink"
    NONE = "none"


class Gate(NamedTuple):
    """What a route lets through: one event every ``pace_s``, and at most ``flood`` in ``per_s``; 0 is no limit.

    What is above the pace waits; what is above the flood is held, with all that comes after it, until an operator
    decides.
    """

    pace_s: float = 0.0
    flood: int = 0
    per_s: float = 0.0


class Target(NamedTuple):
    """A sink that wants an event, the order that it keeps, and how the event gets there; see ``Delivery``.

    ``error`` is why it could not be decided where the event goes; ``sink`` is empty then.
    """

    sink: str
    order: Order = Order.RECORD
    route: str = ""
    shape: str = ""
    delay_s: float = 0.0
    gate: Gate | None = None
    error: str = ""


Scope = Mapping[str, object]
"""What conditions and templates speak of, by the names of their variables."""


class Condition(Protocol):
    """Something that holds of an event, or not."""

    def holds(self, scope: Scope) -> bool:
        """Whether it does; raises ``EvaluationError`` where that cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """One way through a route, taken where ``when`` holds: to the sinks ``to``, in this ``shape``.

    ``alone``: what is sent is a message of the route's own, and not the event. ``destructive``: it does what cannot
    be undone, and is never done at the first sight of a stream.
    """

    to: tuple[str, ...]
    when: Condition | None = None
    shape: str = ""
    alone: bool = False
    destructive: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """Which triggers go where: ``on`` are patterns such as ``client.*``; of ``cases`` the first that holds is taken.

    Of events for which ``when`` does not hold, none is.

    ``first`` says whether it takes what is there at the first sight of a stream; None is as the source says.
    ``own``: events of records that the poller itself made are taken too.
    """

    on: tuple[str, ...]
    cases: tuple[Case, ...]
    name: str = ""
    delay_s: float = 0.0
    gate: Gate | None = None
    first: bool | None = None
    own: bool = False
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """How one resource is followed; spans in seconds.

    Polls come every ``every_s``; under a budget they come as it allows, and after ``longest_s`` at the latest.
    Every ``count_every``-th poll compares counts, every ``full_every``-th sweep compares digests.
    ``announces`` is False for a resource that is followed only for the sake of another.
    """

    resource: Resource
    every_s: float
    sweep_every_s: float
    overlap_s: float
    ignore: frozenset[str] = frozenset()
    emit_first: bool = False
    announces: bool = True
    count_every: int = 10
    full_every: int = 4
    longest_s: float = 0.0

    @property
    def slowest_s(self) -> float:
        """How far apart polls are at most, as configured."""
        return self.longest_s or self.every_s


@dataclass(frozen=True, slots=True)
class Plan:
    """The configuration as the loops need it: what is followed, and where events go.

    ``origin`` is what marks the records that the poller itself makes; empty if it makes none. ``address`` is where the
    API is, empty where that is of no matter; ``organizations`` are those that are followed, None for all there are.
    ``budget`` is how many requests a second polls may take; None where they come at fixed intervals. ``allowed`` is how
    many the key may make.
    """

    watches: Mapping[str, Watch]
    routes: tuple[Route, ...] = ()
    sinks: tuple[Target, ...] = (Target("stdout"),)
    origin: str = ""
    address: str = ""
    organizations: Collection[str] | None = None
    budget: float | None = None
    allowed: float = 20.0
