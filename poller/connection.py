"""The sockets under ``http.py``: every wait knows when its request has to be over, and whether to stop.

httpx has timeouts of single reads only, so a server that dribbles holds a request for ever. Here nothing
blocks but ``Exchange.left_s`` allows it.
"""

import os
import select
import socket
import ssl
from collections.abc import Callable, Iterable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpcore

CONNECT_S = 5.0  # for each address, and as much again for TLS; still within the deadline
SLICE_S = 0.2  # how long a wait lasts before it looks whether to stop

_T = TypeVar("_T")
_Address = tuple[socket.AddressFamily, Any]


class HttpError(Exception):
    """No usable answer. The message names the host and the cause, never a path, query string or header."""


class ConnectFailed(HttpError):
    """No connection: the name, the address, TLS, or nobody there within ``CONNECT_S``."""


class TimedOut(HttpError):
    """The request's total deadline passed."""


class Disconnected(HttpError):
    """The connection ended before the whole answer was there."""


class Stale(Disconnected):
    """A kept connection ended before one byte was answered: to be expected, so ask again at once."""


class Malformed(HttpError):
    """The answer is not HTTP, or its body is not in the encoding that it claims."""


class TooLarge(HttpError):
    """The body is larger than the caller's ``max_bytes``."""


class Unsendable(HttpError):
    """The URL or a header cannot be put into a request."""


class Aborted(HttpError):
    """The process stops, so the request was abandoned."""


def redact_url(url: str) -> str:
    """Give ``scheme://host[:port]`` alone: the rest of a webhook's URL is often a secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "(not a URL)"
    if not host:
        return "(not a URL)"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"


class Exchange:
    """The request under way on one client: until when it may last, and what came of it so far."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._url, self._deadline_s, self.ends_at = "", 0.0, 0.0
        self.reused, self.answered, self.ended = True, False, False

    def begin(self, url: str, deadline_s: float) -> None:
        """Start the clock of a request; raises ``Aborted`` when the process stops."""
        self._url, self._deadline_s = url, deadline_s
        self.ends_at = monotonic() + deadline_s
        self.reused, self.answered, self.ended = True, False, False
        self.left_s()

    def error(self, kind: type[HttpError], cause: str) -> HttpError:
        """An error of this request: its host, and ``cause`` in words."""
        return kind(f"{redact_url(self._url)}: {cause}")

    def disconnected(self, cause: str) -> HttpError:
        """The error that a connection's early end is, by how far the answer had come."""
        if self.answered:
            return self.error(Disconnected, f"{cause} in the middle of the answer")
        return self.error(Stale if self.reused else Disconnected, f"{cause} without an answer")

    def left_s(self) -> float:
        """How long to wait before asking again; raises ``Aborted`` or ``TimedOut`` when it is over."""
        if self._stop.is_set():
            raise self.error(Aborted, "abandoned, for the process stops")
        left_s = self.ends_at - monotonic()
        if left_s <= 0:
            raise self.error(TimedOut, f"the deadline of {self._deadline_s:.3g} s passed")
        return min(left_s, SLICE_S)

    def wait(self, sock: socket.socket, event: int, until: float | None = None) -> None:
        """Block until ``sock`` is ready for ``event``; past ``until`` raises ``TimeoutError``."""
        ready = select.poll()
        ready.register(sock, event)
        while not ready.poll(self.left_s() * 1000):
            if until is not None and monotonic() > until:
                raise TimeoutError

    def turn(self, act: Callable[[], _T], sock: socket.socket, event: int, until: float | None = None) -> _T:
        """Do ``act`` on a socket that does not block, once it is ready for ``event`` or what TLS asks for."""
        while True:
            self.left_s()  # a flood keeps a socket ready, and never waits
            try:
                return act()
            except BlockingIOError:
                wanted = event
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            self.wait(sock, wanted, until)


class Backend(httpcore.NetworkBackend):
    """Makes the connections of one client."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the exchange knows it
        local_address: str | None = None,  # noqa: ARG002  any
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002  ours are set below
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's addresses that answers; raises ``HttpError``."""
        self._exchange.reused = False
        failed: Exception = OSError("the name has no address")
        try:
            for address in self._addresses(host, port):
                try:
                    return _Stream(self._connected(address), self._exchange)
                except OSError as error:
                    failed = error
        except (OSError, ValueError) as error:
            failed = error
        raise self._exchange.error(ConnectFailed, _words(failed)) from failed

    def _addresses(self, host: str, port: int) -> list[_Address]:
        """Resolve in a thread that nobody has to wait for: the system's resolver knows no deadline."""
        found: SimpleQueue[list[_Address] | Exception] = SimpleQueue()
        Thread(target=lambda: found.put(_resolve(host, port)), name="resolver", daemon=True).start()
        while True:
            try:
                answer = found.get(timeout=self._exchange.left_s())
            except Empty:
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer

    def _connected(self, address: _Address) -> socket.socket:
        sock = socket.socket(address[0], socket.SOCK_STREAM)
        try:
            sock.settimeout(0)  # never blocks: the exchange waits
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                sock.connect(address[1])
            except BlockingIOError:
                self._exchange.wait(sock, select.POLLOUT, monotonic() + CONNECT_S)
                _raise_pending(sock)
        except BaseException:
            sock.close()
            raise
        return sock


def _raise_pending(sock: socket.socket) -> None:
    if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(number, os.strerror(number))


def _resolve(host: str, port: int) -> list[_Address] | Exception:
    """Find the addresses of a host. All that is connected to comes out of here: an address guard's place."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception as error:  # noqa: BLE001  raised again in the thread that waits
        return error
    return [(family, address) for family, _, _, _, address in found]


class _Stream(httpcore.NetworkStream):
    """A connected socket that does not block. The timeouts that httpcore passes are the exchange's affair."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._sock = sock
        self._exchange = exchange

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        try:
            data = self._exchange.turn(partial(self._sock.recv, max_bytes), self._sock, select.POLLIN)
        except OSError as error:
            raise self._exchange.disconnected(_words(error)) from error
        self._exchange.answered |= bool(data)
        self._exchange.ended |= not data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        rest = memoryview(buffer)
        try:
            while rest:
                sent = self._exchange.turn(partial(self._sock.send, rest), self._sock, select.POLLOUT)
                rest = rest[sent:]
        except OSError as error:
            # httpcore now reads: a receiver may answer and close before it has taken everything.
            raise httpcore.WriteError(_words(error)) from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        try:
            self._sock = tls = ssl_context.wrap_socket(
                self._sock, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            self._exchange.turn(tls.do_handshake, tls, select.POLLIN, monotonic() + CONNECT_S)
        except (OSError, ValueError) as error:
            self.close()
            raise self._exchange.error(ConnectFailed, _words(error)) from error
        except HttpError:
            self.close()
            raise
        return self

    def get_extra_info(self, info: str) -> object:
        if info == "is_readable":  # asked of an idle connection: has the other side closed it?
            ready = select.poll()
            ready.register(self._sock, select.POLLIN)
            return bool(ready.poll(0))
        return self._sock if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket) else None


def _words(error: Exception) -> str:
    """Say in words what an error of a socket, of TLS or of the resolver is."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'no reason given').replace('_', ' ').lower()}"
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved: {error.strerror}"
    if isinstance(error, ValueError):
        return "the name is not valid"
    if isinstance(error, TimeoutError) and not error.strerror:
        return f"no connection within {CONNECT_S:g} s"
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
