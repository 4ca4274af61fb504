"""What the endpoint knows of the daemon: callables alone, so that each can be given by whoever has it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from poller.meter import Meter
from poller.operations import Operation


class Asked(NamedTuple):
    """What of the state is to be shown: streams that hold ``search``, the last ``hours`` of events and deliveries."""

    search: str = ""
    hours: int = 24


class Answered(NamedTuple):
    """Metrics, and the format that they are in."""

    body: bytes
    content_type: str


def _nothing() -> Collection[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Inside:
    """The daemon as the endpoint sees it.

    ``health`` and ``ready`` say what is wrong, in words, or nothing. ``status`` gives plain values. ``metrics`` are in
    the format that an ``Accept`` header prefers; None where there are none. ``operations`` are those of
    ``poller.operations``, and ``sinks`` names all that can be paused; ``changed`` is called after an operation.
    ``meter`` counts defects. All may be called from any thread.
    """

    health: Callable[[], str]
    ready: Callable[[], str]
    status: Callable[[Asked], dict[str, Any]]
    metrics: Callable[[str], Answered] | None = None
    operations: Mapping[str, Operation] = field(default_factory=dict)
    sinks: Callable[[], Collection[str]] = _nothing
    changed: Callable[[], object] = _nothing
    meter: Meter = field(default_factory=Meter)
