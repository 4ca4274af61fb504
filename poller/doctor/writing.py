"""The one question that takes a write: whether a payment moves its document. Made, looked at, and taken back."""

from functools import partial
from typing import Any
from urllib.parse import quote

from poller.doctor import Finding, Verdict, answers
from poller.doctor.api import Api, Unanswered
from poller.model import format_time, parse_time


def payment(api: Api, document: str) -> Finding:
    """Book a payment of 0.01 on a document, delete it again, and look at the document before, between and after."""
    found = partial(Finding, "payment", expected="a payment moves its document's updatedAt")
    path = f"Documents/{quote(document, safe='')}"
    try:
        before = _object(api, "GET", path)
        paid = {"amount": 0.01, "type": "other", "date": format_time(_day(before)), "note": "poller doctor"}
        made = str(_object(api, "POST", f"{path}/payments", paid).get("id", ""))
        try:
            between = _object(api, "GET", path)
        finally:
            _take_back(api, made)
        told = answers.bumped(before, between, _object(api, "GET", path))
    except Unanswered as error:
        return found(verdict=Verdict.FAIL, seen=str(error), follows="look at the document's payments")
    hint = "documents are seen to change by full sweeps only: set source.full_sweep = 1"
    return found(verdict=told.verdict, seen=told.seen, follows=hint if told.verdict == Verdict.WARN else "")


def _day(document: dict[str, Any]) -> int:
    """When the document was changed last: a payment's date must be one, and no clock is needed for it."""
    return parse_time(document.get("updatedAt")) or 0


def _take_back(api: Api, made: str) -> None:
    answer = api.ask("DELETE", f"Payments/{quote(made, safe='')}")
    if answer.status not in (200, 204):
        raise Unanswered(f"payment {made} could not be deleted again ({answer.status}): delete it by hand")


def _object(api: Api, method: str, path: str, content: object = None) -> dict[str, Any]:
    answer = api.ask(method, path, content=content)
    if answer.status != 200 or not isinstance(answer.json, dict):
        raise Unanswered(f"{method} was answered by {answer.status}")
    return answer.json
