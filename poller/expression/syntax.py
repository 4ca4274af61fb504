"""The text of an expression to a tree.

jmespath parses it; here are the columns, the exact numbers and the explanations that its own tree and errors lack.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from jmespath.exceptions import EmptyExpressionError, IncompleteExpressionError, JMESPathError, LexerError, ParseError
from jmespath.lexer import Lexer
from jmespath.parser import Parser as JmespathParser

from poller.expression.values import EvaluationError, read

MAX_CHARACTERS = 4096
MAX_DEPTH = 50

QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`"""
"""What stands in quotes in an expression, as a pattern for ``re.DOTALL``."""

_QUOTED_OR_UNCLOSED = re.compile(f"""(?P<quoted>{QUOTED})|['"`].*""", re.DOTALL)

Token = Any  # a dict of jmespath's: type, value, start


class ExpressionError(ValueError):
    """A text that is no good expression. Its ``str()`` is the message alone.

    ``column`` counts from 1 within that text; ``keys`` lead to it where it stands within a larger value.
    """

    def __init__(self, message: str, column: int = 1, keys: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.column = column
        self.keys = keys


class Parser(JmespathParser):
    """jmespath's, but for ``!a.b``, which to that one is ``(!a).b``: always null, and never what was meant."""

    BINDING_POWER: ClassVar = {**JmespathParser.BINDING_POWER, "not": JmespathParser.BINDING_POWER["flatten"] - 1}
    _CACHE: ClassVar[dict[str, Any]] = {}  # what that one parsed is not looked for here


class Node(NamedTuple):
    """One node of the tree: kinds and values are those of jmespath's, but for ``chain``.

    ``chain`` stands for its subexpression, index_expression and pipe, which mean the same: each child is asked of
    what the one before it gave. Chains, ``||`` and ``&&`` hold all of their links at one level, so that a hundred
    of them are no deep nesting. ``column`` is that of the node, or else of what was read last.
    """

    kind: str
    value: Any = None
    children: tuple["Node", ...] = ()
    column: int = 1


def parse(text: str) -> Node:
    """The tree of an expression. Raises ``ExpressionError``."""
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"an expression has at most {MAX_CHARACTERS} characters", MAX_CHARACTERS + 1)
    try:
        literals = _literals(text)
        tokens = list(Lexer().tokenize(text))
        tree = _Translation(tokens, literals).node(Parser().parse(text).parsed)
    except JMESPathError as error:
        raise _explained(error, text) from error
    except RecursionError:
        raise ExpressionError("is nested too deeply") from None
    _check_tokens(tokens)
    _check_depth(tree, MAX_DEPTH)
    return tree


def _literals(text: str) -> dict[int, object]:
    """The values in backticks by their places: jmespath's are floats, and a bare word is a string to it."""
    return {
        match.start(): _literal(match["quoted"], match.start() + 1)
        for match in _QUOTED_OR_UNCLOSED.finditer(text)
        if (match["quoted"] or "").startswith("`")
    }


def _literal(quoted: str, column: int) -> object:
    try:
        return read(quoted[1:-1].replace("\\`", "`").encode())
    except (EvaluationError, UnicodeError) as error:
        hint = "what stands in backticks is JSON: `10.5`, `true`, `null`; a text goes in single quotes: 'SI'"
        raise ExpressionError(hint, column) from error


_MARKED = {
    "field": {"unquoted_identifier", "quoted_identifier"},
    "function_expression": {"unquoted_identifier"},
    "key_val_pair": {"unquoted_identifier", "quoted_identifier"},
    "literal": {"literal"},
    "current": {"current"},
}
"""The kinds of nodes that are one token each; in the order of the text they meet the tokens one to one."""

_CHAINS = {"subexpression": "chain", "index_expression": "chain", "pipe": "chain"}
_FLAT = {"chain", "and_expression", "or_expression"}


