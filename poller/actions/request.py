"""Inputs to a request: the same bytes at every attempt. Nothing is sent here."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from urllib.parse import quote, urlencode

from poller.actions import Ask, Call, Encoding
from poller.actions.inputs import InputError
from poller.expression import File, Template, write
from poller.expression.values import text
from poller.hidden import pattern

MASK = "***"

_HOLE = re.compile(r"\{([^{}]*)\}")
_Parts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Request:
    """One request, complete. ``secrets`` are the values in its URL and headers that nobody may see."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)


def build(call: Call) -> Request:
    """The request that does what is called for: the same bytes for the same inputs.

    Raises ``InputError`` where an input cannot stand in a path, and ``EvaluationError``.
    """
    action, scope = call.action, _scope(call)
    body, content_type = b"", ""
    if action.encoding is not None:
        value = action.body.render({"with": scope["with"]}) if action.body is not None else {}
        body, content_type = _ENCODINGS[action.encoding](value)
    headers = _headers(call.connection.system.headers, scope) | _headers(action.headers, scope)
    if content_type:
        headers["Content-Type"] = content_type
    return Request(
        action.method, _url(call, action.path, action.query), headers, body, content_type, call.connection.secrets
    )


def ask(call: Call, asked: Ask, more: Mapping[str, object] | None = None) -> Request:
    """The request of a look or a probe; ``more`` are parameters of a later page. Raises as ``build``."""
    headers = _headers(call.connection.system.headers, _scope(call))
    return Request(asked.method, _url(call, asked.path, asked.query, more), headers, secrets=call.connection.secrets)


def masked(request: Request) -> Request:
    """The request as it may be shown: without secrets."""
    headers = {name: hide(value, request.secrets) for name, value in request.headers.items()}
    quoted = tuple(quote(secret, safe="") for secret in request.secrets)
    return replace(request, url=hide(request.url, (*request.secrets, *quoted)), headers=headers, secrets=())


def hide(shown: str, secrets: tuple[str, ...]) -> str:
    """A text with every secret in it replaced, in whatever form it stands there."""
    shown = pattern(secrets).sub(MASK, shown)
    for secret in secrets:  # also what is too short to be looked for in other forms
        shown = shown.replace(secret, MASK)
    return shown


def _scope(call: Call) -> dict[str, object]:
    return {"with": dict(call.inputs), "connection": dict(call.connection.values)}


def _url(call: Call, path: str, query: Template | None, more: _Parts | None = None) -> str:
    filled = _HOLE.sub(lambda hole: _segment(hole[1], call.inputs.get(hole[1])), path)
    rendered = query.render(_scope(call)) if query is not None else {}
    parameters = {**(rendered if isinstance(rendered, dict) else {}), **(more or {})}
    url, written = f"{call.connection.base_url}{filled}", urlencode(list(_pairs(parameters)), quote_via=quote, safe="")
    return f"{url}?{written}" if written else url


def _segment(name: str, value: object) -> str:
    """One part of a path; what would make it another path is refused."""
    written = text(value)
    if not written.strip():
        raise InputError(f"{name}: is empty, and stands in the path")
    if written.strip(".") == "":
        raise InputError(f"{name}: has nothing but dots, and stands in the path")
    return quote(written, safe="")


def _headers(template: Template | None, scope: Mapping[str, object]) -> dict[str, str]:
    rendered = template.render(scope) if template is not None else {}
    return {name: text(value) for name, value in rendered.items()} if isinstance(rendered, dict) else {}


def _pairs(parts: _Parts) -> Iterator[tuple[str, str]]:
    """Names and values as a form or a query has them: a list is repeated in a query, objects are JSON."""
    for name, value in parts.items():
        if isinstance(value, list):
            yield from ((name, text(item)) for item in value)
        elif value is not None:
            yield name, text(value)


def _json(value: object) -> tuple[bytes, str]:
    return write(value), "application/json"


def _form(value: object) -> tuple[bytes, str]:
    parts = {name: text(inner) for name, inner in _table(value).items()}
    return urlencode(parts).encode(), "application/x-www-form-urlencoded"


def _multipart(value: object) -> tuple[bytes, str]:
    """The boundary is made of the content, so that the bytes are the same at every attempt."""
    parts = [_part(name, inner) for name, inner in _table(value).items()]
    digest = blake2b(b"".join(parts), digest_size=16)
    while any(digest.hexdigest().encode() in part for part in parts):
        digest.update(b"again")
    boundary = f"poller-{digest.hexdigest()}"
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts) + b"--%b--\r\n" % boundary.encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _part(name: str, value: object) -> bytes:
    if isinstance(value, File):
        head = f'form-data; name="{_quoted(name)}"; filename="{_quoted(value.name)}"'
        return f"Content-Disposition: {head}\r\nContent-Type: {value.content_type}\r\n\r\n".encode() + value.data
    return f'Content-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{text(value)}'.encode()


def _quoted(name: str) -> str:
    """A name as browsers write it in a part's head (HTML, multipart/form-data)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _table(value: object) -> _Parts:
    return {name: inner for name, inner in value.items() if inner is not None} if isinstance(value, dict) else {}


_ENCODINGS: Mapping[Encoding, Callable[[object], tuple[bytes, str]]] = {
    "json": _json,
    "form": _form,
    "multipart": _multipart,
}
