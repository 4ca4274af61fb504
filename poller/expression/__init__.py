"""Conditions and templates: JMESPath over an event and its record, with exact numbers.

What cannot be right is refused when it is compiled, with its column; what does not fit a record is an error when it
runs, never silently false. ``docs/expressions.md`` is the page for users.
"""

from collections.abc import Collection
from dataclasses import dataclass

from poller.expression.evaluation import Expression, Scope, expression
from poller.expression.syntax import ExpressionError
from poller.expression.template import Template, template
from poller.expression.values import EvaluationError, File, holds, read, write

__all__ = [
    "Condition",
    "EvaluationError",
    "ExpressionError",
    "File",
    "Scope",
    "Template",
    "condition",
    "read",
    "template",
    "write",
]


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition; equal where its text is."""

    text: str
    _expression: Expression

    def holds(self, scope: Scope) -> bool:
        """Whether it holds: null, false and what is empty do not, 0 does. Raises ``EvaluationError``."""
        return holds(self._expression.value(scope))

    def mentions(self, path: str) -> bool:
        """Whether it reads a path that is or ends so: ``custom.origin``."""
        return self._expression.mentions(path)


def condition(text: str, variables: Collection[str]) -> Condition:
    """Compile a condition over these variables. Raises ``ExpressionError``."""
    return Condition(text, expression(text, variables))
