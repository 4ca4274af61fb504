"""What an expression may cost at most, told from its tree."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from poller.expression.syntax import ExpressionError, Node

MAX_WORK = 10_000


class Cost(NamedTuple):
    """How large a result may be, and how much work it may be to make, in copies of what the node is asked of."""

    result: int
    work: int


def check(tree: Node) -> None:
    """Raise ``ExpressionError`` for an expression that could take unreasonably long.

    JMESPath has no loops, so each one ends. But ``x | [@, @][] | [@, @][] | ...`` doubles at every step and would end
    after the universe. What passes here handles each value of the record, and each of its own literals, at most
    ``MAX_WORK`` times (where it sorts, times a logarithm).
    """
    _cost(tree)


def _cost(node: Node) -> Cost:
    cost = _COSTS.get(node.kind, _each)(node, [_cost(child) for child in node.children])
    if cost.work > MAX_WORK:
        raise ExpressionError(f"could handle each value more than {MAX_WORK} times", node.column)
    return cost


def _each(_node: Node, parts: Sequence[Cost]) -> Cost:
    """All are asked of the same, and all that they give may be in the result."""
    return Cost(max(sum(part.result for part in parts), 1), max(sum(part.work for part in parts), 1))


def _one(node: Node, parts: Sequence[Cost]) -> Cost:
    """All are asked of the same, and one is the result."""
    return Cost(max(part.result for part in parts), _each(node, parts).work)


def _in_turn(_node: Node, parts: Sequence[Cost]) -> Cost:
    """Each is asked of what the one before it gave, or of the items of that."""
    result, work = 1, 0
    for part in parts:
        result, work = result * part.result, work + result * part.work
    return Cost(result, work)


def _filter(node: Node, parts: Sequence[Cost]) -> Cost:
    base, taken, condition = parts
    return _in_turn(node, [base, Cost(taken.result, taken.work + condition.work)])


def _call(node: Node, parts: Sequence[Cost]) -> Cost:
    """An expression among the arguments is asked of the items of the array beside it."""
    expressions = [part for part, child in zip(parts, node.children, strict=True) if child.kind == "expref"]
    values = [part for part, child in zip(parts, node.children, strict=True) if child.kind != "expref"]
    return _in_turn(node, [_each(node, values), *expressions])


def _literal(node: Node, _parts: Sequence[Cost]) -> Cost:
    size = sum(1 for _ in _values(node.value))
    return Cost(size, size)


def _values(value: object) -> Iterator[object]:
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _values(item)


_COSTS: Mapping[str, Callable[[Node, Sequence[Cost]], Cost]] = {
    **dict.fromkeys(("and_expression", "or_expression", "comparator"), _one),
    **dict.fromkeys(("chain", "projection", "value_projection"), _in_turn),
    "filter_projection": _filter,
    "function_expression": _call,
    "literal": _literal,
}
