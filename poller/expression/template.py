"""Values with ``${...}`` in their strings: a body to send, made of what happened."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from poller.expression.analysis import Path
from poller.expression.evaluation import Expression, Scope, expression
from poller.expression.syntax import QUOTED, ExpressionError
from poller.expression.values import Value

Keys = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A value of a configuration, compiled: ``source`` is what was written."""

    source: object
    _holes: tuple[Expression, ...] = field(compare=False, repr=False)
    _run: Callable[[Scope], Value] = field(compare=False, repr=False)

    def render(self, scope: Scope) -> object:
        """The value with its holes filled. Raises ``EvaluationError``.

        A string that is one hole becomes the hole's value; where that is null, its key or item is left out.
        """
        return self._run(scope)

    def mentions(self, path: str) -> bool:
        """Whether a hole reads a path that is or ends so: ``custom.origin``."""
        return any(hole.mentions(path) for hole in self._holes)

    def names(self) -> frozenset[str]:
        """The variables that its holes read."""
        return frozenset[str]().union(*(hole.names() for hole in self._holes))

    def reads(self) -> frozenset[Path]:
        """The paths that its holes read, each with those that lead to it: ``("steps",)`` and ``("steps", "pdf")``."""
        return frozenset[Path]().union(*(hole.reads for hole in self._holes))


def template(value: object, variables: Collection[str]) -> Template:
    """Compile a value of TOML or JSON. Raises ``ExpressionError``, whose ``keys`` lead to the string it is about."""
    part = _part(value, variables, ())
    return Template(value, part.holes, part.run)


class _Part(NamedTuple):
    """A piece of a template; ``fleeting`` leaves out the key or item whose value it is when that is null."""

    run: Callable[[Scope], Value]
    holes: tuple[Expression, ...] = ()
    fleeting: bool = False


def _part(value: object, variables: Collection[str], keys: Keys) -> _Part:
    if isinstance(value, str):
        return _string(value, variables, keys)
    if isinstance(value, dict):
        return _object({_key(key, keys): _part(item, variables, (*keys, key)) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return _array([_part(item, variables, (*keys, place)) for place, item in enumerate(value)])
    return _constant(_scalar(value, keys))


def _constant(value: Value) -> _Part:
    return _Part(lambda _: value)


def _scalar(value: object, keys: Keys) -> Value:
    """A float is what TOML makes of 10.10: it is taken by its shortest digits, 10.1."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal) and Decimal(value).is_finite():
        return Decimal(str(value))
    raise ExpressionError("has no JSON form; write it in quotes", 1, keys)


def _key(key: object, keys: Keys) -> str:
    if not isinstance(key, str) or "${" in key:
        raise ExpressionError("a key is taken as it stands, and cannot hold ${...}", 1, (*keys, str(key)))
    return key


def _object(parts: dict[str, _Part]) -> _Part:
    rows = [(key, part.run, part.fleeting) for key, part in parts.items()]

    def run(scope: Scope) -> Value:
        found = [(key, run(scope), fleeting) for key, run, fleeting in rows]
        return {key: value for key, value, fleeting in found if not (fleeting and value is None)}

    return _Part(run, tuple(hole for part in parts.values() for hole in part.holes))


def _array(parts: list[_Part]) -> _Part:
    def run(scope: Scope) -> Value:
        found = [(part.run(scope), part.fleeting) for part in parts]
        return [value for value, fleeting in found if not (fleeting and value is None)]

    return _Part(run, tuple(hole for part in parts for hole in part.holes))


def _string(text: str, variables: Collection[str], keys: Keys) -> _Part:
    try:
        pieces = [piece if isinstance(piece, str) else _hole(piece, variables) for piece in _pieces(text)]
    except ExpressionError as error:
        raise ExpressionError(str(error), error.column, keys) from error.__cause__
    holes = tuple(piece for piece in pieces if isinstance(piece, Expression))
    if not holes:
        return _constant("".join(map(str, pieces)))
    if len(pieces) == 1:
        return _Part(holes[0].value, holes, fleeting=True)
    return _Part(
        lambda scope: "".join(piece if isinstance(piece, str) else piece.within_text(scope) for piece in pieces), holes
    )


class _Hole(NamedTuple):
    text: str
    column: int


def _hole(hole: _Hole, variables: Collection[str]) -> Expression:
    try:
        return expression(hole.text, variables)
    except ExpressionError as error:
        raise ExpressionError(str(error), error.column + hole.column - 1) from error.__cause__


_OPENING = re.compile(r"\$?\$\{")
_BRACE = re.compile(f"{QUOTED}|[{{}}]", re.DOTALL)


def _pieces(text: str) -> Iterator[str | _Hole]:
    """The texts and the holes of a string, in turn; ``$${`` is the text ``${``."""
    literal, at = "", 0
    while opening := _OPENING.search(text, at):
        literal += text[at : opening.start()]
        at = opening.end()
        if opening[0] == "$${":
            literal += "${"
            continue
        if literal:
            yield literal
        end = _closing(text, at)
        yield _Hole(text[at:end], at + 1)
        literal, at = "", end + 1
    if literal or text[at:]:
        yield literal + text[at:]


def _closing(text: str, start: int) -> int:
    """Where the brace is that closes a hole: braces within it come in pairs, and those in quotes do not count."""
    depth = 1
    for found in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return found.start()
    raise ExpressionError("${ is never closed by }", start - 1)
