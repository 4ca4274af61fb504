"""Compiled expressions: text in, values or failures out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from poller.expression import cost
from poller.expression.analysis import Path, reads
from poller.expression.closures import Closure, compiled
from poller.expression.syntax import parse
from poller.expression.values import EvaluationError, Value, text

Scope = Mapping[str, object]
"""What an expression is asked of: the values of the variables. Objects in it are dicts, as ``read`` makes them."""

_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; equal where its text is."""

    text: str
    reads: frozenset[Path] = field(compare=False, repr=False)
    _run: Closure = field(compare=False, repr=False)

    def value(self, scope: Scope) -> Value:
        """What it gives. Raises ``EvaluationError`` where the values do not fit it."""
        root = scope if isinstance(scope, dict) else dict(scope)
        try:
            return self._run(root, root)
        except (EvaluationError, ArithmeticError, RecursionError) as error:
            raise self._failed(error) from None  # a cause may quote what it stumbled over

    def within_text(self, scope: Scope) -> str:
        """What it gives, written within a longer text. Raises ``EvaluationError``."""
        value = self.value(scope)
        try:
            return text(value)
        except EvaluationError as error:
            raise self._failed(error) from None

    def mentions(self, path: str) -> bool:
        """Whether it reads a path that is or ends so: ``custom.origin``."""
        tail = tuple(path.split("."))
        return any(read[-len(tail) :] == tail for read in self.reads)

    def names(self) -> frozenset[str]:
        """The variables that it reads."""
        return frozenset(read[0] for read in self.reads if read[0])

    def _failed(self, error: Exception) -> EvaluationError:
        shown = " ".join(self.text.split())
        if len(shown) > _SHOWN_CHARACTERS:
            shown = f"{shown[:_SHOWN_CHARACTERS]}..."
        cause = next((words for kind, words in _CAUSES.items() if isinstance(error, kind)), str(error))
        return EvaluationError(f"{shown}: {cause}")


_CAUSES = {
    ArithmeticError: "a number is too large or has too many digits",
    RecursionError: "a value is nested too deeply",
}


def expression(source: str, variables: Collection[str]) -> Expression:
    """Compile an expression over these variables. Raises ``ExpressionError``."""
    tree = parse(source)
    found = reads(tree, variables)
    cost.check(tree)
    return Expression(source, found, compiled(tree))
