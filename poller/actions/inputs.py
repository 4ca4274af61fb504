"""What is said of an action: checked against its inputs, completed by their defaults, and stamped."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import chain

from poller.actions import Action, Input
from poller.expression import EvaluationError, File, Scope, write
from poller.nearest import nearest


class InputError(ValueError):
    """What is said of an action is not what it takes. The message names the input, never a value."""


def prepare(action: Action, given: Mapping[str, object], scope: Scope) -> dict[str, object]:
    """The inputs as requests are built of them: complete and right. ``scope`` has ``event`` and ``step``.

    The same for the same ``given`` and ``scope``. Raises ``InputError``, and ``EvaluationError`` of a default.
    """
    for name in given:
        if name not in action.inputs:
            raise InputError(f"{name}: unknown input{nearest(name, list(action.inputs))}")
    said = {name: value for name, value in given.items() if value is not None}
    for name, row in action.inputs.items():
        if name not in said and row.default is not None:
            said[name] = row.default.render(scope)
    for row in action.inputs.values():
        _name_file(row, said)
    for name, row in action.inputs.items():
        _check(row, said.get(name))
    stamps = action.stamps.render(scope) if action.stamps else {}
    found = _merged(said, stamps) if isinstance(stamps, dict) else said
    return {name: value for name, value in found.items() if value is not None}


def objections(action: Action, given: Mapping[str, object]) -> Iterator[str]:
    """What is wrong with what a configuration says of an action, before any event: lines ``input: what``.

    A value with holes is looked at when it runs.
    """
    for name in given:
        if name not in action.inputs:
            yield f"{name}: unknown input{nearest(name, list(action.inputs))}"
    named = {row.named_by for row in action.inputs.values()}  # a file that comes may bring its name
    for name, row in action.inputs.items():
        if name not in given:
            if row.required and name not in named:
                yield f"{name}: is missing"
        elif not _has_holes(given[name]) and row.type != "file":
            try:
                _check(row, given[name])
            except InputError as error:
                yield str(error)


def _has_holes(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_holes, value.values()))
    return any(map(_has_holes, value)) if isinstance(value, list | tuple) else isinstance(value, str) and "${" in value


def _name_file(row: Input, said: dict[str, object]) -> None:
    """Give a file the name that is said for it, or take the one it has; a text is a page of HTML."""
    value = said.get(row.name)
    if row.type != "file" or value is None:
        return
    name = said.get(row.named_by) if row.named_by else None
    if isinstance(value, File):
        name = value.name if name is None else name
        said[row.name] = File(str(name), value.content_type, value.data)
        if row.named_by:
            said[row.named_by] = name
    elif isinstance(value, str) and isinstance(name, str):
        if not name.lower().endswith((".html", ".htm")):
            raise InputError(f"{row.name}: is a text, so {row.named_by} should end in .html")
        said[row.name] = File(name, "text/html; charset=utf-8", value.encode("utf-8", "replace"))


def _check(row: Input, value: object) -> None:
    if value is None:
        if row.required:
            raise InputError(f"{row.name}: is missing, or null")
        return
    words = next(chain(_type(row, value), _extent(row, value), _flat(row, value)), None)
    if words is not None:
        raise InputError(f"{row.name}: {words}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


_TYPES: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "string": ("a string", lambda value: isinstance(value, str)),
    "number": ("a number", _is_number),
    "integer": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "object": ("an object", lambda value: isinstance(value, Mapping)),
    "list": ("a list", lambda value: isinstance(value, list | tuple)),
    "file": ("a file, or a page of HTML with a name", lambda value: isinstance(value, File)),
}


def _type(row: Input, value: object) -> Iterator[str]:
    words, is_one = _TYPES[row.type]
    if not is_one(value):
        yield f"should be {words}"


def _extent(row: Input, value: object) -> Iterator[str]:
    if isinstance(value, str):
        if row.required and not value.strip():
            yield "is empty"
        if row.choices and value not in row.choices:
            yield "should be one of " + ", ".join(row.choices)
        if row.pattern is not None and not row.pattern.fullmatch(value):
            yield "is not of the form that it should have" + (f": {row.about}" if row.about else "")
        if row.max_length is not None and len(value) > row.max_length:
            yield f"is longer than {row.max_length} characters"
    if row.max_bytes is not None and len(_written(row, value)) > row.max_bytes:
        yield f"is larger than {row.max_bytes} bytes"


def _written(row: Input, value: object) -> bytes:
    try:
        return write(value)
    except EvaluationError:
        raise InputError(f"{row.name}: has no form in JSON") from None


def _flat(row: Input, value: object) -> Iterator[str]:
    if not isinstance(value, Mapping):
        return
    if row.max_fields is not None and len(value) > row.max_fields:
        yield f"has more than {row.max_fields} fields"
    if row.flat and not all(isinstance(inner, str | bool) or _is_number(inner) for inner in value.values()):
        yield "should have texts, numbers and booleans only"


def _merged(values: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Objects are merged key by key; anything else is replaced."""
    found = dict(values)
    for key, value in over.items():
        inner = found.get(key)
        found[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found
