"""The functions of expressions: JMESPath's, with exact numbers, and our own. One row each."""

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import NamedTuple

from poller.expression.values import NUMBERS, EvaluationError, Value, described, equal, kind, read, write
from poller.model import parse_time


class Parameter(NamedTuple):
    """What an argument may be: its types, None for any; ``items`` are the types that an array's items may share."""

    words: str
    types: frozenset[type] | None
    items: tuple[frozenset[type], ...] = ()

    def check(self, name: str, value: Value) -> None:
        """Raise ``EvaluationError`` unless ``value`` may be an argument of function ``name``."""
        if self.types is not None and type(value) not in self.types:
            raise EvaluationError(f"{name}() takes {self.words}, not {described(value)}")
        if self.items and isinstance(value, list):
            found = set(map(type, value))
            if not any(found <= allowed for allowed in self.items):
                raise EvaluationError(f"{name}() takes {self.words}, and not all items are that")


class Function(NamedTuple):
    """One function. ``variadic``: the last parameter may come again and again.

    ``reads`` is a path from the scope; its value is handed over before the arguments.
    """

    call: Callable[..., Value]
    parameters: tuple[Parameter, ...] = ()
    variadic: bool = False
    reads: tuple[str, ...] = ()

    def takes(self, count: int) -> tuple[Parameter, ...] | None:
        """The parameters of a call with so many arguments, None if it cannot have so many."""
        least = len(self.parameters)
        if count < least or (count > least and not self.variadic):
            return None
        return (*self.parameters, *self.parameters[-1:] * (count - least))


_STRINGS, _ARRAYS = frozenset({str}), frozenset({list})
ANY = Parameter("anything", None)
EXPRESSION = Parameter("an expression such as &name", None)
STRING = Parameter("a string", _STRINGS)
NUMBER = Parameter("a number", NUMBERS)
ARRAY = Parameter("an array", _ARRAYS)
OBJECT = Parameter("an object", frozenset({dict}))
TEXT_OR_ARRAY = Parameter("a string or an array", _STRINGS | _ARRAYS)
SIZED = Parameter("a string, an array or an object", frozenset({str, list, dict}))
NUMBERS_ONLY = Parameter("an array of numbers", _ARRAYS, (NUMBERS,))
STRINGS_ONLY = Parameter("an array of strings", _ARRAYS, (_STRINGS,))
ALIKE = Parameter("an array of numbers or of strings", _ARRAYS, (NUMBERS, _STRINGS))

_EXACT = Context(prec=1000, traps=[Inexact, InvalidOperation, Overflow])  # so long a number is no amount of anything
_DIVISION = Context(prec=34, traps=[InvalidOperation, Overflow])
_ROUNDING = Context(prec=1000, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])
_MAX_PLACES = 28


def _sum(numbers: Sequence[int | Decimal]) -> int | Decimal:
    total: int | Decimal = 0
    for one in numbers:
        both_whole = isinstance(total, int) and isinstance(one, int)
        total = total + one if both_whole else _EXACT.add(total, one)
    return total


def _average(numbers: Sequence[int | Decimal]) -> Decimal | None:
    return _DIVISION.divide(Decimal(_sum(numbers)), len(numbers)) if numbers else None


def _round(value: int | Decimal, places: int | Decimal) -> Decimal:
    if not 0 <= places <= _MAX_PLACES or places != int(places):
        raise EvaluationError(f"round() takes 0 to {_MAX_PLACES} as its number of decimal places")
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-int(places)), context=_ROUNDING)
    return rounded or rounded.copy_abs()  # no -0.00


def _abs(value: int | Decimal) -> int | Decimal:
    return value.copy_abs() if isinstance(value, Decimal) else abs(value)


def _whole(rounding: str) -> Callable[[int | Decimal], int]:
    """Round to a whole number, which may not be too long to be written."""
    context = Context(prec=1000, rounding=rounding, traps=[InvalidOperation])
    return lambda value: int(Decimal(value).quantize(Decimal(1), context=context))


def _to_number(value: Value) -> int | Decimal | None:
    try:
        found: Value = read(value.encode()) if isinstance(value, str) else value
    except (EvaluationError, UnicodeError):
        return None
    return found if type(found) in NUMBERS else None


