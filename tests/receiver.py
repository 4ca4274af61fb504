"""A scripted receiver on loopback: what it does with each request is told beforehand, what came is recorded.

``Receiver(answer(503), hang())`` answers the first request with 503, hangs at the second, and says 200 to the
others. A behaviour is a function of a ``Wire``; it returns whether the connection is kept.
"""

import json
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from standardwebhooks import Webhook


class Record(NamedTuple):
    """A request that came. ``headers`` have lower-case names; ``connection`` counts from 1."""

    time_s: float
    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self):
        return self.headers.get("webhook-id")

    @property
    def events(self):
        """What it holds: one event, or those of a batch."""
        found = json.loads(self.body)
        return found if isinstance(found, list) else [found]

    @property
    def attempt(self):
        return int(self.headers.get("webhook-attempt", "0"))

    def verify(self, secret):
        """Raise where the signature is not good, by the reference implementation."""
        Webhook(secret).verify(self.body, self.headers, json_parse=False)


class Wire(NamedTuple):
    """What a behaviour has to do with: the connection, the end of the test, and the request that came."""

    sock: socket.socket
    stop: threading.Event
    record: Record

    def head(self, status, *headers):
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers)]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))


Behaviour = Callable[[Wire], bool]


def answer(status=200, headers=(), body=b"ok") -> Behaviour:
    def act(wire):
        wire.head(status, *headers, ("Content-Length", len(body)))
        wire.sock.sendall(body)
        return True

    return act


def raw(data) -> Behaviour:
    """Answer with these bytes, whatever they are, and keep the connection."""

    def act(wire):
        wire.sock.sendall(data)
        return True

    return act


def judge(status_of: Callable[[Record], int]) -> Behaviour:
    """Answer by what came."""

    def act(wire):
        return answer(status_of(wire.record))(wire)

    return act


def redirect(location, status=302) -> Behaviour:
    return answer(status, [("Location", location)])


def delay(seconds, then=None) -> Behaviour:
    """Wait, then behave."""

    def act(wire):
        wire.stop.wait(seconds)
        return (then or answer())(wire)

    return act


def hang() -> Behaviour:
    """Never answer."""
    return delay(60)


def hang_after_head(status=200) -> Behaviour:
    """Answer with a status, and never with the body."""

    def act(wire):
        wire.head(status, ("Content-Length", 10))
        return bool(wire.stop.wait(60))

    return act


def dribble(every_s=0.02, status=200) -> Behaviour:
    """Send a body without end, a byte at a time."""

    def act(wire):
        wire.head(status, ("Content-Length", 1_000_000))
        while not wire.stop.wait(every_s):
            wire.sock.sendall(b"x")
        return False

    return act


def dribble_head(every_s=0.02) -> Behaviour:
    """Send headers without end, a byte at a time."""

    def act(wire):
        wire.sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not wire.stop.wait(every_s):
            wire.sock.sendall(b"x")
        return False

    return act


def close() -> Behaviour:
    """Close without an answer."""

    def act(wire):
        return False

    return act


def reset() -> Behaviour:
    """Reset the connection without an answer."""

    def act(wire):
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return act


def cut(status=200, body=b"half", of=10) -> Behaviour:
    """Promise more of a body than is sent, then close."""

    def act(wire):
        wire.head(status, ("Content-Length", of))
        wire.sock.sendall(body)
        return False

    return act


def endless(status=200) -> Behaviour:
    """Send a chunked body until nobody takes it any more."""

    def act(wire):
        wire.head(status, ("Transfer-Encoding", "chunked"))
        while not wire.stop.is_set():
            wire.sock.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        return False

    return act


def gzipped(body, status=200) -> Behaviour:
    packer = zlib.compressobj(wbits=31)
    return answer(status, [("Content-Encoding", "gzip")], packer.compress(body) + packer.flush())


def bomb(size_bytes=64 << 20) -> Behaviour:
    """Answer with a thousandth of the bytes that it unpacks to."""
    return gzipped(bytes(size_bytes))


def flood() -> Behaviour:
    """Say 100 Continue until nobody listens any more."""

    def act(wire):
        while not wire.stop.is_set():
            wire.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
        return False

    return act


def noise(data=b"SSH-2.0-OpenSSH_9.2\r\n\r\n") -> Behaviour:
    """Answer with something that is not HTTP."""

    def act(wire):
        wire.sock.sendall(data)
        wire.stop.wait(1)
        return False

    return act


class Receiver:
    """Listens on loopback as a context manager; ``records`` are the requests that came, in order."""

    def __init__(self, *script: Behaviour, always: Behaviour | None = None, tls: ssl.SSLContext | None = None):
        self._script = deque(script)
        self._always = always or answer()
        self._tls = tls
        self._stop = threading.Event()
        self._socks: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.records: list[Record] = []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook"
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._stop.set()
        for sock in [self._listener, *self._socks]:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        number = 0
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            self._start(self._serve, sock, number)

    def _serve(self, sock, number):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            self._socks.append(sock)
            with sock:
                rest = b""
                while (rest := self._one(sock, number, rest)) is not None:
                    pass
        except OSError:
            sock.close()

    def _one(self, sock, number, rest):
        """Take one request and behave; give what of the next one came along, or None at the end."""
        record, rest = _take(sock, number, rest)
        if record is None:
            return None
        with self._lock:
            self.records.append(record)
            behave = self._script.popleft() if self._script else self._always
        return rest if behave(Wire(sock, self._stop, record)) else None


def _take(sock, number, data):
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None, b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        more = sock.recv(65536)
        if not more:
            return None, b""  # the sender was killed in the middle
        body += more
    return Record(time.time(), number, method, target, headers, body[:length]), body[length:]
