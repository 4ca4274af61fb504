"""What stands around a poller that a test leads step by step: its way to the API, its sends, its receivers."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from ledger import Ledger
from mirror import InProcess
from points import Points

from poller.http import Response
from poller.model import Delivered, Delivery, Gone, Later, Outcome, Refused
from poller.plan import Order
from poller.simulator import Simulator
from poller.simulator.http import Answer, Request


class Shape(NamedTuple):
    """What a sink keeps order within, and how much it sends at once."""

    order: Order
    concurrency: int
    batch_size: int

    @property
    def in_flight(self) -> int:
        return self.concurrency * self.batch_size


SINKS = {
    "all": Shape(Order.RECORD, 4, 1),
    "batches": Shape(Order.RECORD, 2, 3),
    "streams": Shape(Order.STREAM, 2, 1),
    "loose": Shape(Order.NONE, 3, 1),
}

YES = Delivered()
ANSWERS: dict[str, tuple[bool, Outcome]] = {
    "yes": (True, YES),
    "later": (False, Later("busy")),
    "in a minute": (False, Later("busy", 60.0)),
    "refused": (False, Refused("no")),
    "refused for good": (False, Refused("never", final=True)),
    "wrong secret": (False, Refused("who is there?", strange=True)),
    "gone": (False, Gone("gone")),
    "lost yes": (True, Later("the connection broke before the answer")),
    "taken and refused": (True, Refused("it broke behind the receiver's back")),
}
"""What a receiver does with an event: whether it takes it, and what it says."""

_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode


def records(page: bytes) -> set[bytes]:
    """The bytes of the records of a page; none where it is no page."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return {bytes(raw) for raw in _rows(page)}
    return set()


class Api(Simulator):
    """A simulator that notes every record of every proper answer, before any fault."""

    served: set[bytes]

    def _proper(self, request: Request) -> Answer:
        answer = super()._proper(request)
        self.served.update(records(answer.body))
        return answer


class Wire(InProcess):
    """The way to the API and back; notes every record that an answer showed as it came."""

    def __init__(self, simulator: Simulator, points: Points, served: set[bytes]) -> None:
        super().__init__(simulator)
        self._points = points
        self._served = served

    def request(self, method: str, url: str, **how: Any) -> Response:
        self._points.passes("before a request")
        answer = super().request(method, url, **how)
        self._served.update(records(answer.body))
        self._points.passes("after a request")
        return answer


class Flights(Executor):
    """Sends under way; a test says which of them lands next."""

    def __init__(self) -> None:
        self.air: list[tuple[Future, Callable[[], Any]]] = []

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        self.air.append((future, lambda: fn(*args, **kwargs)))
        return future

    def land(self, pick: int = 0) -> None:
        if self.air:
            future, send = self.air.pop(pick % len(self.air))
            future.set_result(send())

    def land_all(self) -> None:
        while self.air:
            self.land()


class Receiver:
    """Takes what one sink sends, as scripted, else with a yes. It outlives every process.

    ``notices`` are the operator events that it took. ``wrong`` is what could not be; a drain would take it for a
    trouble of the sink.
    """

    def __init__(self, name: str, shape: Shape, ledger: Ledger) -> None:
        self.name, self.script = name, deque[str]()
        self.notices: list[tuple[str, bytes]] = []
        self.concurrency, self.batch_size = shape.concurrency, shape.batch_size
        self.batch_wait_s, self.careful = 0.0, False
        self.wrong: AssertionError | None = None
        self.points: Points
        self._ledger = ledger

    def send(self, batch: Sequence[Delivery]) -> list[Outcome]:
        self.points.passes("before a send")
        try:
            outcomes = [self._answer(delivery) for delivery in batch]
        except AssertionError as wrong:
            self.wrong = self.wrong or wrong
            raise
        self.points.passes("after a send")
        return outcomes

    def _answer(self, delivery: Delivery) -> Outcome:
        takes, says = ANSWERS[self.script.popleft() if self.script else "yes"]
        if delivery.trigger.startswith("poller."):
            self.notices += [(delivery.event_id, delivery.body)] * takes
            return says
        if takes:
            self._ledger.take(self.name, delivery.body)
        if takes and says != YES:
            self._ledger.lose((self.name, delivery.event_id))
        return says

    def close(self) -> None:
        pass
