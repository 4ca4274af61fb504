"""An answer, or none, to what it means for the step: done, and with what result, or not, and what then."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

from poller.actions import Action, Call, Repeat
from poller.actions.request import hide
from poller.expression import Condition, EvaluationError, File, read
from poller.expression.evaluation import expression
from poller.expression.values import text
from poller.http import HttpError, Response, TooLarge
from poller.model import Gone, Later, Refused
from poller.retry import BUSY_S, parse_retry_after

UNKNOWN = "it is not known whether it was done: look, then retry or drop it (poller dead)"
REASON_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Done:
    """The step is done; ``result`` is what later ones see of it."""

    result: object


Answer = Done | Later | Refused | Gone

_WHOLE = expression("http.body", {"http"})

# What a status says where no rule of the system says more.
_FINAL = frozenset({400, 404, 405, 406, 411, 413, 414, 415, 422})  # the same bytes would be answered the same
_STRANGE = frozenset({401, 403, 405})  # as a wrong secret or address would be answered
_BUSY = frozenset({429, 503})  # nothing was done, and the system may say when to come again
_PASSING = _BUSY | {408, 425}


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer as rules see it. ``understood`` says that the body is what the action answers with: JSON, or a file.

    A success is believed only where it is that: a proxy's login page comes with 200, too.
    """

    status: int
    headers: Mapping[str, str]
    body: object
    understood: bool

    def scope(self, inputs: Mapping[str, object]) -> dict[str, object]:
        """The variables of rules: ``http`` and ``with``."""
        http = {"status": self.status, "headers": dict(self.headers), "body": self.body}
        return {"http": http, "with": dict(inputs)}


def seen(action: Action, answer: Response) -> Seen:
    """Read an answer: JSON, a file where ``action`` answers with one, or else a text."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Seen(answer.status, headers, *_body(action, answer.body, headers))


def judge(call: Call, answer: Response | HttpError, now_ms: int) -> Answer:
    """What came of asking; ``now_ms`` is for a Retry-After that is a date."""
    again = repeat(call)
    if isinstance(answer, HttpError):
        return _unanswered(answer, again)
    found = seen(call.action, answer)
    try:
        return _by_rules(call, found, again) or _by_status(found, again, _told(call, found), now_ms)
    except EvaluationError as error:
        return unknown(again, f"status {answer.status}: the answer is not as expected: {error}")


def repeat(call: Call) -> Repeat:
    """What a repeat of this one does: one whose inputs leave out the flag must not be repeated."""
    if call.action.flag is None:
        return call.action.repeat
    try:
        return Repeat.FLAG if call.action.flag.holds({"with": dict(call.inputs)}) else Repeat.NEVER
    except EvaluationError:
        return Repeat.NEVER


def unknown(again: Repeat, reason: str, after_s: float | None = None) -> Answer:
    """It may have been done: by what a repeat does it is done again, looked for, or left to the operator."""
    if again is Repeat.NEVER:
        return Refused(f"{reason}; {UNKNOWN}", final=True)
    return Later(reason, after_s, unknown=again is Repeat.LOOK)


def _unanswered(error: HttpError, again: Repeat) -> Answer:
    if isinstance(error, TooLarge):
        return Refused(str(error), final=True)
    return unknown(again, str(error)) if error.sent else Later(str(error))


def _by_rules(call: Call, found: Seen, again: Repeat) -> Answer | None:
    """What the rules of the action and of its system say; None where they leave it to the status."""
    action, system, scope = call.action, call.connection.system, found.scope(call.inputs)
    succeeded = (action.success or system.success).holds(scope)
    if succeeded and not found.understood:
        return unknown(again, f"status {found.status}: the answer is not what it should be (a login page?)")
    if succeeded or (found.understood and _holds(action.done_when, scope)):
        return _done(action, scope)
    if found.status in _PASSING:
        return None
    if _holds(system.pause_when, scope):
        return Gone(f"{_told(call, found)}: nothing can be done with this connection")
    final = _holds(system.permanent_when, scope)
    if final or 200 <= found.status <= 299:
        return Refused(_told(call, found), final=final)
    return None


def _done(action: Action, scope: Mapping[str, object]) -> Answer:
    try:
        return Done((action.result or _WHOLE).value(scope))
    except EvaluationError as error:
        return Refused(f"it was done, but its result is not as expected: {error}", final=True)


def _by_status(found: Seen, again: Repeat, told: str, now_ms: int) -> Answer:
    status, asked_s = found.status, parse_retry_after(found.headers.get("retry-after"), now_ms)
    if status in _PASSING:
        after_s = BUSY_S if asked_s is None and status in _BUSY else asked_s
        # A gateway that lost an answer says 503, too: where one can look, one does.
        return Later(told, after_s, unknown=status == 503 and again is Repeat.LOOK)
    if 400 <= status <= 499:
        return Refused(told, final=status in _FINAL, strange=status in _STRANGE)
    if 300 <= status <= 399:
        return Later(f"{told}: redirected, which is not followed; set base_url to the final one")
    return unknown(again, told, asked_s)


def _holds(rule: Condition | None, scope: Mapping[str, object]) -> bool:
    return rule is not None and rule.holds(scope)


def _told(call: Call, found: Seen) -> str:
    """The status, and what the answer says of it: in one line, short, and without secrets."""
    reason = call.connection.system.reason
    said = hide(text(reason.value(found.scope(call.inputs))) if reason else "", call.connection.secrets)
    line = "".join(character for character in re.sub(r"\s+", " ", said) if character.isprintable()).strip()
    return f"status {found.status}" + (f": {line[:REASON_CHARACTERS]}" if line else "")


def _body(action: Action, body: bytes, headers: Mapping[str, str]) -> tuple[object, bool]:
    kind, wants_file = headers.get("content-type", "").partition(";")[0].strip().lower(), action.answer == "file"
    if not body:
        return None, not wants_file
    if kind == "application/json" or kind.endswith("+json") or (not kind and not wants_file):
        try:
            return read(body), not wants_file
        except EvaluationError:
            pass
    elif wants_file and kind != "text/html":
        name = _file_name(headers) or f"{action.name}.{kind.rpartition('/')[2] or 'bin'}"
        return File(name, kind or "application/octet-stream", body), True
    return body.decode("utf-8", "replace"), False


def _file_name(headers: Mapping[str, str]) -> str:
    """The name that an answer gives its file, without a folder."""
    message = Message()
    message["Content-Disposition"] = headers.get("content-disposition", "")
    return (message.get_filename() or "").replace("\\", "/").rpartition("/")[2].strip()
