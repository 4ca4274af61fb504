"""Systems and connections of the configuration: what actions there are, and whose account they are done in."""

from collections.abc import Iterator, Mapping, Sequence
from threading import Event

from pydantic import ValidationError

from poller.actions import BadSystem, Connection, System, reading
from poller.actions.connections import ConnectionTable, connect, table, veiled
from poller.nearest import nearest
from poller.problems import problems
from poller.routing import RouteTable, steps
from poller.settings import misnamed

OWN = "space-invoices"
"""The system that the source is too: without a connection of its own it is reached as the source is."""


def systems(raw: object, found: list[str]) -> dict[str, System]:
    """The systems of ``[systems]``; what is wrong with them is added to ``found``, as ``key: what``."""
    made = {}
    for name, row in raw.items() if isinstance(raw, Mapping) else ():
        if wrong := misnamed("system", name):
            found.append(f"systems.{name}: {wrong}")
            continue
        try:
            made[name] = reading.system(name, row, f"systems.{name}")
        except BadSystem as error:
            found += error.problems
    if OWN in made and dict(made[OWN].connection) != {"token": "secret"}:
        found.append(f'systems.{OWN}.connection: should be {{ token = "secret" }}, which is what [source] has')
    return made


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
    for key, step in steps(routes):
        system = step.do.partition(".")[0]
        name = step.connection or system
        known = (tables[name].system or name) if name in tables else name if _is_given(name, systems) else None
        if known is None:
            wanted = ", ".join(systems[system].connection)
            yield f"{key}.do: {step.do} needs a table [connections.{name}]" + (f" with {wanted}" if wanted else "")
        elif known != system:
            yield f"{key}.connection: {step.do} cannot be done by connection {name}, which is to {known}"


def _is_given(name: str, systems: Mapping[str, System]) -> bool:
    """Whether a connection is there without a table: to the source's own system, and to those that ask for nothing."""
    return name == OWN or (name in systems and not systems[name].connection)


def connections(
    tables: Mapping[str, ConnectionTable], systems: Mapping[str, System], own: ConnectionTable, stop: Event
) -> dict[str, Connection]:
    """All connections, with that to the source's own system; raises ``SettingError`` where a secret cannot be had."""
    every = _every(tables, systems, own)
    return {name: connect(name, systems[row.system or name], row, stop) for name, row in every.items()}


def veiled_connections(
    tables: Mapping[str, ConnectionTable], systems: Mapping[str, System], own: ConnectionTable
) -> dict[str, Connection]:
    """The same without their secrets, of which none is read."""
    every = _every(tables, systems, own)
    return {name: veiled(name, systems[row.system or name], row) for name, row in every.items()}


def used(routes: Sequence[RouteTable]) -> set[str]:
    """The connections that actions of routes are done by."""
    return {step.connection or step.do.partition(".")[0] for _, step in steps(routes)}


def _every(
    tables: Mapping[str, ConnectionTable], systems: Mapping[str, System], own: ConnectionTable
) -> dict[str, ConnectionTable]:
    return {**{name: ConnectionTable() for name in systems if _is_given(name, systems)}, OWN: own, **tables}
