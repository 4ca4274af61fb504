"""Looking whether an action was done, before it is done again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from poller.actions import Call, Connection, Look, Repeat
from poller.actions.answer import UNKNOWN, Answer, Done, Seen, judge, seen
from poller.actions.request import Request, ask
from poller.expression import EvaluationError
from poller.expression.values import equal
from poller.http import HttpError, Response
from poller.model import Later, Refused

MAX_PAGES = 100

_READING: dict[str, Any] = {
    "repeat": Repeat.SAFE,
    "answer": "json",
    **dict.fromkeys(("success", "done_when", "result", "flag", "look")),
}
"""What of an action does not hold for a look: by the rest of its rules that is judged like any other request."""


class Missing:
    """A complete look did not find it: it was not done."""


def look(call: Call, send: Callable[[Connection, Request], Response | HttpError], now_ms: int) -> Answer | Missing:
    """``Done`` with what was found, ``Missing``, or why it is not known yet: then that it was begun is kept in mind.

    Raises what ``build`` and ``send`` raise.
    """
    how = call.action.look
    if how is None:
        return Missing()
    reading = replace(call, action=replace(call.action, **_READING))
    parameters: dict[str, object] = {}
    for _ in range(MAX_PAGES):
        answer = send(call.connection, ask(call, how.ask, parameters))
        verdict = judge(reading, answer, now_ms)
        if isinstance(answer, HttpError) or not isinstance(verdict, Done):
            return _not_known(verdict)
        try:
            page = _read(how, call, seen(reading.action, answer))
        except EvaluationError as error:
            return Refused(f"what there is cannot be looked through: {error}; {UNKNOWN}", final=True)
        if page.found is not None:
            return Done(page.found)
        if not page.next:
            return Missing()
        parameters = page.next
    return Refused(f"the list of what there is did not end within {MAX_PAGES} pages; {UNKNOWN}", final=True)


class _Page(NamedTuple):
    """One page of a list: the item that is looked for, and the parameters of the next page, none after the last."""

    found: object
    next: dict[str, object]


def _read(look: Look, call: Call, answer: Seen) -> _Page:
    scope = answer.scope(call.inputs)
    items, wanted = look.items.value(scope), look.match.render(scope)
    if not isinstance(items, list):
        raise EvaluationError(f"{look.items.text}: is no list")
    if not isinstance(wanted, dict) or wanted.keys() != look.keys:
        raise EvaluationError("what is looked for is null, and that is found everywhere")
    found = [item for item in items if all(equal(_at(item, path), value) for path, value in wanted.items())]
    following = look.next.render(scope) if look.next is not None else {}
    return _Page(found[0] if found else None, following if isinstance(following, dict) else {})


def _not_known(verdict: Answer) -> Answer:
    """Whatever kept from looking, the next attempt looks again."""
    if isinstance(verdict, Refused) and not verdict.final:
        return Later(verdict.reason, unknown=True)
    return verdict if isinstance(verdict, Done) else replace(verdict, unknown=True)


def _at(item: object, path: str) -> object:
    for key in path.split("."):
        item = item.get(key) if isinstance(item, dict) else None
    return item
