"""Deliveries that go through a route, and what the store has of them."""

from poller.plan import Target
from poller.stores.reading import View

DAY_MS = 86_400_000
ROUTED = Target("a", route="big", shape="5ha9e")


def rows(store, columns="sink, route, state"):
    return store._all(f"SELECT {columns} FROM delivery ORDER BY sequence, sink, route")


def violations(path):
    with View(path) as view:
        return "\n".join(view.violations())
