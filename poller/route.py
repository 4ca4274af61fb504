"""Event and routes to deliveries: which sinks get it, in which shape, and what order is kept within."""

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any, cast
from zlib import crc32

from poller import expression
from poller.expression import EvaluationError
from poller.model import Change, Kind, Stream, format_time
from poller.plan import Case, Order, Plan, Route, Scope, Target

OPERATOR = "poller."
"""How the triggers begin of what the poller tells of itself."""


def targets(
    plan: Plan, trigger: str, scope: Callable[[], Scope], *, first: bool = False, emit: bool = True
) -> tuple[Target, ...]:
    """The sinks that get an event of this trigger: with no route at all, every sink.

    Several routes that send the event itself to one sink make one delivery, by the first of them. ``scope`` is called
    only where a condition asks for it. At the ``first`` sight of a stream, routes that do not say otherwise take
    the event only if the source does ``emit`` it.
    """
    operator = is_operator(trigger)
    if not plan.routes:
        return () if operator else plan.sinks
    known, found = cache(scope), dict[tuple[str, str], Target]()
    for route in plan.routes:
        if _matches(route.on, trigger) and (not first or (emit if route.first is None else route.first)):
            for alone, target in through(plan, route, known, first=first, operator=operator):
                found.setdefault((target.sink, route.name if alone else ""), target)
    return tuple(found.values())


def through(
    plan: Plan, route: Route, scope: Callable[[], Scope], *, first: bool = False, operator: bool = False
) -> Iterator[tuple[bool, Target]]:
    """Where an event goes by one route that it is on, and whether as a message of the route's own.

    An ``operator`` event never goes to the sink that it is about: there it would wait behind what it tells of.
    """
    if first and all(case.destructive for case in route.cases):
        return  # nor is it parked where that cannot be told: it would be done once the condition is mended
    try:
        case = None if is_own(plan, route, scope) else chosen(route, scope)
    except EvaluationError as error:
        yield True, Target("", route=route.name, error=str(error))
        return
    if case is None or (first and case.destructive):
        return
    plain = not (case.shape or route.gate or route.delay_s)
    itself = sink_of(scope()) if operator else ""
    for sink in case.to:
        if sink == itself:
            continue
        order = next((target.order for target in plan.sinks if target.sink == sink), Order.RECORD)
        if plain:
            yield False, Target(sink, order)
        else:
            yield case.alone, Target(sink, order, route.name, case.shape, route.delay_s, route.gate)


def chosen(route: Route, scope: Callable[[], Scope]) -> Case | None:
    """The first case whose condition holds; raises ``EvaluationError`` where that cannot be told."""
    if route.when is not None and not route.when.holds(scope()):
        return None
    return next((case for case in route.cases if case.when is None or case.when.holds(scope())), None)


def anew(plan: Plan, name: str, body: bytes) -> tuple[Target, ...] | None:
    """Where a stored event goes by the route of this name, as it is now; None if there is none, or it is not on it."""
    known = cache(lambda: scope_of(body))
    for route in plan.routes:
        trigger = str(event_of(known())["trigger"])
        if route.name == name and matches(route, trigger):
            return tuple(target for _, target in through(plan, route, known, operator=is_operator(trigger)))
    return None


def is_operator(trigger: str) -> bool:
    """Whether a trigger is of what the poller tells of itself."""
    return trigger.startswith(OPERATOR)


def sink_of(scope: Scope) -> str:
    """The sink that an operator event is about; empty where it is about a stream."""
    event = event_of(scope)
    return str(event["record_id"]) if event["resource"] == "sinks" else ""


def is_own(plan: Plan, route: Route, scope: Callable[[], Scope]) -> bool:
    """Whether the poller itself made the record, and the route does not want to hear of such."""
    if route.own or not plan.origin:
        return False
    data: Any = scope()["data"]
    custom = data.get("custom") if isinstance(data, dict) else None
    return isinstance(custom, dict) and custom.get("origin") == plan.origin


def event_of(scope: Scope) -> Mapping[str, object]:
    """What a scope says of the event itself."""
    return cast(Mapping[str, object], scope["event"])


@lru_cache(maxsize=4096)
def _matches(patterns: tuple[str, ...], trigger: str) -> bool:
    return any(names(pattern, trigger) for pattern in patterns)


def names(pattern: str, trigger: str) -> bool:
    """Whether a pattern is of this trigger; of operator events only one that says so, ``poller.*``."""
    return fnmatchcase(trigger, pattern) and (pattern.startswith(OPERATOR) or not is_operator(trigger))


def matches(route: Route, trigger: str) -> bool:
    """Whether the route is on this trigger."""
    return _matches(route.on, trigger)


def scope(stream: Stream, trigger: str, change: Change, event_id: str, now_ms: int) -> Scope:
    """What conditions speak of, for a change that is recorded now; its id is that of a first one of its kind."""
    time_ms = now_ms if change.time_ms is None else change.time_ms
    event = {
        "id": event_id,
        "trigger": trigger,
        "kind": trigger.rpartition(".")[2],
        "resource": stream.resource,
        "organization": stream.org,
        "record_id": change.record_id,
        "time": format_time(time_ms),
        "recorded": format_time(now_ms),
    }
    updated = change.kind == Kind.UPDATED
    return {
        "event": event,
        "data": expression.read(change.body),
        "previous": expression.read(change.previous) if updated else None,
        "changed": list(change.changed) if updated else None,
    }


def scope_of(body: bytes) -> Scope:
    """The same, for an event as it is stored."""
    told: Any = expression.read(body)
    resource, record_id = told["subject"].split("/", 1)
    event = {
        "id": told["id"],
        "trigger": trigger_of(told["type"]),
        "kind": told["type"].rpartition(".")[2],
        "resource": resource,
        "organization": told["source"].partition("/organizations/")[2],
        "record_id": record_id,
        "time": told["time"],
        "recorded": told["recordedtime"],
    }
    data = told["data"]
    return {
        "event": event,
        "data": data["object"],
        "previous": data.get("previous"),
        "changed": data.get("changed"),
    }


def trigger_of(event_type: str) -> str:
    """``client.created`` of ``com.spaceinvoices.client.created``."""
    return event_type.partition(".")[2].partition(".")[2]


def lane(target: Target, stream: Stream, record_id: str, sequence: int) -> int:
    """What a delivery waits its turn in: a 63-bit number, so that it is small to store and to index.

    What goes through a route of its own pace has lanes of its own, so that a delay holds up nothing else. Records
    whose ids begin alike have lanes that lie together, so that those of a page touch few pages of the index. Two of
    them may share a lane by chance (one of eight million pairs); they then merely wait for each other.
    """
    return _LANES[target.order](f"{target.route}:{stream.name}" if target.route else stream.name, record_id, sequence)


_LANES: Mapping[Order, Callable[[str, str, int], int]] = {
    Order.RECORD: lambda stream, record_id, _: _near(record_id) | crc32(f"{stream}/{record_id}".encode()) >> 9,
    Order.STREAM: lambda stream, _, __: _number(stream),
    Order.SINK: lambda _, __, ___: 0,
    Order.NONE: lambda _, __, sequence: sequence,
}


def _near(record_id: str) -> int:
    """The upper 40 of 63 bits: of an id that tells time by hexadecimal digits they change every hour or so."""
    return int.from_bytes(record_id.encode().ljust(5, b"\0")[:5], "big") << 23


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1
