"""Event and routes to deliveries: which sinks get it, and what order is kept within."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from hashlib import blake2b

from poller.model import Order, Plan, Stream, Target


def targets(plan: Plan, trigger: str) -> tuple[Target, ...]:
    """The sinks that get events of this trigger: with no route at all, every sink.

    Several matching routes to one sink make one delivery.
    """
    if not plan.routes:
        return plan.sinks
    wanted = {sink for route in plan.routes if _matches(route.on, trigger) for sink in route.to}
    return tuple(target for target in plan.sinks if target.sink in wanted)


def _matches(patterns: tuple[str, ...], trigger: str) -> bool:
    return any(fnmatchcase(trigger, pattern) for pattern in patterns)


def lane(order: Order, stream: Stream, record_id: str, sequence: int) -> int:
    """What a delivery waits its turn in: a 63-bit number, so that it is small to store and to index.

    Two records may share a lane by chance (once in 10**18 pairs); they then merely wait for each other.
    """
    return _LANES[order](stream, record_id, sequence)


_LANES: Mapping[Order, Callable[[Stream, str, int], int]] = {
    Order.RECORD: lambda stream, record_id, _: _number(f"{stream.name}/{record_id}"),
    Order.STREAM: lambda stream, _, __: _number(stream.name),
    Order.SINK: lambda _, __, ___: 0,
    Order.NONE: lambda _, __, sequence: sequence,
}


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1
