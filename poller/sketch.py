"""From a configuration to its outline."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from pydantic import BaseModel

from poller.config import Config
from poller.outline import Followed, Outline, Receiver, Way
from poller.plan import Route
from poller.routing import RouteTable, route_name, steps
from poller.secret import unprinted

_TOLD_ELSEWHERE = {"resources", "sinks", "route", "test"}


def sketch(config: Config) -> Outline:
    """What matters of a configuration."""
    watches = config.plan().watches
    source = config.source
    names = [(route_name(table, place), table) for place, table in enumerate(config.route, 1)]
    tables = {name: getattr(config, name) for name in type(config).model_fields if name not in _TOLD_ELSEWHERE}
    return Outline(
        address=source.base_url,
        organizations=source.organizations,
        emit_first=source.first_sync == "emit",
        resources={
            name: Followed(
                watch.resource.singular,
                watch.every_s,
                watch.sweep_every_s,
                tuple(sorted(watch.ignore - watch.resource.ignore)),
                watch.announces,
            )
            for name, watch in watches.items()
        },
        receivers={name: Receiver(table.kind, _digest(table)) for name, table in config.sinks.items()}
        | {name: Receiver("actions", _digest(table, {"name"})) for name, table in names if [*steps((table,))]},
        routes={
            route.name: _way(route, table) for route, table in zip(config.ways().routes, config.route, strict=True)
        },
        settings=dict(_settings(tables)),
    )


def _way(route: Route, table: RouteTable) -> Way:
    to = dict.fromkeys(sink for case in route.cases for sink in case.to)
    never = all(case.destructive for case in route.cases)  # at the first sight
    return Way(route.on, tuple(to), False if never else route.first, _digest(table, {"name"}))


def _digest(table: BaseModel, but: set[str] | None = None) -> str:
    plain = table.model_dump(mode="json", exclude=but), list(unprinted(table))  # a URL is dumped by its host alone
    return blake2b(msgspec.json.encode(plain, order="sorted"), digest_size=8).hexdigest()


def _settings(value: object, at: str = "") -> Iterator[tuple[str, str]]:
    """Every setting that is set, by its key; one that its type does not print by a digest."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            inner = getattr(value, name)
            hidden = not field.repr and inner is not None
            yield from _settings(_short(inner) if hidden else inner, f"{at}.{name}")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _settings(inner, f"{at}.{key}" if at else str(key))
    elif isinstance(value, tuple | list):
        yield at, ", ".join(map(str, value))
    elif value is not None:
        yield at, str(value)


def _short(value: Any) -> str:  # noqa: ANN401 - whatever a setting may be
    return f"({blake2b(str(value).encode(), digest_size=4).hexdigest()})"
