"""What the routes make of one event: which take it and why, and what each would send. Nothing is sent here."""

from collections.abc import Mapping
from typing import NamedTuple, cast

from poller import route as routes
from poller.actions import Connection
from poller.actions.call import NotThere, call_of
from poller.actions.inputs import InputError
from poller.actions.request import Request, build, masked
from poller.expression import EvaluationError, read, template, write
from poller.model import Delivery
from poller.plan import Gate, Plan, Route, Scope, Target
from poller.shape import VARIABLES, Shape, Step, render


class Doing(NamedTuple):
    """A step as it would be done. ``inputs`` that wait for the results of earlier steps are as they were written.

    ``request`` is without secrets; None while there are such inputs, or where there is an ``error``.
    """

    step: str
    do: str
    connection: str
    inputs: Mapping[str, object]
    waiting: tuple[str, ...] = ()
    request: Request | None = None
    error: str = ""


class Sending(NamedTuple):
    """What would go to a sink, as ``message``, or be done by a queue, as ``steps``; or the ``error`` instead.

    ``itself``: it is the event, whole or in part, and no message of the route's own; ``by`` is the earlier route that
    sends that there already, so that this one does not.
    """

    to: str
    delay_s: float = 0.0
    gate: Gate | None = None
    message: Delivery | None = None
    steps: tuple[Doing, ...] = ()
    error: str = ""
    itself: bool = True
    by: str = ""


class Verdict(NamedTuple):
    """What a route makes of an event: ``why`` it does not take it, or what it sends.

    ``error`` is why neither can be told. ``case`` counts from 1, and is 0 in a route without cases. Without any
    route there is one verdict, of no name.
    """

    route: str
    why: str = ""
    error: str = ""
    case: int = 0
    sendings: tuple[Sending, ...] = ()

    @property
    def taken(self) -> bool:
        """Whether the route takes the event."""
        return not self.why and not self.error

    @property
    def makes(self) -> bool:
        """Whether it takes the event, and all that it sends can be made."""
        broken = any(one.error or any(step.error for step in one.steps) for one in self.sendings)
        return self.taken and not broken


class Making(NamedTuple):
    """What sends are made of: shapes by digest, connections that hold no secrets, and the mark of what is made."""

    shapes: Mapping[str, Shape]
    connections: Mapping[str, Connection]
    origin: str


def event_in(raw: bytes) -> bytes:
    """The event that a text holds, on one line; raises ``ValueError`` where it holds none."""
    try:
        event = read(raw)
        body = write(event)
        scope = routes.scope_of(body)
    except EvaluationError as error:
        raise ValueError(f"is {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        missing = f": {error} is missing" if isinstance(error, KeyError) else ""
        raise ValueError(f"is not an event such as poller sample prints{missing}") from None
    if not isinstance(scope["data"], dict):
        raise ValueError("is not an event such as poller sample prints: data.object is no record")
    return body


def explain(plan: Plan, making: Making, event: bytes) -> list[Verdict]:
    """What each route makes of an event, in their order."""
    scope = routes.scope_of(event)
    operator = routes.is_operator(str(routes.event_of(scope)["trigger"]))
    if not plan.routes and operator:
        return [Verdict("", why="what poller tells of itself goes only where a route names it")]
    if not plan.routes:
        return [Verdict("", sendings=tuple(_sending(making, (False, target), scope, event) for target in plan.sinks))]
    sent: dict[str, str] = {}
    return [_after(sent, _verdict(plan, making, route, scope, event)) for route in plan.routes]


def _after(sent: dict[str, str], verdict: Verdict) -> Verdict:
    """The verdict with what routes before it have ``sent`` already: the event itself goes to a sink once."""
    sendings = []
    for sending in verdict.sendings:
        first = sent.setdefault(sending.to, verdict.route) if sending.itself else verdict.route
        sendings.append(sending if first == verdict.route else sending._replace(by=first))
    return verdict._replace(sendings=tuple(sendings))


def _verdict(plan: Plan, making: Making, route: Route, scope: Scope, event: bytes) -> Verdict:
    def known() -> Scope:
        return scope

    name, trigger = route.name, str(routes.event_of(scope)["trigger"])
    if not routes.matches(route, trigger):
        return Verdict(name, why=f"it is not on {trigger}")
    try:
        if routes.is_own(plan, route, known):
            return Verdict(name, why='poller made the record itself, by its custom.origin, and own is "skip"')
        case = routes.chosen(route, known)
    except EvaluationError as error:
        return Verdict(name, error=str(error))
    if case is None:
        several = route.cases[1:] and (route.when is None or route.when.holds(scope))
        return Verdict(name, why="none of its cases holds" if several else "its when does not hold")
    number = next(place for place, one in enumerate(route.cases, 1) if one is case) if route.cases[1:] else 0
    ways = list(routes.through(plan, route, known, operator=routes.is_operator(trigger)))
    if not ways:
        return Verdict(
            name, why=f"it is about {routes.sink_of(scope)} itself, and would wait there behind what it tells"
        )
    return Verdict(name, case=number, sendings=tuple(_sending(making, way, scope, event) for way in ways))


def _sending(making: Making, way: tuple[bool, Target], scope: Scope, event: bytes) -> Sending:
    """What goes that way of ``route.through``."""
    alone, target = way
    about = routes.event_of(scope)
    delivery = Delivery(
        target.sink, 0, 0, str(about["id"]), str(about["trigger"]), 0, 0, event, 0, target.route, target.shape
    )
    sending = Sending(target.sink, target.delay_s, target.gate, itself=not alone)
    shape = making.shapes.get(target.shape)
    if shape is None:
        return sending._replace(message=delivery)
    if shape.steps:
        return sending._replace(steps=tuple(_doing(making, delivery, step, scope) for step in shape.steps))
    try:
        return sending._replace(message=render(shape, delivery))
    except EvaluationError as error:
        return sending._replace(error=str(error))


def _doing(making: Making, delivery: Delivery, step: Step, scope: Scope) -> Doing:
    connection = making.connections.get(step.connection)
    do = f"{connection.system.name}.{step.action}" if connection else step.action
    inputs: dict[str, object] = {}
    waiting = []
    try:
        for name, value in cast(Mapping[str, object], step.given.source).items():
            given = template({name: value}, (*VARIABLES, "steps"))
            waits = "steps" in given.names()
            inputs |= {name: value} if waits else cast(Mapping[str, object], given.render(scope))
            waiting += [name] if waits else []
        doing = Doing(step.id, do, step.connection, inputs, tuple(waiting))
        if waiting:
            return doing
        return doing._replace(request=masked(build(call_of(making.connections, delivery, step, {}, making.origin))))
    except (EvaluationError, InputError, NotThere) as error:
        return Doing(step.id, do, step.connection, inputs, tuple(waiting), error=str(error))
