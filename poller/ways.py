"""The ways of events: the routes and shapes that the ``[[route]]`` tables of a configuration stand for."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from poller import expression, shape
from poller.actions import System, find
from poller.plan import Case, Route
from poller.routing import CaseTable, RouteTable, route_name, steps
from poller.shape import Shape


class Ways(NamedTuple):
    """The routes of a configuration: ``shapes`` by digest, and ``queues``, the names of routes that do actions.

    ``stamps``: some of those actions make records in Space Invoices.
    """

    routes: tuple[Route, ...]
    shapes: Mapping[str, Shape]
    queues: tuple[str, ...]
    stamps: bool


def ways(tables: Sequence[RouteTable], systems: Mapping[str, System]) -> Ways:
    """The routes that the tables stand for."""
    shapes: dict[str, Shape] = {}
    routes = tuple(_route(route_name(table, place), table, systems, shapes) for place, table in enumerate(tables, 1))
    queues = tuple(route_name(table, place) for place, table in enumerate(tables, 1) if any(steps([table])))
    return Ways(routes, shapes, queues, any(find(step.do, systems)[1].stamps for _, step in steps(tables)))


def _route(name: str, table: RouteTable, systems: Mapping[str, System], shapes: dict[str, Shape]) -> Route:
    cases = tuple(_case(name, case, systems, shapes) for case in table.cases())
    first = None if table.first_sync is None else table.first_sync == "emit"
    when = None if table.when is None or not table.case else expression.condition(table.when, shape.VARIABLES)
    return Route(table.on, cases, name, table.delay, table.gate(), first, table.own == "include", when)


def _case(name: str, table: CaseTable, systems: Mapping[str, System], shapes: dict[str, Shape]) -> Case:
    destructive = any(find(step.do, systems)[1].destructive for step in table.all_steps())
    made = table.shape(name, destructive=destructive)
    if made:
        shapes[made.digest] = made
    return Case(
        tuple(dict.fromkeys(table.to or (name,))),
        None if table.when is None else expression.condition(table.when, shape.VARIABLES),
        made.digest if made else "",
        alone=made is not None and (made.body is not None or bool(made.steps)),
        destructive=destructive,
    )
