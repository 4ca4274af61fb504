"""What the page can have done: each action is one of the operations that the control socket carries out too."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import msgspec

from poller.operations import plain
from poller.stores import Decision
from poller.stores.selection import Selection


class Target(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What an action is done to: ``name`` is a stream, a sink or a route; parked deliveries go by the others."""

    name: str = ""
    sink: str | None = None
    route: str | None = None
    event: str | None = None


class Call(NamedTuple):
    """An operation with its arguments, and what to say of what it gave; ``told`` is empty where it found nothing."""

    operation: str
    arguments: dict[str, Any]
    told: Callable[[dict[str, Any]], str]


class Unknown(Exception):
    """There is nothing of that name."""


Action = Callable[[Target, Collection[str]], Call]
"""Makes the call that does it to a target, given the names of all sinks."""


def _retry(target: Target, _: Collection[str]) -> Call:
    selection = Selection(sink=target.sink, route=target.route, event_id=target.event)
    return Call("again", {"states": ["parked"], "selection": plain(selection)}, _counted("will be sent again"))


def _decide(decision: Decision) -> Action:
    def decide(target: Target, _: Collection[str]) -> Call:
        if "/" in target.name:
            told = _found(f"{decision}: carried out by the next poll of {target.name}")
            return Call("decide", {"stream": target.name, "decision": decision.value}, told)
        words = "will be sent" if decision == Decision.APPROVE else "are forgotten"
        return Call("release", {"route": target.name, "decision": decision.value}, _counted(words))

    return decide


def _pause(*, paused: bool) -> Action:
    def pause(target: Target, sinks: Collection[str]) -> Call:
        told = _found(f"{target.name} {'is paused' if paused else 'goes on'}")
        if "/" in target.name:
            return Call("pause_stream", {"stream": target.name, "paused": paused}, told)
        if target.name not in sinks:
            raise Unknown(f"there is no sink and no stream {target.name}")
        reason = "paused by the operator" if paused else ""
        return Call("pause_sink", {"sink": target.name, "reason": reason}, told)

    return pause


def _counted(words: str) -> Callable[[dict[str, Any]], str]:
    def told(found: dict[str, Any]) -> str:
        count = found["count"]
        deliveries = "delivery" if count == 1 else "deliveries"
        return f"{count} {deliveries} {words}" if count else ""

    return told


def _found(words: str) -> Callable[[dict[str, Any]], str]:
    return lambda found: words if found["found"] else ""


ACTIONS: dict[str, Action] = {
    "retry": _retry,
    "approve": _decide(Decision.APPROVE),
    "reject": _decide(Decision.REJECT),
    "pause": _pause(paused=True),
    "resume": _pause(paused=False),
}
"""By their names, which are those of the commands."""