def _contains(subject: str | list[Value], search: Value) -> bool:
    if isinstance(subject, list):
        return any(equal(item, search) for item in subject)
    if not isinstance(search, str):
        raise EvaluationError(f"contains() looks for a string in a string, not for {described(search)}")
    return search in subject


def _first(*values: Value) -> Value:
    return next((value for value in values if value is not None), None)


def _merge(*objects: dict[str, Value]) -> dict[str, Value]:
    return {key: value for each in objects for key, value in each.items()}


def _keys(items: list[Value], key: Callable[[Value], Value]) -> list[Value]:
    """What the items are ordered by: all numbers or all strings."""
    keys = [key(item) for item in items]
    found = set(map(type, keys))
    if not (found <= NUMBERS or found <= _STRINGS):
        raise EvaluationError("an array is ordered by numbers or by strings, and not all items give that")
    return keys


def _sort_by(items: list[Value], key: Callable[[Value], Value]) -> list[Value]:
    keys = _keys(items, key)
    return [items[place] for place in sorted(range(len(items)), key=keys.__getitem__)]


def _best_by(best: Callable[..., int]) -> Callable[..., Value]:
    def choose(items: list[Value], key: Callable[[Value], Value]) -> Value:
        keys = _keys(items, key)
        return items[best(range(len(items)), key=keys.__getitem__)] if items else None

    return choose


def _time(value: str) -> int:
    time_ms = parse_time(value)
    if time_ms is None:
        raise EvaluationError("date_before() takes dates such as 2026-02-11T14:02:07.093Z or 2026-02-11")
    return time_ms


def _now(recorded: Value) -> str:
    """When the change was recorded: the time at which the expression runs would differ at every attempt."""
    if not isinstance(recorded, str):
        raise EvaluationError("now() is not known here")
    return recorded


FUNCTIONS = {
    "abs": Function(_abs, (NUMBER,)),
    "avg": Function(_average, (NUMBERS_ONLY,)),
    "ceil": Function(_whole(ROUND_CEILING), (NUMBER,)),
    "contains": Function(_contains, (TEXT_OR_ARRAY, ANY)),
    "date_before": Function(lambda first, second: _time(first) < _time(second), (STRING, STRING)),
    "default": Function(_first, (ANY, ANY), variadic=True),
    "ends_with": Function(str.endswith, (STRING, STRING)),
    "floor": Function(_whole(ROUND_FLOOR), (NUMBER,)),
    "join": Function(str.join, (STRING, STRINGS_ONLY)),
    "keys": Function(list, (OBJECT,)),
    "length": Function(len, (SIZED,)),
    "lower": Function(str.lower, (STRING,)),
    "map": Function(lambda key, items: [key(item) for item in items], (EXPRESSION, ARRAY)),
    "max": Function(lambda items: max(items, default=None), (ALIKE,)),
    "max_by": Function(_best_by(max), (ARRAY, EXPRESSION)),
    "merge": Function(_merge, (OBJECT,), variadic=True),
    "min": Function(lambda items: min(items, default=None), (ALIKE,)),
    "min_by": Function(_best_by(min), (ARRAY, EXPRESSION)),
    "not_null": Function(_first, (ANY,), variadic=True),
    "now": Function(_now, reads=("event", "recorded")),
    "reverse": Function(lambda value: value[::-1], (TEXT_OR_ARRAY,)),
    "round": Function(_round, (NUMBER, NUMBER)),
    "sort": Function(sorted, (ALIKE,)),
    "sort_by": Function(_sort_by, (ARRAY, EXPRESSION)),
    "starts_with": Function(str.startswith, (STRING, STRING)),
    "sum": Function(_sum, (NUMBERS_ONLY,)),
    "to_array": Function(lambda value: value if isinstance(value, list) else [value], (ANY,)),
    "to_number": Function(_to_number, (ANY,)),
    "to_string": Function(lambda value: value if isinstance(value, str) else write(value).decode(), (ANY,)),
    "type": Function(kind, (ANY,)),
    "upper": Function(str.upper, (STRING,)),
    "values": Function(lambda value: list(value.values()), (OBJECT,)),
}
