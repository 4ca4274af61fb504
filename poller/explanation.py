"""Verdicts on an event, and what can be done: as text for people, and as plain values for programs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from poller.actions.request import Request
from poller.explain import Doing, Sending, Verdict
from poller.expression import write
from poller.model import Advanced, Delivered, Delivery, Gone, Later, Outcome, Refused
from poller.plan import Gate

_JSON = "json"


def plain(event: bytes, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """An event and what the routes make of it, for ``msgspec``: JSON within stays as it is."""
    return {"event": msgspec.Raw(event), "routes": [_plain_verdict(verdict) for verdict in verdicts]}


def _plain_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "route": verdict.route,
        "taken": verdict.taken,
        "why": verdict.why,
        "error": verdict.error,
        "case": verdict.case or None,
        "sends": [_plain_sending(sending) for sending in verdict.sendings],
    }


def _plain_sending(sending: Sending) -> dict[str, Any]:
    gate = sending.gate or Gate()
    message = sending.message
    return {
        "to": sending.to,
        "already_by": sending.by,
        "delay_s": sending.delay_s,
        "pace_s": gate.pace_s,
        "flood": {"max": gate.flood, "per_s": gate.per_s} if gate.flood else None,
        "message": message and {
            "id": message.event_id,
            "content_type": message.content_type,
            "body": msgspec.Raw(message.body),
        },
        "steps": [_plain_doing(doing) for doing in sending.steps],
        "error": sending.error,
    }  # fmt: skip


def _plain_doing(doing: Doing) -> dict[str, Any]:
    request = doing.request
    return {
        "step": doing.step,
        "do": doing.do,
        "connection": doing.connection,
        "with": msgspec.Raw(write(dict(doing.inputs))),
        "waits_for_steps": list(doing.waiting),
        "request": request and {
            "method": request.method,
            "url": request.url,
            "headers": dict(request.headers),
            "body": msgspec.Raw(request.body) if _JSON in request.content_type else _text(request.body),
        },
        "error": doing.error,
    }  # fmt: skip


def text(verdicts: Sequence[Verdict]) -> str:
    """The verdicts for people, one route after the other."""
    shown: set[bytes] = set()
    return "\n".join(line for verdict in verdicts for line in _lines(verdict, shown))


def _lines(verdict: Verdict, shown: set[bytes]) -> Iterator[str]:
    name = verdict.route or "without routes"
    if verdict.why:
        yield f"{name}: no, {verdict.why}"
    elif verdict.error:
        yield f"{name}: CANNOT BE TOLD, so it would be parked: {verdict.error}"
    else:
        case = f", case {verdict.case}" if verdict.case else ""
        yield f"{name}: yes{case}" if verdict.route else "There are no routes: every event goes to every sink."
    for sending in verdict.sendings:
        yield from (f"  {line}" for line in _sending(sending, shown))


def _sending(sending: Sending, shown: set[bytes]) -> Iterator[str]:
    if sending.by:
        yield f"to {sending.to}: has it by route {sending.by} already"
        return
    yield f"{'in queue' if sending.steps else 'to'} {sending.to}" + "".join(f", {part}" for part in _when(sending))
    if sending.error:
        yield f"  CANNOT BE MADE, so it would be parked: {sending.error}"
    if sending.message:
        yield from _message(sending.message, shown)
    for doing in sending.steps:
        yield from (f"  {line}" for line in _doing(doing))


def _when(sending: Sending) -> Iterator[str]:
    gate = sending.gate or Gate()
    if sending.delay_s:
        yield f"{span(sending.delay_s)} later"
    if gate.pace_s:
        yield f"one every {span(gate.pace_s)}"
    if gate.flood:
        yield f"held above {gate.flood} in {span(gate.per_s)}"


def _message(message: Delivery, shown: set[bytes]) -> Iterator[str]:
    if message.body in shown:
        yield "  the same as above"
        return
    shown.add(message.body)
    yield f"  {message.content_type.partition(';')[0]}, id {message.event_id}"
    yield f"  {_text(message.body)}"


def _doing(doing: Doing) -> Iterator[str]:
    yield f"{doing.step}: {doing.do} by connection {doing.connection}"
    if doing.error:
        yield f"  CANNOT BE MADE, so it would be parked: {doing.error}"
    elif doing.request is not None:
        yield from (f"  {line}" for line in _request(doing.request))
    else:
        yield f"  waits for earlier steps: {', '.join(doing.waiting)}"
        yield from (f"  {name} = {_text(write(value))}" for name, value in doing.inputs.items())


def _request(request: Request) -> Iterator[str]:
    yield f"{request.method} {request.url}"
    yield from (f"{name}: {value}" for name, value in request.headers.items())
    if request.body:
        yield from _text(request.body).splitlines()


def _text(body: bytes) -> str:
    """A body as it may be shown in a terminal; one that is no text by its size."""
    try:
        found = body.decode()
    except UnicodeDecodeError:
        return f"({len(body):,} bytes that are no text)"
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in found)


_FAILURES: Mapping[type[Outcome], str] = {Later: "NOT NOW", Refused: "REFUSED", Gone: "NO MORE"}


def outcome(to: str, step: str, ended: Outcome) -> str:
    """How a send to a sink, or a step, ended, for people."""
    if isinstance(ended, Delivered | Advanced):
        return f"{step}: done" if step else f"{to}: delivered"
    return f"{step or to}: {_FAILURES[type(ended)]}: {_text(ended.reason.encode())}"


def span(seconds: float) -> str:
    """A span as the configuration writes it: ``2d``, ``1h30m``, ``0.5s``."""
    rest, parts = round(seconds, 3), []
    for unit, size_s in (("d", 86400), ("h", 3600), ("m", 60)):
        whole, rest = divmod(rest, size_s)
        parts += [f"{whole:.0f}{unit}"] if whole else []
    return "".join(parts + ([f"{rest:.15g}s"] if rest or not parts else []))
