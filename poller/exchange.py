"""One request under way: until when it may last, and what came of it; and the errors that it ends in.

httpx has timeouts of single reads only, so a server that dribbles holds a request for ever. Here nothing
blocks but ``Exchange.left_s`` allows it.
"""

import select
import socket
import ssl
from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import TypeVar
from urllib.parse import urlsplit

SLICE_S = 0.2  # how long a wait lasts before it looks whether to stop

_T = TypeVar("_T")


class HttpError(Exception):
    """No usable answer. The message names the host and the cause, never a path, query string or header.

    ``sent`` is False where nothing of the request can have come to the server, so that it was not done.
    """

    sent = True


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
    """The request under way on one client: until when it may last, and what came of it so far.

    ``hop`` is who is spoken to where that is not yet the server: a proxy. ``sent`` says that a part of the
    request has left.
    """

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._url, self._deadline_s, self.ends_at, self.hop = "", 0.0, 0.0, ""
        self.reused, self.sent, self.answered, self.ended = True, False, False, False

    def begin(self, url: str, deadline_s: float) -> None:
        """Start the clock of a request; raises ``Aborted`` when the process stops."""
        self._url, self._deadline_s = url, deadline_s
        self.ends_at, self.hop = monotonic() + deadline_s, ""
        self.reused, self.sent, self.answered, self.ended = True, False, False, False
        self.left_s()

    def error(self, kind: type[HttpError], cause: str) -> HttpError:
        """An error of this request: its host, and ``cause`` in words."""
        hops = [redact_url(self._url), *([f"the proxy {redact_url(self.hop)}"] if self.hop else [])]
        error = kind(": ".join([*hops, cause]))
        error.sent = self.sent and kind is not ConnectFailed
        return error

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
