"""What a route sends in place of the event: a body of its own, a part of the record, or a chain of actions.

A shape is defined by JSON that holds all of it, and known by that text's digest. Deliveries name the shape that they
were made under, so that what they send does not change with the configuration.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

from poller import expression, route
from poller.expression import Template
from poller.model import Delivery

VARIABLES = ("event", "data", "previous", "changed")
"""What a body may speak of; the inputs of a step also of ``steps``."""

JSON = "application/json"


class Step(NamedTuple):
    """One action of a chain, done by a connection to its system; ``given`` is what is said of it, with holes.

    ``id`` is what later steps know its result by.
    """

    id: str
    connection: str
    action: str
    given: Template


@dataclass(frozen=True, slots=True)
class Shape:
    """A definition, compiled; ``text`` is the definition itself."""

    text: str
    route: str
    body: Template | None = None
    fields: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    steps: tuple[Step, ...] = field(default=())
    destructive: bool = False

    @property
    def digest(self) -> str:
        """What deliveries name it by."""
        return sha256(self.text.encode()).hexdigest()[:16]


def define(definition: Mapping[str, Any]) -> Shape:
    """Compile a definition; raises ``ExpressionError``.

    It is ``{"route": name}`` with ``body``, or ``fields`` and ``drop``, or ``steps`` of ``id``, ``connection``,
    ``action`` and ``with``.
    """
    body = definition.get("body")
    return Shape(
        json.dumps(definition, separators=(",", ":")),  # keys in their order: so they are sent
        definition["route"],
        None if body is None else expression.template(body, VARIABLES),
        tuple(definition.get("fields", ())),
        tuple(definition.get("drop", ())),
        tuple(
            Step(
                step["id"], step["connection"], step["action"], expression.template(step["with"], (*VARIABLES, "steps"))
            )
            for step in definition.get("steps", ())
        ),
        bool(definition.get("destructive")),
    )


def define_text(definition: str) -> Shape:
    """Compile a definition that was kept; raises ``ExpressionError``."""
    return define(json.loads(definition))


def done_still(before: str, after: str, done: Iterable[str]) -> frozenset[str]:
    """Of the steps that were done by one definition, those that are the same action in another, whatever its inputs."""
    one, other = (
        {(step["id"], step["connection"], step["action"]) for step in json.loads(text).get("steps", ())}
        for text in (before, after)
    )
    return frozenset(step_id for step_id, _, _ in one & other).intersection(done)


def render(shape: Shape, delivery: Delivery) -> Delivery:
    """The delivery with what it sends; raises ``EvaluationError`` where that cannot be made.

    A body of the route's own is a message of its own, under the event's id and the route's name.
    """
    if shape.body is None:
        return delivery._replace(body=_part(delivery.body, shape))
    body = expression.write(shape.body.render(route.scope_of(delivery.body)))
    return delivery._replace(body=body, content_type=JSON, event_id=f"{delivery.event_id}_{shape.route}")


def _part(event: bytes, shape: Shape) -> bytes:
    """The event with a part of its record; what is left out is not in ``changed`` and ``previous`` either."""
    told: Any = expression.read(event)
    data = told["data"]
    record_id = data["object"].get("id")
    data["object"] = {"id": record_id, **_fields(data["object"], shape)}
    if "changed" in data:
        data["changed"] = [path for path in data["changed"] if _is_near(path, shape)]
        data["previous"] = _kept({path: _cut(value, path, shape) for path, value in data["previous"].items()})
    return expression.write(told)


_NOTHING = object()


def _fields(record: Mapping[str, Any], shape: Shape, within: str = "") -> dict[str, Any]:
    return _kept({key: _cut(value, f"{within}{key}", shape) for key, value in record.items()})


def _kept(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not _NOTHING}


def _cut(value: Any, path: str, shape: Shape) -> Any:  # noqa: ANN401 - any value of a record
    """What is kept of the value at a path, or ``_NOTHING``. A path goes through lists: it is that of each item's."""
    if not _is_near(path, shape):
        return _NOTHING
    if isinstance(value, dict):
        return _fields(value, shape, f"{path}.")
    if isinstance(value, list):
        return [item for item in (_cut(item, path, shape) for item in value) if item is not _NOTHING]
    return value if not shape.fields or any(_within(path, one) for one in shape.fields) else _NOTHING


def _is_near(path: str, shape: Shape) -> bool:
    """Whether a path is within what is asked for, or on the way to it, and not within what is left out."""
    wanted = not shape.fields or any(_within(path, one) or _within(one, path) for one in shape.fields)
    return wanted and not any(_within(path, one) for one in shape.drop)


def _within(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.")
