"""A configuration in outline: what matters when it is compared with another, and no secret. Frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


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
