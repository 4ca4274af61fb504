"""The ``where`` clause: compiled into a test of records, and into the range of an index that it needs. Pure."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence

from poller.simulator.filters import DATES, BadFilter, Test, instant
from poller.simulator.resources import Json

_Compare = Callable[[Json, Json], bool]


def _same(value: Json, operand: Json) -> bool:
    return bool(value == operand)


def _between(value: Json, operand: Sequence[Json]) -> bool:
    return _ordered(operator.ge)(value, operand[0]) and _ordered(operator.le)(value, operand[1])


def _ordered(compare: Callable[[Json, Json], Json]) -> _Compare:
    def test(value: Json, operand: Json) -> bool:
        try:
            return value is not None and operand is not None and bool(compare(value, operand))
        except TypeError:
            return False

    return test


def _like(value: Json, pattern: Json) -> bool:
    return isinstance(value, str) and re.search(str(pattern), value) is not None


OPERATORS: Mapping[str, _Compare] = {
    "eq": _same,
    "gt": _ordered(operator.gt),
    "gte": _ordered(operator.ge),
    "lt": _ordered(operator.lt),
    "lte": _ordered(operator.le),
    "between": _between,
    "inq": lambda value, operand: value in operand,
    "nin": lambda value, operand: value not in operand,
    "neq": lambda value, operand: not _same(value, operand),
    "like": _like,
    "nlike": lambda value, operand: not _like(value, operand),
    "regexp": _like,
}
"""The operators, in the order in which LoopBack looks for them: the first found is the only one that counts."""


def compiled(where: Mapping[str, Json]) -> Test:
    """The test that ``where`` stands for; raises ``BadFilter``."""
    tests = [_clause(name, condition) for name, condition in where.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda record: all(test(record) for test in tests)


def _clause(name: str, condition: Json) -> Test:
    if name in ("and", "or"):
        if not isinstance(condition, list) or not all(isinstance(part, dict) for part in condition):
            raise BadFilter(400, f"The {name} operator has invalid clauses")
        tests = [compiled(part) for part in condition]
        if name == "and":
            return lambda record: all(test(record) for test in tests)
        return lambda record: any(test(record) for test in tests)
    word, operand = operation(name, condition)
    return _property(name.split("."), OPERATORS[word], operand, negative=word in ("neq", "nin", "nlike"))


def operation(name: str, condition: Json) -> tuple[str, Json]:
    """The one operator of a property's condition that counts, and its operand as the property's type."""
    word, operand = "eq", condition
    if isinstance(condition, dict):
        word = next((known for known in OPERATORS if known in condition), "eq")
        operand = condition.get(word, condition)
    if word in ("inq", "nin", "between"):
        return word, [_coerced(name, part) for part in _list(name, word, operand)]
    return word, _coerced(name, operand)


def _list(name: str, word: str, operand: Json) -> list[Json]:
    if not isinstance(operand, list) or (word == "between" and len(operand) != 2):
        raise BadFilter(400, f"The {name} property has invalid clause for {word}")
    return operand


def _coerced(name: str, operand: Json) -> Json:
    if name not in DATES or operand is None:
        return operand
    try:
        return instant(operand)
    except ValueError as error:
        raise BadFilter(500, f"Invalid date: {operand}") from error


def _property(path: list[str], compare: _Compare, operand: Json, *, negative: bool) -> Test:
    dated = path[0] in DATES

    def test(record: Mapping[str, Json]) -> bool:
        value = _reach(record, path)
        if dated and value is not None:
            value = _readable(value)
        if isinstance(value, list):
            quantify = all if negative else any
            return quantify(compare(part, _like_type(part, operand)) for part in value)
        return compare(value, _like_type(value, operand))

    if operand is None and compare is _same:  # as MongoDB's connector: a missing field is not null
        return lambda record: path[0] in record and _reach(record, path) is None
    if len(path) == 1 and path[0] in ("id", "updatedAt"):  # on the hot path, and always there as written
        return lambda record: compare(record.get(path[0]), operand)
    return test


def _reach(record: Json, path: list[str]) -> Json:
    for name in path:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def _readable(value: Json) -> Json:
    try:
        return instant(value)
    except ValueError:
        return value


def _like_type(value: Json, operand: Json) -> Json:
    """A text operand as the type of the value: what the bracket form of a filter needs."""
    if not isinstance(operand, str) or isinstance(value, str) or value is None:
        return operand
    if isinstance(value, bool):
        return operand not in ("false", "0", "")
    try:
        return float(operand)
    except ValueError:
        return operand


def ids(where: Mapping[str, Json]) -> list[str] | None:
    """The only ids that can match, where the clause names them; else None."""
    for part in (where, *(where.get("and") or ())):
        if "id" in part:
            word, operand = operation("id", part["id"])
            if word in ("eq", "inq"):
                return sorted({str(one) for one in (operand if word == "inq" else [operand])})
    return None


def lowest(where: Mapping[str, Json], name: str) -> str:
    """No matching record has a lower value of ``name`` than this."""
    bounds = [_lowest_of(key, condition, name) for key, condition in where.items()]
    return max(bounds, default="")


def _lowest_of(key: str, condition: Json, name: str) -> str:
    if key == "and":
        return max((lowest(part, name) for part in condition), default="")
    if key == "or":
        return min((lowest(part, name) for part in condition), default="")
    if key != name:
        return ""
    word, operand = operation(key, condition)
    if word in ("eq", "gt", "gte"):
        return operand if isinstance(operand, str) else ""
    return operand[0] if word == "between" and isinstance(operand[0], str) else ""


def start(where: Mapping[str, Json]) -> tuple[str, tuple[str, ...]] | None:
    """Where the clause is exactly "everything from here on": the property in order, and the key to begin at.

    These are the clauses of keyset paging; knowing them keeps a page of a large listing cheap.
    """
    if not where:
        return "id", ("",)
    if len(where) > 1:
        return None
    ((name, condition),) = where.items()
    if name == "or":
        return _keyset(condition)
    if name not in ("id", "updatedAt"):
        return None
    word, operand = operation(name, condition)
    if not isinstance(operand, str) or word not in ("gt", "gte"):
        return None
    return name, (operand,) if word == "gte" else (operand, "\uffff")


def _keyset(clauses: Sequence[Mapping[str, Json]]) -> tuple[str, tuple[str, ...]] | None:
    match clauses:
        case [{"updatedAt": {"gt": str(after)}}, {"and": [{"updatedAt": str(same)}, {"id": {"gt": str(above)}}]}]:
            at = _coerced("updatedAt", after)
            return ("updatedAt", (at, above, "\uffff")) if at == _coerced("updatedAt", same) else None
    return None
