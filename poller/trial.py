"""A route tried for real: what it makes of an event is sent once, and nothing is kept of it."""

from collections.abc import Iterator, Mapping
from threading import Event
from typing import NamedTuple

from poller.actions import Connection
from poller.actions.sink import Actions
from poller.actions.steps import unpack
from poller.config import Config
from poller.connections import connections
from poller.model import Advanced, Delivered, Delivery, Outcome
from poller.plan import Target
from poller.route import anew, event_of, scope_of
from poller.shaped import Shaped, Shapes
from poller.sinks import Sink


class Sent(NamedTuple):
    """How one send ended: to a sink, or of a ``step`` of a queue."""

    to: str
    step: str
    outcome: Outcome

    @property
    def well(self) -> bool:
        """Whether it was taken."""
        return isinstance(self.outcome, Delivered | Advanced)


def trial(config: Config, name: str, event: bytes) -> Iterator[Sent]:
    """Send what the route of this name makes of an event, a chain to its end or to the first step that fails.

    Raises ``SettingError`` where a sink or a connection cannot be made.
    """
    stop = Event()
    shapes = Shapes(config.ways().shapes, lambda _: None)
    ways = connections(config.connections, config.known_systems(), config.own_connection(), stop)
    for target in anew(config.plan(), name, event) or ():
        sink = _sink(config, target, shapes, ways, stop)
        try:
            yield from _sends(sink, _delivery(target, event), shapes)
        finally:
            sink.close()


def _sink(config: Config, target: Target, shapes: Shapes, ways: Mapping[str, Connection], stop: Event) -> Sink:
    if target.sink in config.sinks:
        return Shaped(config.sinks[target.sink].sink(), shapes)
    return Actions(shapes, ways, stop, origin=config.source.origin)


def _delivery(target: Target, event: bytes) -> Delivery:
    about = event_of(scope_of(event))
    return Delivery(
        target.sink, 0, 0, str(about["id"]), str(about["trigger"]), 0, 0, event, 0, target.route, target.shape
    )


def _sends(sink: Sink, delivery: Delivery, shapes: Shapes) -> Iterator[Sent]:
    steps = [step.id for step in shapes(delivery.shape).steps] if delivery.shape else []
    while True:
        done = unpack(delivery.steps)
        step = next((step for step in steps if step not in done), "")
        [outcome] = sink.send([delivery])
        yield Sent(delivery.sink, step, outcome)
        if not isinstance(outcome, Advanced):
            return
        delivery = delivery._replace(steps=outcome.steps)
