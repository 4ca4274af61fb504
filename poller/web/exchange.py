"""Requests and answers as values, and the way from and to WSGI."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec

BODY_LIMIT = 16_384
"""Bytes of a request's body."""
MOST_FIELDS = 20
"""Fields of a query or of a form."""

_SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
POLICY = "; ".join(f"{name} {sources}" for name, sources in _SOURCES.items())
"""What the page may load and do: its own script and style; nothing that stands in its text or comes from elsewhere."""

HEADERS = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
"""On every answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``headers`` are by their names in lower case, ``remote`` is the address it came from."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    remote: str
    body: bytes = b""

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that came with it."""
        pairs = (part.strip().partition("=") for part in self.headers.get("cookie", "").split(";"))
        return {name: value for name, _, value in pairs}


class Answer(NamedTuple):
    """One answer."""

    status: HTTPStatus
    content: bytes = b""
    kind: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


def text(status: HTTPStatus, words: str, *headers: tuple[str, str]) -> Answer:
    """An answer of one line."""
    return Answer(status, f"{words}\n".encode(), headers=headers)


def json(status: HTTPStatus, value: dict[str, Any], *headers: tuple[str, str]) -> Answer:
    """An answer for a program."""
    return Answer(status, msgspec.json.encode(value), "application/json", headers)


def fields(encoded: str) -> dict[str, str]:
    """The fields of a query or of a form; raises ``ValueError`` where they are too many."""
    return dict(parse_qsl(encoded, max_num_fields=MOST_FIELDS))


def read(environ: WSGIEnvironment) -> Request:
    """The request in the words of WSGI, its body only where it should have one; raises ``ValueError`` as ``fields``."""
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or name == "CONTENT_TYPE"
    }
    method = environ["REQUEST_METHOD"]
    return Request(
        method,
        environ.get("PATH_INFO", "") or "/",
        fields(environ.get("QUERY_STRING", "")),
        headers,
        environ.get("REMOTE_ADDR", ""),
        environ["wsgi.input"].read(BODY_LIMIT) if method == "POST" else b"",
    )


def write(answer: Answer, method: str, start: StartResponse) -> Iterable[bytes]:
    """The answer in the words of WSGI; only its head to HEAD."""
    length = ("Content-Length", str(len(answer.content)))
    status = f"{answer.status.value} {answer.status.phrase}"
    start(status, [("Content-Type", answer.kind), length, *HEADERS, *answer.headers])
    return [] if method == "HEAD" else [answer.content]
