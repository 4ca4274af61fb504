"""Connections of the configuration: whose account the actions of routes are done in."""

from collections.abc import Iterator, Mapping, Sequence
from threading import Event

from pydantic import ValidationError

from poller.actions import Connection, System
from poller.actions.connections import ConnectionTable, connect, table
from poller.problems import nearest, problems
from poller.routing import RouteTable

OWN = "space-invoices"
"""The system that the source is too: without a connection of its own it is reached as the source is."""


def read(raw: object, systems: Mapping[str, System], found: list[str]) -> dict[str, ConnectionTable]:
    """The tables of ``[connections]``; what is wrong with them is added to ``found``, as ``key: what``."""
    made = {}
    for name, row in raw.items() if isinstance(raw, Mapping) else ():
        system = systems.get(_system(name, row))
        if system is None:
            key = "system" if isinstance(row, Mapping) and "system" in row else ""
            words = f'there is no system "{_system(name, row)}"' + nearest(_system(name, row), list(systems))
            found.append(f"connections.{name}{f'.{key}' if key else ''}: {words}")
            continue
        kind = table(system)
        try:
            made[name] = kind.model_validate(row)
        except ValidationError as error:
            found += problems(error, kind, row, f"connections.{name}")
    return made


def _system(name: str, row: object) -> str:
    named = row.get("system") if isinstance(row, Mapping) else None
    return named if isinstance(named, str) else name


def objections(
    routes: Sequence[RouteTable], tables: Mapping[str, ConnectionTable], systems: Mapping[str, System]
) -> Iterator[str]:
    """What routes lack to do their actions: ``key: what``."""
    for place, route in enumerate(routes):
        for case in route.cases():
            for step in case.all_steps():
                system = step.do.partition(".")[0]
                name = step.connection or system
                known = _system(name, tables[name].model_dump()) if name in tables else None
                if known is None and name != OWN:
                    wanted = ", ".join(systems[system].connection)
                    yield f"route.{place}: {step.do} needs a table [connections.{name}] with {wanted}"
                elif known not in (None, system):
                    yield f"route.{place}: {step.do} cannot be done by connection {name}, which is to {known}"


def connections(
    tables: Mapping[str, ConnectionTable], systems: Mapping[str, System], own: ConnectionTable, stop: Event
) -> dict[str, Connection]:
    """All connections, with that to the source's own system; raises ``SettingError`` where a secret cannot be had."""
    every = {OWN: own, **tables}
    return {name: connect(name, systems[row.system or name], row, stop) for name, row in every.items()}