class _Translation:
    """One walk over jmespath's tree in the order of the text, beside the tokens of that text."""

    def __init__(self, tokens: Sequence[Token], literals: dict[int, object]) -> None:
        self._marks: Iterator[Token] = iter([one for one in tokens if one["type"] in set().union(*_MARKED.values())])
        self._literals = literals
        self._column = 1

    def node(self, raw: Any) -> Node:  # noqa: ANN401 - jmespath's dict
        kind = _CHAINS.get(raw["type"], raw["type"])
        value = raw.get("value")
        if kind in _MARKED:
            mark = next(self._marks)
            if mark["type"] not in _MARKED[kind]:
                raise AssertionError(f"{kind} does not meet its token")
            self._column = mark["start"] + 1
            value = self._literals.get(mark["start"], value)
        column = self._column
        if kind == "slice":
            return Node(kind, slice(*raw["children"]), (), column)
        children = tuple(self._children(kind, raw["children"]))
        return Node(kind, value, children, column if kind in _MARKED or not children else children[0].column)

    def _children(self, kind: str, children: Sequence[Any]) -> Iterator[Node]:
        if kind == "filter_projection":  # its condition stands before what is taken of each item
            base, condition, taken = (self.node(children[place]) for place in (0, 2, 1))
            yield from (base, taken, condition)
            return
        for child in children:
            node = self.node(child)
            yield from node.children if node.kind == kind in _FLAT else (node,)


_ORDERS = {"eq", "ne", "lt", "lte", "gt", "gte"}
_GO_ON = {"dot", "lbracket", "flatten", "filter"}


def _check_tokens(tokens: Sequence[Token]) -> None:
    """Refuse what is good JMESPath and never meant: a slice without a step, a name where a text should be."""
    kinds = [token["type"] for token in tokens]
    for place, token in enumerate(tokens):
        before = [kind for kind in kinds[max(place - 3, 0) : place] if kind != "number"]
        if token["type"] == "number" and token["value"] == 0 and before[-2:] == ["colon", "colon"]:
            raise ExpressionError("the step of a slice cannot be 0", token["start"] + 1)
        if token["type"] == "quoted_identifier" and kinds[place - 1] in _ORDERS and kinds[place + 1] not in _GO_ON:
            name = token["value"]
            hint = f"a text goes in single quotes: '{name}'; a field of this name is @.\"{name}\""
            raise ExpressionError(hint, token["start"] + 1)


def _check_depth(node: Node, left: int) -> None:
    if left < 0:
        raise ExpressionError(f"is nested more than {MAX_DEPTH} deep", node.column)
    for child in node.children:
        _check_depth(child, left - 1)


_HINTS = {
    "number": "; a number goes in backticks, as in `10.5`",
    "expref": '; "and" is "&&"',
    "=": '; equality is "=="',
    **dict.fromkeys("+-/%", '; there is no arithmetic, and a name with it goes in double quotes: data."my-name"'),
}
"""What was probably meant by a token, by its type, or by a character that begins none."""


def _explained(error: JMESPathError, text: str) -> ExpressionError:
    """What jmespath found, in words for people, with the column."""
    if isinstance(error, EmptyExpressionError | IncompleteExpressionError):
        return ExpressionError("is empty" if not text.strip() else "ends too early", len(text) + 1)
    if isinstance(error, LexerError) and error.message.startswith("Unknown"):
        return ExpressionError(_unexpected(error.lexer_value, error.lexer_value), error.lex_position + 1)
    if isinstance(error, LexerError):
        return ExpressionError(error.message[:1].lower() + error.message[1:], error.lex_position + 1)
    if isinstance(error, ParseError):
        return ExpressionError(_unexpected(error.token_value, error.token_type.lower()), error.lex_position + 1)
    return ExpressionError(str(error))


def _unexpected(value: object, kind: str) -> str:
    return f'unexpected "{value}"{_HINTS.get(kind, "")}'
