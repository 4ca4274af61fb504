"""``[[route]]`` of the configuration: its tables, as they are written."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from poller import expression, shape
from poller.actions import System, UnknownAction, find
from poller.expression import ExpressionError
from poller.nearest import nearest
from poller.plan import Gate
from poller.settings import Duration, Interval, Strict, Strings, called, written
from poller.shape import Shape
from poller.triggers import pattern

_RATE = re.compile(r"([1-9][0-9]{0,5}) ?/ ?([0-9]{0,6})(s|m|h|d)")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_DELAY_S = 30 * 86400.0
SHORTEST_PACE_S = 0.001


class Names(NamedTuple):
    """What a route may speak of: the sinks of the configuration, and the systems whose actions there are."""

    sinks: Sequence[str]
    systems: Mapping[str, System]


def _target(name: str, info: ValidationInfo) -> str:
    names: Names = cast(Names, info.context)
    if name not in names.sinks:
        raise ValueError(f'there is no sink "{name}"' + nearest(name, list(names.sinks)))
    return name


def _action(name: str, info: ValidationInfo) -> str:
    names: Names = cast(Names, info.context)
    try:
        system, action = find(name, names.systems)
    except UnknownAction as error:
        raise ValueError(str(error)) from None
    return f"{system.name}.{action.name}"


def _condition(text: str) -> str:
    try:
        expression.condition(text, shape.VARIABLES)
    except ExpressionError as error:
        raise ValueError(f"column {error.column}: {error}") from None
    return text


def _body(value: object) -> object:
    _compile(value, shape.VARIABLES)
    return value


def _inputs(value: dict[str, Any]) -> dict[str, Any]:
    _compile(value, (*shape.VARIABLES, "steps"))
    return value


def _compile(value: object, variables: Sequence[str]) -> None:
    try:
        expression.template(value, variables)
    except ExpressionError as error:
        words = {"error": f"column {error.column}: {error}"}
        kind = PydanticCustomError("value_error", "{error}", words)
        wrong = InitErrorDetails(type=kind, loc=error.keys, input=value)
        raise ValidationError.from_exception_data("template", [wrong]) from None


def _pace(value: object) -> object:
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('should be a rate such as "30/m" or "10/5m"')
    pace_s = int(found[2] or 1) * _UNITS_S[found[3]] / int(found[1])
    if not SHORTEST_PACE_S <= pace_s <= LONGEST_DELAY_S:
        raise ValueError('should be between "1000/s" and "1/30d"')
    return pace_s


def _rate(pace_s: float) -> str:
    """A pace as it is written: so many in a unit of time, else one in so many seconds, or so many in a day."""
    for unit, unit_s in _UNITS_S.items():
        many = unit_s / pace_s
        if many >= 1 and abs(many - round(many)) < many * 1e-9:
            return f"{round(many)}/{unit}"
    return f"1/{round(pace_s)}s" if abs(pace_s - round(pace_s)) < 1e-9 else f"{round(_UNITS_S['d'] / pace_s)}/d"


Pace = Annotated[
    float,
    BeforeValidator(_pace, json_schema_input_type=str),
    PlainSerializer(_rate, return_type=str),
    written("^[1-9][0-9]{0,5} ?/ ?[0-9]{0,6}(s|m|h|d)$", "So many in a span of time.", "30/m", "10/5m"),
]
"""A rate written as ``"30/m"``; the seconds between two once read."""


def _not_long(seconds: float) -> float:
    if seconds > LONGEST_DELAY_S:
        raise ValueError('should be at most "30d"')
    return seconds


def _step_id(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        raise ValueError("should have letters, digits and _, and begin with no digit")
    return name


Sinks = tuple[Annotated[str, AfterValidator(_target)], ...]
Text = Annotated[str, AfterValidator(_condition)]
Inputs = Annotated[dict[str, Any], AfterValidator(_inputs)]
ActionName = Annotated[str, AfterValidator(_action)]


class StepTable(Strict):
    """One of several actions of a route; what it answers is ``steps.<id>`` to those after it."""

    id: Annotated[str, AfterValidator(_step_id)] | None = None
    do: ActionName
    connection: str | None = None
    with_: Annotated[Inputs, Field(alias="with")] = Field(default_factory=dict)


class FloodTable(Strict):
    """More than ``max`` events within ``per`` are held for an operator."""

    max: Annotated[int, Field(ge=1)]
    per: Interval


class CaseTable(Strict):
    """What is done with an event for which ``when`` holds: it goes ``to`` sinks, or actions are done.

    ``body`` stands in for the event; ``fields`` and ``drop`` are dotted paths of the record that it keeps or loses.
    """

    when: Text | None = None
    to: Annotated[Sinks, Field(strict=False, min_length=1)] | None = None
    body: Annotated[Any, AfterValidator(_body)] = None
    fields: Strings = ()
    drop: Strings = ()
    do: ActionName | None = None
    connection: str | None = None
    with_: Annotated[Inputs, Field(alias="with")] = Field(default_factory=dict)
    step: Annotated[tuple[StepTable, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _one_way(self) -> "CaseTable":
        ways = [name for name in ("to", "do", "step", "case") if getattr(self, name, None)]
        if len(ways) != 1:
            wanted = '"to", "do" or "step"' if type(self) is CaseTable else '"to", "do", "step" or "case"'
            raise ValueError(f"should have one of {wanted}" + (f", and has {' and '.join(ways)}" if ways else ""))
        if (self.body is not None or self.fields or self.drop) and ways != ["to"]:
            raise ValueError('body, fields and drop say what is sent to sinks: they need "to" beside them')
        if self.body is not None and (self.fields or self.drop):
            raise ValueError("body says all that is sent; fields and drop would do nothing")
        if self.with_ and ways != ["do"]:
            raise ValueError('with holds the inputs of an action: it needs "do" beside it')
        if self.connection and ways != ["do"]:
            raise ValueError('connection says whose account an action is done in: it needs "do" beside it')
        return self

    def all_steps(self) -> Sequence[StepTable]:
        """Its actions, however many."""
        if self.do is None:
            return self.step
        return [StepTable.model_construct(id=None, do=self.do, connection=self.connection, with_=self.with_)]

    def definition(self) -> list[dict[str, Any]]:
        """The actions, as a shape is defined."""
        return [
            {
                "id": step.id or f"step{place}",
                "connection": step.connection or step.do.partition(".")[0],
                "action": step.do.partition(".")[2],
                "with": step.with_,
            }
            for place, step in enumerate(self.all_steps(), 1)
        ]

    def shape(self, route: str, *, destructive: bool) -> Shape | None:
        """What is sent in place of the event; None for the event itself."""
        definition = {
            "route": route,
            **({} if self.body is None else {"body": self.body}),
            **({"fields": list(self.fields)} if self.fields else {}),
            **({"drop": list(self.drop)} if self.drop else {}),
            **({"steps": steps} if (steps := self.definition()) else {}),
            **({"destructive": True} if destructive else {}),
        }
        return shape.define(definition) if len(definition) > 1 else None


class RouteTable(CaseTable):
    """One ``[[route]]``: the triggers it is ``on``, as patterns, and what is done with their events.

    Of several ``case`` the first that holds is taken. ``rate`` is in seconds an event.
    """

    on: Annotated[tuple[Annotated[str, AfterValidator(pattern)], ...], Field(strict=False, min_length=1)]
    name: Annotated[str, called("route")] | None = None
    case: Annotated[tuple[CaseTable, ...], Field(strict=False)] = ()
    delay: Annotated[Duration, AfterValidator(_not_long)] = 0.0
    rate: Pace | None = None
    flood: FloodTable | None = None
    first_sync: Literal["silent", "emit"] | None = None
    own: Literal["skip", "include"] = "skip"
    allow_destructive: bool = False

    def cases(self) -> Sequence[CaseTable]:
        """Its cases; a route without any is its own."""
        return self.case or (self,)

    def gate(self) -> Gate | None:
        """What it lets through, where that is limited."""
        if self.rate is None and self.flood is None:
            return None
        return Gate(self.rate or 0.0, *((self.flood.max, self.flood.per) if self.flood else ()))


def places(tables: Sequence[RouteTable]) -> Iterator[tuple[str, RouteTable, CaseTable]]:
    """Every case, with its key and its route."""
    for place, table in enumerate(tables):
        for number, case in enumerate(table.cases()):
            yield (f"route.{place}.case.{number}" if table.case else f"route.{place}"), table, case


def steps(tables: Sequence[RouteTable]) -> Iterator[tuple[str, StepTable]]:
    """Every action that is to be done, with its key."""
    for key, _, case in places(tables):
        for number, step in enumerate(case.all_steps()):
            yield (f"{key}.step.{number}" if case.step else key), step


def route_name(table: RouteTable, place: int) -> str:
    """A route's own name, or one by its place among all."""
    return table.name or f"route-{place}"
