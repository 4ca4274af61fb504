"""A configuration as TOML: its effective values, secrets by their places, URLs as far as they are shown anywhere."""

import json
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from re import compile as pattern
from typing import Any

from poller.config import Config

_BARE = pattern(r"[A-Za-z0-9_-]+")
_NAMED = ("sinks", "connections", "systems")
"""Tables of tables, by names of the operator's choice."""


def toml(config: Config) -> str:
    """The whole of it; what is left at its default is told too, but for routes and tests."""
    whole: dict[str, Any] = config.model_dump(exclude_none=True, by_alias=True)
    written = config.model_dump(exclude_defaults=True, by_alias=True, include={"route", "test"})
    off = {name: False for name, table in config.resources.items() if table is None}
    tables = whole | written | {"resources": whole["resources"] | off}
    return "\n\n".join(_tables(tables)) + "\n"


def _tables(tables: Mapping[str, Any]) -> Iterator[str]:
    for name, table in tables.items():
        if name in _NAMED:
            yield from (_table(f"[{name}.{_key(inner)}]", rows) for inner, rows in table.items())
        elif isinstance(table, Mapping):
            if table:
                yield _table(f"[{name}]", table)
        else:
            yield from (_table(f"[[{name}]]", rows) for rows in table)


def _table(head: str, rows: Mapping[str, Any]) -> str:
    return "\n".join([head, *(f"{_key(key)} = {value(inner)}" for key, inner in rows.items() if inner is not None)])


def value(item: object) -> str:
    """A value on one line."""
    for types, write in _WRITERS:
        if isinstance(item, types):
            return str(write(item))
    raise TypeError(f"no TOML for {type(item).__name__}")


def _key(name: object) -> str:
    return str(name) if _BARE.fullmatch(str(name)) else _text(name)


def _text(item: object) -> str:
    return json.dumps(str(item), ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(item: Any) -> str:  # noqa: ANN401 - a mapping
    inner = ", ".join(f"{_key(key)} = {value(one)}" for key, one in item.items() if one is not None)
    return f"{{ {inner} }}" if inner else "{}"


_WRITERS: tuple[tuple[tuple[type, ...], Any], ...] = (
    ((bool,), lambda item: str(item).lower()),
    ((Enum,), lambda item: _text(item.value)),
    ((int, float, Decimal), str),
    ((str, PurePath), _text),
    ((date, time), lambda item: item.isoformat()),
    ((Mapping,), _inline),
    ((list, tuple, frozenset), lambda item: "[" + ", ".join(value(one) for one in item) + "]"),
)
