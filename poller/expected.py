"""``[[test]]`` of the configuration: an event, and what the routes are to make of it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from poller.actions import System, find
from poller.model import Kind
from poller.nearest import nearest
from poller.routing import ActionName, RouteTable, Sinks, route_name
from poller.settings import FilePath, Strict
from poller.triggers import EVERY, trigger_named


def _trigger(name: str) -> str:
    trigger = trigger_named(name)
    if trigger not in EVERY:
        raise ValueError(f'"{name}" is no trigger' + nearest(name, EVERY))
    return trigger


def _listed(value: object) -> object:
    """One name stands for a list of it."""
    return [value] if isinstance(value, str) else value


def exact(value: object) -> object:
    """A value as expressions have it: decimals, not floats. Raises ``ValueError`` for what JSON has no form for."""
    if isinstance(value, Mapping):
        return {str(key): exact(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [exact(inner) for inner in value]
    if isinstance(value, date | time) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError("has no JSON form; write it in quotes")
    return Decimal(str(value)) if isinstance(value, float) else value


Value = Annotated[Any, AfterValidator(exact)]
Object = Annotated[dict[str, Any], AfterValidator(exact)]


class ExpectedTable(Strict):
    """One ``[[test]]``: the sample ``event`` of a trigger, or that of a ``file``, with other ``data`` and ``previous``.

    Both are merged, key by key, over those of the event. What it does not expect it does not look at: ``route`` are
    the names of all routes that take the event, ``to`` all sinks that get it, ``body`` what they get, ``do`` an action
    that is done and ``with`` its inputs.
    """

    name: Annotated[str, Field(min_length=1)]
    event: Annotated[str, AfterValidator(_trigger)] | None = None
    file: FilePath | None = None
    data: Object = Field(default_factory=dict)
    previous: Object = Field(default_factory=dict)
    route: (
        Annotated[
            tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str]), Field(strict=False)
        ]
        | None
    ) = None
    to: (
        Annotated[Sinks, BeforeValidator(_listed, json_schema_input_type=str | list[str]), Field(strict=False)] | None
    ) = None
    body: Value = None
    do: ActionName | None = None
    with_: Annotated[Object | None, Field(alias="with")] = None

    @model_validator(mode="after")
    def _complete(self) -> "ExpectedTable":
        if (self.event is None) == (self.file is None):
            raise ValueError("should have one of event and file")
        if not self.expects & {"route", "to", "body", "do"}:
            raise ValueError("expects nothing; it should have one of route, to, body and do")
        if self.with_ is not None and self.do is None:
            raise ValueError('with holds the inputs of an action: it needs "do" beside it')
        if self.previous and self.event is not None and not self.event.endswith(f".{Kind.UPDATED}"):
            raise ValueError(f"previous is of updates; {self.event} has none")
        return self

    @property
    def expects(self) -> set[str]:
        """What it says, by the keys."""
        return self.model_fields_set


def objections(
    tables: Sequence[ExpectedTable], routes: Sequence[RouteTable], systems: Mapping[str, System]
) -> Iterator[str]:
    """What is wrong with tests that are each well written: ``key: what``."""
    names = [table.name for table in tables]
    known = [route_name(route, place) for place, route in enumerate(routes, 1)]
    for place, table in enumerate(tables):
        if names.index(table.name) != place:
            yield f'test.{place}.name: there is another test "{table.name}"'
        for number, name in enumerate(table.route or ()):
            if name not in known:
                yield f'test.{place}.route.{number}: there is no route "{name}"' + nearest(name, known)
        inputs = find(table.do, systems)[1].inputs if table.do is not None else {}
        for name in table.with_ or ():
            if name not in inputs:
                yield f"test.{place}.with.{name}: unknown input" + nearest(name, list(inputs))
