"""The sink that does actions: one step of a delivery a send."""

from collections.abc import Callable, Mapping, Sequence
from threading import Event
from time import time

from poller.actions import Call, Connection, Repeat
from poller.actions.answer import UNKNOWN, Answer, Done, judge, repeat
from poller.actions.call import NotThere, call_of
from poller.actions.clients import Clients
from poller.actions.inputs import InputError
from poller.actions.look import Missing, look
from poller.actions.request import build
from poller.actions.steps import pack, unpack
from poller.expression import EvaluationError
from poller.model import Advanced, Delivered, Delivery, Later, Outcome, Refused
from poller.rate import NoTurn
from poller.shape import Shape, Step

ONCE_ONLY = frozenset({Repeat.LOOK, Repeat.NEVER})


class Actions:
    """Does the next step of each delivery. What is done is told by ``Advanced``, until the last one: ``Delivered``.

    ``shape_of`` gives what a delivery was made under. ``origin`` marks records that are made in Space Invoices. Once
    ``stop`` is set, by ``close`` too, requests under way are abandoned.
    """

    batch_size = 1
    batch_wait_s = 0.0
    careful = True

    def __init__(
        self,
        shape_of: Callable[[str], Shape],
        connections: Mapping[str, Connection],
        stop: Event | None = None,
        *,
        origin: str = "poller",
        concurrency: int = 4,
        clock: Callable[[], float] = time,
    ) -> None:
        self.concurrency = concurrency
        self._shape_of = shape_of
        self._connections = connections
        self._stop = stop or Event()
        self._origin = origin
        self._clock = clock
        self._clients = Clients(self._stop)

    def send(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """Do one step of each, one after the other."""
        return [self._advance(delivery) for delivery in batch]

    def close(self) -> None:
        """Abandon the requests under way, and close all connections."""
        self._stop.set()
        self._clients.close()

    def _advance(self, delivery: Delivery) -> Outcome:
        try:
            results = unpack(delivery.steps)
            left = [step for step in self._shape_of(delivery.shape).steps if step.id not in results]
            if not left:
                return Delivered()
            done = self._do(delivery, left[0], results)
            if not isinstance(done, Done):
                return done
            if not left[1:]:
                return Delivered()
            return Advanced(pack({**results, left[0].id: done.result}))
        except (EvaluationError, InputError, NotThere) as error:
            return Refused(str(error), final=True, unsent=True, unknown=delivery.begun)

    def _do(self, delivery: Delivery, step: Step, results: Mapping[str, object]) -> Answer:
        """Do a step; raises as ``call_of`` where it cannot be asked for."""
        made = call_of(self._connections, delivery, step, results, self._origin)
        try:
            return self._called(made, begun=delivery.begun)
        except NoTurn as none:
            return Later(str(none), none.after_s, unknown=delivery.begun)

    def _called(self, call: Call, *, begun: bool) -> Answer:
        """Ask for it; where it was ``begun`` before and may be done, by what a repeat does."""
        request, again = build(call), repeat(call)
        if begun and again is Repeat.NEVER:
            return Refused(f"{call.action.title} was begun before; {UNKNOWN}", final=True)
        if begun and again is Repeat.LOOK:
            found = look(call, self._clients.ask, self._now_ms())
            if not isinstance(found, Missing):
                return _heeded(call.connection, found)
        answer = self._clients.ask(call.connection, request, alone=again in ONCE_ONLY)
        return _heeded(call.connection, judge(call, answer, self._now_ms()))

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _heeded(connection: Connection, answer: Answer) -> Answer:
    """The answer, once all who use the connection give the rest that it asks for."""
    if isinstance(answer, Later) and answer.after_s:
        connection.bucket.hold(answer.after_s)
    return answer
