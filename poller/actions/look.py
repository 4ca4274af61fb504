"""Looking whether an action was done, before it is done again."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from poller.actions import Call, Connection, Look, Repeat
from poller.actions.answer import UNKNOWN, Answer, Done, judge, seen
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

    Raises ``EvaluationError``, and what ``send`` raises.
    """
    how = call.action.look
    if how is None:
        return Missing()
    wanted = _wanted(how, call.inputs)
    reading = replace(call, action=replace(call.action, **_READING))
    parameters: dict[str, object] = {}
    for _ in range(MAX_PAGES):
        answer = send(call.connection, ask(call, how.ask, parameters))
        verdict = judge(reading, answer, now_ms)
        if isinstance(answer, HttpError) or not isinstance(verdict, Done):
            return _not_known(verdict)
        scope = seen(reading.action, answer).scope(call.inputs)
        items = how.items.value(scope)
        if not isinstance(items, list):
            return Refused(f"the list of what there is has another form than was expected; {UNKNOWN}", final=True)
        for item in items:
            if all(equal(_at(item, path), value) for path, value in wanted.items()):
                return Done(item)
        following = how.next.render(scope) if how.next is not None else {}
        if not isinstance(following, dict) or not following:
            return Missing()
        parameters = following
    return Refused(f"the list of what there is did not end within {MAX_PAGES} pages; {UNKNOWN}", final=True)


def _wanted(look: Look, inputs: Mapping[str, object]) -> dict[str, object]:
    """What is looked for; nothing that is null, for that is found everywhere."""
    wanted = look.match.render({"with": dict(inputs)})
    if (
        not isinstance(wanted, dict)
        or not isinstance(look.match.source, Mapping)
        or len(wanted) < len(look.match.source)
    ):
        raise EvaluationError("what is to be looked for is null")
    return wanted


def _not_known(verdict: Answer) -> Answer:
    """Whatever kept from looking, the next attempt looks again, unless the operator is to decide."""
    if isinstance(verdict, Later):
        return replace(verdict, unknown=True)
    if isinstance(verdict, Refused) and not verdict.final:
        return Later(verdict.reason, unknown=True)
    return verdict


def _at(item: object, path: str) -> object:
    for key in path.split("."):
        item = item.get(key) if isinstance(item, dict) else None
    return item
