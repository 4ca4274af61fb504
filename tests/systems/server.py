"""A strict server on loopback: what is not documented is refused, and what may go wrong is scripted.

``StrictServer(routes)`` answers each request by the first route that fits; ``faults`` are what is to go wrong with the
next ones, in order. It keeps every request in ``requests``, and every complaint about one in ``complaints``.
"""

import json
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from weakref import WeakSet


class Call(NamedTuple):
    """One request: ``path`` as it came, still encoded; names of headers in lower case; ``query`` a list a name."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)


class Wrong(Exception):
    """A request that the API does not document; the server answers it as that API would."""

    def __init__(self, status, message, **more):
        super().__init__(message)
        self.status, self.more = status, more


def ok(value, status=200):
    return Answer(status, json.dumps(value).encode())


# What may go wrong. Each is a function of the server, the call and the proper answer's maker.


def instead(status, body=b"", *headers):
    """Answer this, and do nothing."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if raw.startswith(b"<") else "application/json"

    def act(server, call, do):
        return Answer(status, raw, (("Content-Type", kind), *headers))

    return act


def after(status, body=b"oops"):
    """Do it, and answer this all the same."""

    def act(server, call, do):
        do()
        kind = "text/html" if body.startswith(b"<") else "text/plain"
        return Answer(status, body, (("Content-Type", kind),))

    return act


def timeout(*, done=True):
    """Do it, and never answer."""

    def act(server, call, do):
        if done:
            do()
        server.closing.wait(30)

    return act


def slow(seconds):
    """Do it, and take that long to answer."""

    def act(server, call, do):
        answer = do()
        server.closing.wait(seconds)
        return answer

    return act


def reset(*, done=True):
    """Do it, and cut the connection."""

    def act(server, call, do):
        if done:
            do()
        return "reset"

    return act


class StrictServer:
    """The base of all: ``authorize`` and ``refused`` are the API's own. A context manager."""

    base_path = ""

    def __init__(self):
        self.requests: list[Call] = []
        self.complaints: list[str] = []
        self.faults: deque[Callable] = deque()
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.strict = self
        self._http.connections = WeakSet()
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self):
        return self._http.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.base_path}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        for connection in list(self._http.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()

    # The API's own

    routes: tuple = ()

    def authorize(self, call):
        raise NotImplementedError

    def refused(self, wrong):
        raise NotImplementedError

    def answer(self, call):
        self.requests.append(call)
        fault = self.faults.popleft() if self.faults else None
        if fault is None:
            return self._proper(call)
        return fault(self, call, lambda: self._proper(call))

    def _proper(self, call):
        with self._lock:
            try:
                self.authorize(call)
                return self._routed(call)
            except Wrong as wrong:
                self.complaints.append(f"{call.method} {call.path}: {wrong.status} {wrong}")
                return self.refused(wrong)

    def _routed(self, call):
        path = call.path.removeprefix(self.base_path)
        allowed = []
        for method, pattern, act in self.routes:
            if found := re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern), path):
                allowed.append(method)
                if method == call.method:
                    return act(self, call, **{name: unquote(value) for name, value in found.groupdict().items()})
        raise Wrong(405 if allowed else 404, "Method Not Allowed" if allowed else f"no such path: {path}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """A client that goes away is what tests are made of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        self.server.connections.add(self.request)
        super().setup()

    def _respond(self):
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = parse_qs(target.query, keep_blank_values=True, strict_parsing=bool(target.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.strict.answer(Call(self.command, target.path, query, headers, body))
        if answer == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        if not isinstance(answer, Answer):
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in (*answer.headers, ("Content-Length", str(len(answer.body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _respond  # noqa: N815 - named by http.server

    def log_message(self, format, *args):  # noqa: A002 - named by http.server
        """Say nothing."""


# What a strict server asks of a request


class Field(NamedTuple):
    """What a field may be: types as in Python, and a check of its value that tells what is wrong."""

    types: tuple[type, ...] = (str,)
    required: bool = False
    check: Callable[[object], str | None] = lambda _: None


def required(*types, check=lambda _: None):
    return Field(types or (str,), required=True, check=check)


def optional(*types, check=lambda _: None):
    return Field(types or (str,), check=check)


def matching(pattern):
    return lambda value: None if re.fullmatch(pattern, value) else f"does not match {pattern}"


def one_of(*choices):
    return lambda value: None if value in choices else f"is not one of {choices}"


def check_fields(found, fields, status=422):
    """Refuse unknown and missing fields, and wrong types."""
    for name, value in found.items():
        if name not in fields:
            raise Wrong(status, f"unknown field {name}", field=name)
        row = fields[name]
        if not isinstance(value, row.types) or (isinstance(value, bool) and bool not in row.types):
            raise Wrong(status, f"{name} is a {type(value).__name__}", field=name)
        if complaint := row.check(value):
            raise Wrong(status, f"{name} {complaint}", field=name)
    for name, row in fields.items():
        if row.required and name not in found:
            raise Wrong(status, f"missing field {name}", field=name)
    return found


def _media_type(call):
    return call.headers.get("content-type", "").partition(";")[0]


def take_json(call, fields, status=422):
    if _media_type(call) != "application/json":
        raise Wrong(415, f"content type {call.headers.get('content-type')}")
    try:
        found = json.loads(call.body)
    except ValueError:
        raise Wrong(400, "not JSON") from None
    if not isinstance(found, dict):
        raise Wrong(status, "not an object")
    return check_fields(found, fields, status)


def take_form(call, fields, status=422):
    if _media_type(call) != "application/x-www-form-urlencoded":
        raise Wrong(415, f"content type {call.headers.get('content-type')}")
    found = parse_qs(call.body.decode(), keep_blank_values=True, strict_parsing=True)
    if repeated := [name for name, values in found.items() if len(values) > 1]:
        raise Wrong(status, f"repeated field {repeated[0]}")
    return check_fields({name: values[0] for name, values in found.items()}, fields, status)


class Upload(NamedTuple):
    filename: str
    content_type: str
    data: bytes


def take_multipart(call, fields, status=422):
    """Fields as texts, files as ``Upload``."""
    if _media_type(call) != "multipart/form-data":
        raise Wrong(415, f"content type {call.headers.get('content-type')}")
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + call.headers["content-type"].encode() + b"\r\n\r\n" + call.body
    )
    if message.defects or not message.is_multipart():
        raise Wrong(400, f"broken multipart: {message.defects}")
    found = {}
    for part in message.iter_parts():
        name, data = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        filename = part.get_filename()
        found[name] = data.decode() if filename is None else Upload(filename, part.get_content_type(), data)
    return check_fields(found, fields, status)


def take_query(call, names, status=422):
    """The query's parameters, each once but for those that are named in ``names`` with a star."""
    known = {name.rstrip("*"): name.endswith("*") for name in names}
    for name, values in call.query.items():
        if name not in known:
            raise Wrong(status, f"unknown parameter {name}", field=name)
        if len(values) > 1 and not known[name]:
            raise Wrong(status, f"repeated parameter {name}", field=name)
    return {name: values if known[name] else values[0] for name, values in call.query.items()}


def no_body(call, status=422):
    if call.body or "content-type" in call.headers:
        raise Wrong(status, "a body where none is documented")
