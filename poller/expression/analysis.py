"""What an expression reads, and whether its calls are right: told from its tree, before it runs."""

from collections.abc import Callable, Collection, Sequence

from poller.expression.functions import EXPRESSION, FUNCTIONS, Parameter
from poller.expression.syntax import ExpressionError, Node
from poller.nearest import nearest

Path = tuple[str, ...]
"""The names that lead from the scope to a value; the items of an array have the path of their array."""

_SCOPE: Path = ()
_COMPUTED: Path = ("",)  # made by the expression, or not to be told
_TRUTH: Path = ("", "")  # true or false


def reads(tree: Node, variables: Collection[str]) -> frozenset[Path]:
    """The paths that an expression reads, each with those that lead to it.

    Raises ``ExpressionError`` for unknown variables and functions, and for calls with too many or too few arguments.
    """
    reader = _Reader(variables)
    reader.value(tree, _SCOPE)
    return frozenset(reader.found)


class _Reader:
    """A walk over the tree, a method for each kind of node, that knows the path of what each is asked of.

    A field is a variable only where that is the scope itself: not behind a dot or a pipe, not in a filter.
    """

    def __init__(self, variables: Collection[str]) -> None:
        self._variables = sorted(variables)
        self.found: set[Path] = set()

    def value(self, node: Node, at: Path) -> Path:
        """The path of a node's value, which may be anything but the scope itself."""
        return self._but_scope(self._path(node, at), node)

    def _but_scope(self, path: Path, node: Node) -> Path:
        if path == _SCOPE:  # ``@`` and ``*`` would read what no name stands for, and secrets with it
            raise ExpressionError(f"reads all variables at once; name one{nearest('', self._variables)}", node.column)
        return path

    def _path(self, node: Node, at: Path) -> Path:
        walk: Callable[[Node, Path], Path] = getattr(self, f"_{node.kind}", self._computed)
        return walk(node, at)

    def _computed(self, node: Node, at: Path) -> Path:
        for child in node.children:
            self.value(child, at)
        return _COMPUTED

    def _comparator(self, node: Node, at: Path) -> Path:
        self._computed(node, at)
        return _TRUTH

    def _and_expression(self, node: Node, at: Path) -> Path:
        paths = {self.value(child, at) for child in node.children}
        return paths.pop() if len(paths) == 1 else _COMPUTED

    def _current(self, _node: Node, at: Path) -> Path:
        return at

    def _index(self, node: Node, at: Path) -> Path:
        return self._but_scope(at, node)

    def _chain(self, node: Node, at: Path) -> Path:
        for child in node.children:
            at = self._path(child, at)
        return at

    def _projection(self, node: Node, at: Path) -> Path:
        base, *each = node.children
        path = self.value(base, at)
        paths = [self._path(child, path) for child in each]
        return paths[0] if paths else path

    _identity, _slice, _not_expression, _or_expression = _current, _index, _comparator, _and_expression
    _flatten = _value_projection = _filter_projection = _projection

    def _field(self, node: Node, at: Path) -> Path:
        return self._named(node.value, at, node.column)

    def _named(self, name: str, at: Path, column: int) -> Path:
        if at == _SCOPE and name not in self._variables:
            raise ExpressionError(f'unknown variable "{name}"{self._hint(name)}', column)
        if at == _TRUTH:
            raise ExpressionError(f'"{name}" is asked of true or false; "or" is ||, "and" is &&', column)
        path = (*at, name)
        self.found.add(path)
        return path

    def _hint(self, name: str) -> str:
        if name in ("true", "false", "null"):
            return f"; a literal goes in backticks: `{name}`"
        tail = nearest(name, self._variables)
        return tail if "did you mean" in tail else f"{tail}; a text goes in single quotes: '{name}'"

    def _function_expression(self, node: Node, at: Path) -> Path:
        for child, parameter in zip(node.children, _parameters(node), strict=True):
            is_expression = child.kind == "expref"
            if is_expression != (parameter is EXPRESSION):
                raise ExpressionError(f"{node.value}() takes {parameter.words} there", child.column)
            self._computed(child, _COMPUTED) if is_expression else self.value(child, at)
        path = _SCOPE
        for name in FUNCTIONS[node.value].reads:
            path = self._named(name, path, node.column)
        return _COMPUTED

    def _expref(self, node: Node, _at: Path) -> Path:
        raise ExpressionError("an & stands only before an argument of a function", node.column)


def _parameters(call: Node) -> Sequence[Parameter]:
    name, count = call.value, len(call.children)
    function = FUNCTIONS.get(name)
    if function is None:
        raise ExpressionError(f'unknown function "{name}"{nearest(name, list(FUNCTIONS))}', call.column)
    parameters = function.takes(count)
    if parameters is None:
        least = len(function.parameters)
        wanted = f"{least}{' or more' if function.variadic else ''} argument{'' if least == 1 else 's'}"
        raise ExpressionError(f"{name}() takes {wanted}, not {count}", call.column)
    return parameters
