"""What an operator may do to the state: the same by way of a running poller as without one."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from poller.plan import Plan
from poller.route import anew
from poller.stores import Decision
from poller.stores.selection import Selection
from poller.stores.sqlite import SqliteStore

Operation = Callable[..., dict[str, Any]]


def operations(store: SqliteStore, now_ms: Callable[[], int], plan: Plan) -> Mapping[str, Operation]:
    """The operations by name; each takes and gives plain values, so that it can go over a socket.

    What is parked goes through the routes of ``plan`` once more, and what is held at their pace.
    """

    def again(states: list[str], selection: dict[str, Any]) -> dict[str, Any]:
        return {"count": store.again(Selection(**selection), states, now_ms(), partial(anew, plan))}

    def drop(selection: dict[str, Any]) -> dict[str, Any]:
        return {"count": store.drop(Selection(**selection))}

    def decide(stream: str, decision: str) -> dict[str, Any]:
        return {"found": store.decide(stream, Decision(decision))}

    def release(route: str, decision: str) -> dict[str, Any]:
        gates = {each.name: each.gate for each in plan.routes}
        gate = gates.get(route)
        return {"count": store.release(route, Decision(decision), now_ms(), gate.pace_s if gate else 0.0)}

    def pause_sink(sink: str, reason: str) -> dict[str, Any]:
        store.pause(sink, reason, now_ms())
        return {"found": True}

    def pause_stream(stream: str, *, paused: bool) -> dict[str, Any]:
        return {"found": store.pause_stream(stream, paused=paused)}

    every = (again, drop, decide, release, pause_sink, pause_stream)
    return {operation.__name__: operation for operation in every}


def plain(selection: Selection) -> dict[str, Any]:
    """A selection as it goes over the socket."""
    return asdict(selection)
