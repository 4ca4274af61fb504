"""A request and its answer, as values."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha1
from typing import NamedTuple
from urllib.parse import parse_qsl

from poller.simulator.resources import Json

Headers = tuple[tuple[str, str], ...]


class Wire(NamedTuple):
    """How an answer goes over the wire.

    ``keep_bytes`` cuts the body there and closes, ``pause_s`` is the wait before each single byte,
    ``hang_s`` the wait before anything, and ``reset`` closes hard without an answer. ``until_close`` says no
    length: the end of the connection is the end of the body.
    """

    keep_bytes: int | None = None
    pause_s: float = 0.0
    hang_s: float = 0.0
    reset: bool = False
    until_close: bool = False


_WHOLE = Wire()


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``path`` without the query, ``params`` its query in order, header names in lower case."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def filter(self) -> Json:
        """The JSON of the parameter ``filter``; None where there is none that can be read."""
        return self._json("filter")

    @property
    def where(self) -> Json:
        """The JSON of the parameter ``where``, which counts take."""
        return self._json("where")

    def _json(self, name: str) -> Json:
        try:
            return json.loads(dict(self.params)[name])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back. ``Content-Length`` and ``Connection`` are added on the way."""

    status: int
    body: bytes
    headers: Headers = (("Content-Type", "application/json; charset=utf-8"),)
    wire: Wire = _WHOLE

    def header(self, name: str, value: str | None) -> "Answer":
        """The same answer with a header set, or left out where ``value`` is None."""
        kept = tuple(one for one in self.headers if one[0].lower() != name.lower())
        headers = kept if value is None else (*kept, (name, value))
        return Answer(self.status, self.body, headers, self.wire)


Answerer = Callable[[Request], Answer]
"""What makes an answer of a request."""


def ok(value: object) -> Answer:
    """A 200 with ``value`` as JSON."""
    return Answer(200, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def on_condition(request: Request, answer: Answer) -> Answer:
    """The same answer with a tag of what it shows, or none if that is what the request has already: as Express does."""
    tagged = any(name == "ETag" for name, _ in answer.headers)
    if answer.status != 200 or request.method != "GET" or tagged:
        return answer
    tag = f'W/"{len(answer.body):x}-{b64encode(sha1(answer.body, usedforsecurity=False).digest()).decode()[:27]}"'
    if request.headers.get("if-none-match") == tag:
        answer = Answer(304, b"", answer.headers, answer.wire).header("Content-Encoding", None)
    return answer.header("ETag", tag)


def failure(status: int, message: str, code: str | None = None, **more: object) -> Answer:
    """An error in the API's shape; one of the server's own says its status and message only."""
    error: dict[str, object] = {"statusCode": status, "name": "Error", "message": message}
    if status >= 500:
        error = {"statusCode": status, "message": "Internal Server Error"}
    if code is not None:
        error["code"] = code
    return Answer(status, json.dumps({"error": error | more}).encode())


def http_date(time_ms: int) -> str:
    """A time as the ``Date`` header has it, in whole seconds."""
    return formatdate(time_ms // 1000, usegmt=True)


def query(text: str) -> tuple[tuple[str, str], ...]:
    """The parameters of a query string, decoded, in order."""
    return tuple(parse_qsl(text, keep_blank_values=True))
