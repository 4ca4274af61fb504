"""The configuration: its tables, and what the loops need of it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SerializeAsAny, ValidationError

from poller import connections, expected, routing, ways
from poller.actions import System, reading, systems
from poller.actions.connections import ConnectionTable
from poller.actions.connections import table as connection_table
from poller.listening import HttpTable
from poller.model import Resource
from poller.nearest import nearest
from poller.objections import objections
from poller.places import ConfigError, find, toml
from poller.plan import Plan, Target, Watch
from poller.problems import problems
from poller.secret import secrets, unprinted
from poller.settings import SettingError, Strict
from poller.sinks import SinkConfig, kinds
from poller.sources.resources import RESOURCES
from poller.tables import ResourceTable, ResourceTables, SinkName, SourceTable, StateTable

__all__ = ["Config", "ConfigError", "find", "load"]

_TELLING = 12  # characters: a shorter part of a URL is hardly a secret, and hiding it would hide words


class Config(Strict):
    """A whole configuration, already checked. ``sinks`` is never empty: without any it holds ``stdout``.

    A resource that ``resources`` does not name is followed as ``[source]`` says; None switches it off.
    """

    source: SourceTable = SourceTable()
    resources: ResourceTables = Field(default_factory=dict)
    sinks: dict[SinkName, SerializeAsAny[SinkConfig]]
    route: Annotated[tuple[routing.RouteTable, ...], Field(strict=False)] = ()
    systems: dict[str, Any] = Field(default_factory=dict)
    connections: dict[str, SerializeAsAny[ConnectionTable]] = Field(default_factory=dict)
    state: StateTable = StateTable()
    http: HttpTable = HttpTable()
    test: Annotated[tuple[expected.ExpectedTable, ...], Field(strict=False)] = ()

    def known_systems(self) -> Mapping[str, System]:
        """The systems that actions are done in: those that are shipped, and those of the configuration."""
        return systems({name: reading.system(name, raw) for name, raw in self.systems.items()})

    def ways(self) -> ways.Ways:
        """The routes, what they send, and the queues of those that do actions."""
        return ways.ways(self.route, self.known_systems())

    def own_connection(self) -> ConnectionTable:
        """The way to the source's own system, where no other is set: its token, address and rate."""
        source = self.source
        table = connection_table(self.known_systems()[connections.OWN])
        return table.model_validate({"token": source.token, "base_url": source.base_url, "rate": source.rate})

    def queues(self) -> tuple[str, ...]:
        """The names of the routes that do actions: each has a queue of its own, as a sink has."""
        return self.ways().queues

    def shapes(self) -> list[tuple[str, str, bool]]:
        """What routes send, as the store keeps it: digest, definition, and whether it cannot be undone."""
        return [(digest, made.text, made.destructive) for digest, made in self.ways().shapes.items()]

    def plan(self) -> Plan:
        """What is followed and where events go; a resource stands before those listed by it."""
        sinks = tuple(Target(name, table.order) for name, table in self.sinks.items())
        ways = self.ways()
        origin = self.source.origin if ways.stamps else ""
        watches = {watch.resource.name: watch for watch in self.watches()}
        source = self.source
        orgs, budget, allowed = source.organizations, source.budget, source.allowed()
        return Plan(watches, ways.routes, sinks, origin, source.base_url, orgs, budget, allowed)

    def watches(self) -> Sequence[Watch]:
        """What is followed, in the order of ``plan``."""
        asked = {row.name: self._watch(row) for row in RESOURCES.values() if self._asked(row)}
        needed = {
            parent: watch
            for watch in asked.values()
            if (parent := watch.resource.parent) is not None and parent not in asked
        }
        rows = [*(self._watch(RESOURCES[parent], child) for parent, child in needed.items()), *asked.values()]
        return sorted(rows, key=lambda watch: watch.resource.parent is not None)

    def check_secrets(self, origin: str = "") -> None:
        """Read every secret once; raises ``ConfigError`` naming each that failed. ``origin`` is the file."""
        found = []
        for key, secret in secrets(self):
            try:
                secret.reveal()
            except SettingError as error:
                found.append(f"{key}: {error}")
        if found:
            raise ConfigError(origin, found)

    def hidden(self) -> Iterator[str]:
        """What no message may show: every secret, and of URLs that are not printed what follows their host."""
        for _, secret in secrets(self):
            yield secret.reveal()
        for url in unprinted(self):
            parts = urlsplit(url)
            yield from (part for part in (parts.path, parts.query) if len(part) >= _TELLING)

    def _asked(self, row: Resource) -> bool:
        return self.resources[row.name] is not None if row.name in self.resources else not row.opt_in

    def _watch(self, row: Resource, child: Watch | None = None) -> Watch:
        """How ``row`` is followed: for its own sake, or silently for that of ``child``."""
        source, table = self.source, self.resources.get(row.name) or ResourceTable()
        return Watch(
            resource=row,
            every_s=table.every or (child.every_s if child else source.every),
            sweep_every_s=table.sweep_every or (child.sweep_every_s if child else source.sweep_every),
            overlap_s=source.overlap,
            ignore=row.ignore | frozenset(table.ignore),
            emit_first=source.first_sync == "emit",
            announces=child is None,
            longest_s=min(table.every or source.max_interval, source.max_interval) if source.budget else 0.0,
            count_every=source.count_every,
            full_every=source.full_sweep,
        )


def load(path: Path | None) -> Config:
    """Read and check a configuration file; without one (None) everything is at its default.

    Raises ``ConfigError``. Secrets are not read: ``Config.check_secrets`` does that.
    """
    return _config({}, "") if path is None else _config(toml(path), str(path))


def _config(raw: Mapping[str, Any], origin: str) -> Config:
    tables = {"stdout": {"kind": "stdout"}} if raw.get("sinks", {}) == {} else raw["sinks"]
    names = list(tables) if isinstance(tables, Mapping) else []
    found: list[str] = []
    known = systems(connections.systems(raw.get("systems", {}), found))
    sinks = {name: sink for name in names if (sink := _sink(name, tables[name], found)) is not None}
    ways = raw.get("connections", {})
    ways = connections.read(ways, known, found) if isinstance(ways, Mapping) else ways
    made = {"sinks": sinks if names else tables, "connections": ways}
    try:
        config = Config.model_validate({**raw, **made}, context=routing.Names(names, known))
    except ValidationError as error:
        found += problems(error, Config, {**raw, "sinks": tables})
    else:
        found += objections(config.route, config.watches(), known, config.sinks)
        found += connections.objections(config.route, config.connections, known)
        found += expected.objections(config.test, config.route, known)
    if found:
        raise ConfigError(origin, found)
    return config


def _sink(name: str, table: object, found: list[str]) -> SinkConfig | None:
    known = kinds()
    if not isinstance(table, Mapping):
        found.append(f"sinks.{name}: should be a table")
    elif not isinstance(kind := table.get("kind", ""), str) or kind not in known:
        wrong = f'"{kind}" is not a kind of sink' if "kind" in table else "is missing"
        found.append(f"sinks.{name}.kind: {wrong}" + nearest(str(kind), list(known)))
    else:
        try:
            return known[kind].model_validate(table)
        except ValidationError as error:
            found += problems(error, known[kind], table, f"sinks.{name}")
    return None
