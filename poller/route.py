"""Event and routes to deliveries: which sinks get it, and what order is kept within."""

from fnmatch import fnmatchcase
from hashlib import blake2b

from poller.model import Plan


def targets(plan: Plan, trigger: str) -> tuple[str, ...]:
    """The names of the sinks that get events of this trigger: with no route at all, every sink.

    Several matching routes to one sink make one delivery.
    """
    if not plan.routes:
        return plan.sinks
    wanted = [sink for route in plan.routes if _matches(route.on, trigger) for sink in route.to]
    return tuple(dict.fromkeys(wanted))


def _matches(patterns: tuple[str, ...], trigger: str) -> bool:
    return any(fnmatchcase(trigger, pattern) for pattern in patterns)


def lane(partition_key: str) -> int:
    """The lane of a record's deliveries: a 63-bit number, so that it is small to store and to index.

    Two records may share a lane by chance (once in 10**18 pairs); they then merely wait for each other.
    """
    return int.from_bytes(blake2b(partition_key.encode(), digest_size=8).digest(), "big") >> 1
