"""What is wrong with a configuration, in words: where it is, and what it should be."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from poller.nearest import nearest


def problems(error: ValidationError, table: type[BaseModel], raw: object, at: str = "") -> Iterator[str]:
    """Say in words what is wrong with ``raw``, read as a ``table`` found at key ``at``: lines ``"key.key: what"``.

    No message shows a value, other than one that its validator chose to show.
    """
    found = [
        (_keys(details["loc"], raw, missing=details["type"] == "missing"), details)
        for details in error.errors(include_url=False)
    ]
    for keys, details in found:
        if details["type"] == "too_short" and any(other[: len(keys)] == keys != other for other, _ in found):
            continue  # it counts the items that are good; the bad ones have their own message
        key = ".".join(str(part) for part in (at, *keys) if part != "")
        yield f"{key}: {_words(details, table, keys)}" if key else _words(details, table, keys)


def _keys(loc: tuple[int | str, ...], raw: object, *, missing: bool) -> tuple[int | str, ...]:
    """The part of ``loc`` that a person wrote: pydantic mixes in the names of types."""
    keys: list[int | str] = []
    for place, part in enumerate(loc):
        if isinstance(raw, Mapping) and (part in raw or (missing and place == len(loc) - 1)):
            raw = raw.get(part)
        elif isinstance(raw, list | tuple) and isinstance(part, int) and part < len(raw):
            raw = raw[part]
        else:
            continue
        keys.append(part)
    return tuple(keys)


_WORDS = {
    "missing": "is missing",
    "string_type": "should be a string in quotes",
    "string_too_short": "should not be empty",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "set_type": "should be a list",
    "frozen_set_type": "should be a list",
    "dict_type": "should be a table",
    "model_type": "should be a table",
    "path_type": "should be a path in quotes",
    "too_short": "should name at least one",
    "greater_than": "should be more than {gt:g}",
    "greater_than_equal": "should be at least {ge:g}",
    "less_than": "should be less than {lt:g}",
    "less_than_equal": "should be at most {le:g}",
    "literal_error": "should be {expected}",
    "value_error": "{error}",
}


def _words(details: Any, table: type[BaseModel], keys: tuple[int | str, ...]) -> str:  # noqa: ANN401 - pydantic's dict
    if details["type"] == "extra_forbidden":
        return "unknown key" + nearest(str(keys[-1]), _known(table, keys[:-1]))
    words = _WORDS.get(details["type"])
    if words is None:
        return str(details["msg"]).removeprefix("Input ").replace("'", '"')
    context = dict(details.get("ctx", {}))
    if "expected" in context:
        context["expected"] = context["expected"].replace("'", '"')
    return words.format(**context)


def _known(table: type[BaseModel], keys: tuple[int | str, ...]) -> list[str]:
    """The keys of the table that ``keys`` lead to, starting in ``table``."""
    for key in keys:
        for name, field in table.model_fields.items():
            inner = next(tables(field.annotation), None)
            if key == (field.alias or name) and inner is not None:
                table = inner
    return [field.alias or name for name, field in table.model_fields.items()]


def tables(annotation: object) -> Iterator[type[BaseModel]]:
    """The types of tables that an annotation speaks of, however wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from tables(argument)
