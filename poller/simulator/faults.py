"""The menu of faults: things that go wrong, each one row or small function. ``Script`` says when."""

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import cache

from poller.simulator.http import Answer, Answerer, Request, Wire, failure, http_date
from poller.simulator.resources import Json
from poller.simulator.script import Fault

_MAINTENANCE = b"<!DOCTYPE html><html><body><h1>We will be back soon</h1></body></html>"
_HTML = (("Content-Type", "text/html; charset=utf-8"),)


def _say(answer: Answer) -> Fault:
    return lambda _request, _proper: answer


def status(code: int, message: str = "", error_code: str | None = None) -> Fault:
    """An error in the API's shape."""
    return _say(failure(code, message or "Something is wrong", error_code))


def rate_limited(retry_after: str | None = None) -> Fault:
    """429, with ``Retry-After`` as given: seconds, or a date (see ``http.http_date``)."""
    return _say(failure(429, "Too Many Requests").header("Retry-After", retry_after))


server_error = status(500)
unauthorized = status(401, "Authorization Required", "AUTHORIZATION_REQUIRED")
bad_token = status(401, "Invalid Access Token", "INVALID_TOKEN")
forbidden = status(403, "Access Denied", "ACCESS_DENIED")
organization_gone = status(404, "could not find a model with id 000000000000000000000000", "MODEL_NOT_FOUND")


bad_gateway = _say(Answer(502, b"<html><head><title>502 Bad Gateway</title></head></html>", _HTML))
maintenance = _say(Answer(503, _MAINTENANCE, _HTML))
html = _say(Answer(200, _MAINTENANCE, _HTML))
reset = _say(Answer(200, b"", wire=Wire(reset=True)))


def cut(request: Request, proper: Answerer) -> Answer:
    """The connection closes after half the body: ``Content-Length`` promises more."""
    answer = proper(request)
    return replace(answer, wire=Wire(keep_bytes=len(answer.body) // 2))


def truncated(request: Request, proper: Answerer) -> Answer:
    """Half the JSON, with the length of that half."""
    answer = proper(request)
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def dribble(pause_s: float = 0.05) -> Fault:
    """One byte at a time, ``pause_s`` apart."""
    return lambda request, proper: replace(proper(request), wire=Wire(pause_s=pause_s))


def hang(span_s: float = 3600.0) -> Fault:
    """Nothing for ``span_s``, then the proper answer."""
    return lambda request, proper: replace(proper(request), wire=Wire(hang_s=span_s))


@cache
def _blanks(size_bytes: int) -> bytes:
    return gzip.compress(b"[" + b" " * (size_bytes - 2) + b"]")


def gzip_bomb(size_bytes: int = 1 << 28) -> Fault:
    """A small compressed body that unpacks to ``size_bytes`` of blank JSON."""
    return _say(Answer(200, _blanks(size_bytes)).header("Content-Encoding", "gzip"))


def oversized(size_bytes: int = 1 << 27) -> Fault:
    """The proper body behind so many blanks."""
    return lambda request, proper: _with_body(proper(request), lambda body: b" " * size_bytes + body)


def instead(body: bytes) -> Fault:
    """Just these bytes, with status 200 and the proper headers."""
    return lambda request, proper: replace(proper(request), status=200, body=body)


empty_list = instead(b"[]")
an_object = instead(b'{"message":"hello"}')


def same_page() -> Fault:
    """The first page that it sees answered, for ever: the cursor is ignored."""
    kept: list[Answer] = []

    def fault(request: Request, proper: Answerer) -> Answer:
        if not kept:
            kept.append(proper(request))
        return kept[0]

    return fault


def shuffled(seed: int = 1) -> Fault:
    """The proper page in another order."""
    return _on_rows(lambda rows: _other_order(rows, random.Random(seed)))


def _other_order(rows: list[Json], rng: random.Random) -> list[Json]:
    mixed = rng.sample(rows, len(rows))
    return mixed if mixed != rows else rows[::-1]


def repeated(request: Request, proper: Answerer) -> Answer:
    """The proper page with its first record once more at the end."""
    return _on_rows(lambda rows: [*rows, *rows[:1]])(request, proper)


def overlapping() -> Fault:
    """Each page begins with the last record of the page before."""
    last: list[Json] = []

    def change(rows: list[Json]) -> list[Json]:
        before, last[:] = last[:], rows[-1:]
        return [*before, *rows]

    return _on_rows(change)


def planted(raw: bytes) -> Fault:
    """The proper page with these bytes as one more record at its end."""

    def change(body: bytes) -> bytes:
        inner = body.strip()[1:-1]
        return b"[" + b",".join(part for part in (inner, raw) if part) + b"]"

    return lambda request, proper: _with_body(proper(request), change)


def _odd(record_id: str, more: str) -> bytes:
    return f'{{"id":{record_id},"updatedAt":"2999-01-01T00:00:00.000Z","_isDeleted":false{more}}}'.encode()


_LAST_ID = '"ffffffffffffffffffffffff"'
bad_id = planted(_odd('"not an id"', ""))
number_id = planted(_odd("42", ""))
no_id = planted(b'{"updatedAt":"2999-01-01T00:00:00.000Z"}')
lone_surrogate = planted(_odd(_LAST_ID, r',"name":"\ud800"'))
not_a_number = planted(_odd(_LAST_ID, ',"total":NaN'))
not_utf8 = planted(_odd(_LAST_ID, ',"name":"?"').replace(b"?", b"\xff\xfe"))
deep = planted(_odd(_LAST_ID, ',"custom":' + "[" * 100_000 + "]" * 100_000))
bare_value = planted(b"null")


def page_cap(most: int) -> Fault:
    """A page of at most ``most`` records, whatever is asked."""
    return _on_rows(lambda rows: rows[:most])


def closed_early(most: int) -> Fault:
    """The first ``most`` records of the page, as a whole list, ended by the end of the connection alone."""
    cut_short = page_cap(most)
    return lambda request, proper: replace(cut_short(request, proper), wire=Wire(until_close=True))


def ignores(*clauses: str) -> Fault:
    """The filter without these of its clauses, ``where`` say."""

    def fault(request: Request, proper: Answerer) -> Answer:
        sent = {name: value for name, value in (request.filter or {}).items() if name not in clauses}
        others = tuple(pair for pair in request.params if pair[0] != "filter")
        return proper(replace(request, params=(*others, ("filter", json.dumps(sent)))))

    return fault


ignores_where = ignores("where")
ignores_deleted = ignores("deleted")
ignores_fields = ignores("fields")


def date_off(by_s: float) -> Fault:
    """A ``Date`` header that is off by so many seconds from the account's clock; negative is stale."""

    def fault(request: Request, proper: Answerer) -> Answer:
        answer = proper(request)
        return answer.header("Date", _moved(dict(answer.headers)["Date"], by_s))

    return fault


def no_date(request: Request, proper: Answerer) -> Answer:
    """The proper answer without a ``Date`` header."""
    return proper(request).header("Date", None)


def _moved(date: str, by_s: float) -> str:
    return http_date(int((parsedate_to_datetime(date).timestamp() + by_s) * 1000))


def _with_body(answer: Answer, change: Callable[[bytes], bytes]) -> Answer:
    return replace(answer, body=change(answer.body))


def _on_rows(change: Callable[[list[Json]], list[Json]]) -> Fault:
    """Change a page's records; what is not a list passes through."""

    def on_body(body: bytes) -> bytes:
        rows = json.loads(body)
        return body if not isinstance(rows, list) else json.dumps(change(rows), ensure_ascii=False).encode()

    return lambda request, proper: _with_body(proper(request), on_body)
