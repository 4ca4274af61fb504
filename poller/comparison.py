"""What a test expects and what the routes make of its event, held against each other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from poller import expected
from poller.expected import ExpectedTable
from poller.explain import Doing, Sending, Verdict
from poller.expression import EvaluationError, read, write
from poller.expression.values import equal

_SHOWN_CHARACTERS = 200


def event_of(table: ExpectedTable, event: bytes) -> bytes:
    """The event that a test is about: this one, with what the test says of its record.

    Paths with an old value have changed.
    """
    if not table.data and not table.previous:
        return event
    told: Any = read(event)
    data = told["data"]
    data["object"] = _merged(data["object"], table.data)
    if table.previous:
        data["previous"] = _merged(data.get("previous", {}), table.previous)
        data["changed"] = sorted({*data.get("changed", ()), *table.previous})
    return write(told)


def _merged(value: object, over: object) -> object:
    if not isinstance(value, dict) or not isinstance(over, dict):
        return over
    return value | {key: _merged(value.get(key), inner) for key, inner in over.items()}


def differences(table: ExpectedTable, verdicts: Sequence[Verdict]) -> list[str]:
    """What is not as the test expects, one a line."""
    found = [f"route {verdict.route} cannot be told: {verdict.error}" for verdict in verdicts if verdict.error]
    taken = [verdict for verdict in verdicts if verdict.taken]
    sendings = [sending for verdict in taken for sending in verdict.sendings if not sending.by]
    doings = [doing for sending in sendings for doing in sending.steps]
    found += [f"{one.to} cannot be sent to: {one.error}" for one in sendings if one.error]
    found += [f"{one.step} cannot be done: {one.error}" for one in doings if one.error]
    if table.route is not None:
        found += _names("route", table.route, [verdict.route for verdict in taken if verdict.route])
        reasons = {verdict.route: verdict.why for verdict in verdicts if verdict.why}
        found += [f"route {name}: {reasons[name]}" for name in table.route if name in reasons]
    if table.to is not None:
        found += _names("to", table.to, [sending.to for sending in sendings if not sending.steps])
    if "body" in table.expects:
        found += _bodies(table.body, sendings)
    if table.do is not None:
        found += _doings(table.do, table.with_, doings)
    return found


def _names(key: str, wanted: Sequence[str], came: Sequence[str]) -> Iterator[str]:
    if sorted(set(wanted)) != sorted(set(came)):
        yield f"{key}: expected {_listed(wanted)}; it is {_listed(came)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(set(names))) or "none"


def _bodies(wanted: object, sendings: Sequence[Sending]) -> Iterator[str]:
    """One of the messages is to be this; where none is, the first that is no plain event is shown."""
    messages = sorted((one for one in sendings if one.message is not None), key=lambda one: one.itself)
    came = [read(one.message.body) for one in messages if one.message is not None]
    yield from _nearest("body", wanted, came, "nothing is sent to a sink")


def _doings(do: str, wanted: Mapping[str, object] | None, doings: Sequence[Doing]) -> Iterator[str]:
    same = [doing for doing in doings if doing.do == do]
    if not same:
        yield f"do: expected {do}; it is {_listed([doing.do for doing in doings])}"
    elif wanted is not None:
        came = [expected.exact(doing.inputs) for doing in same]
        yield from _nearest("with", wanted, came, "")


def _nearest(key: str, wanted: object, came: Sequence[object], nothing: str) -> Iterator[str]:
    found = [list(_differing(wanted, one, key)) for one in came]
    yield from next((lines for lines in found if not lines), found[0] if found else [f"{key}: {nothing}"])


def _differing(wanted: object, came: object, at: str) -> Iterator[str]:
    """Where two values differ, by path; numbers are equal by value, whatever their digits."""
    if isinstance(wanted, dict) and isinstance(came, dict):
        for key, one in wanted.items():
            if key in came:
                yield from _differing(one, came[key], f"{at}.{key}")
            else:
                yield f"{at}.{key}: expected {_shown(one)}; it is not there"
        yield from (f"{at}.{key}: not expected; it is {_shown(came[key])}" for key in came if key not in wanted)
    elif isinstance(wanted, list) and isinstance(came, list) and len(wanted) == len(came):
        for place, (one, other) in enumerate(zip(wanted, came, strict=True)):
            yield from _differing(one, other, f"{at}.{place}")
    elif not equal(wanted, came):
        yield f"{at}: expected {_shown(wanted)}; it is {_shown(came)}"


def _shown(value: object) -> str:
    try:
        text = write(value).decode()
    except EvaluationError:
        text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
