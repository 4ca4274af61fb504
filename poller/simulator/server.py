"""The simulator's HTTP server on loopback."""

import contextlib
import socket
import struct
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

from poller.simulator import routes
from poller.simulator.account import Account
from poller.simulator.http import Answer, Request, http_date, on_condition, query
from poller.simulator.resources import Json
from poller.simulator.script import Script

LOOPBACK = "127.0.0.1"
MOST_SEEN = 100_000
"""The log keeps so many of the last requests."""


class Seen(NamedTuple):
    """One request as the log keeps it; ``filter`` and ``where`` are what their JSON said."""

    method: str
    path: str
    filter: Json
    where: Json


class Simulator:
    """A Space Invoices v1 look-alike on a port of its own; a context manager.

    ``requests`` is the log of all requests, ``faults`` what is to go wrong, ``page_cap`` the most records a
    page holds, and ``on_request`` is called before each answer is made. All may be set while it runs.
    """

    def __init__(
        self,
        account: Account,
        port: int = 0,
        *,
        page_cap: int = routes.PAGE_CAP,
        on_request: Callable[[Request], None] | None = None,
    ) -> None:
        self.account = account
        self.page_cap = page_cap
        self.on_request = on_request
        self.requests: list[Seen] = []
        self.faults = Script()
        self.closing = Event()
        self._lock = Lock()
        self._server = _Server((LOOPBACK, port), _Handler)
        self._server.simulator = self
        self._server.connections = WeakSet()
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="simulator")

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The base address of the API, ending in ``/v1``."""
        return f"http://{LOOPBACK}:{self.port}/v1"

    def start(self) -> None:
        """Serve in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, cut what hangs, and free the port. May be called again."""
        self.closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.cut()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def answer(self, request: Request) -> Answer:
        """Log the request, and make the answer that is due, spoiled by whatever fault is scripted."""
        with self._lock:
            self.requests.append(Seen(request.method, request.path, request.filter, request.where))
            del self.requests[:-MOST_SEEN]
        fault = self.faults.due(request)
        if self.on_request is not None:
            self.on_request(request)
        answer = fault(request, self._proper) if fault is not None else self._proper(request)
        return on_condition(request, answer)

    def _proper(self, request: Request) -> Answer:
        now = http_date(self.account.clock())
        return routes.answer(self.account, request, self.page_cap).header("Date", now)


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that stopping does not wait for them."""

    simulator: Simulator
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    connections: WeakSet[socket.socket]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is what tests are made of."""

    def cut(self) -> None:
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0
    server: _Server

    def setup(self) -> None:
        self.server.connections.add(self.request)
        super().setup()

    def _respond(self) -> None:
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, unquote(target.path), query(target.query), headers, body)
        self._send(self.server.simulator.answer(request))

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _respond  # noqa: N815 - named by http.server

    def _send(self, answer: Answer) -> None:
        wire = answer.wire
        self.server.simulator.closing.wait(wire.hang_s)
        if wire.reset:
            self._reset()
            return
        message = self._head(answer) + answer.body[: wire.keep_bytes]
        if wire.pause_s:
            self._dribble(message, wire.pause_s)
        else:
            self.connection.sendall(message)
        self.close_connection = self.close_connection or wire.until_close or wire.keep_bytes is not None

    def _head(self, answer: Answer) -> bytes:
        length = ("Connection", "close") if answer.wire.until_close else ("Content-Length", str(len(answer.body)))
        headers = [*answer.headers, length]
        reason = self.responses.get(answer.status, ("",))[0]
        lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _dribble(self, message: bytes, pause_s: float) -> None:
        for at in range(len(message)):
            if self.server.simulator.closing.wait(pause_s):
                return
            self.connection.sendall(message[at : at + 1])

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
        """Say nothing: the log of requests is the simulator's."""
