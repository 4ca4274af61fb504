"""An HTTP proxy on loopback: tunnels and forwards to loopback, whatever host is named, and keeps what it was asked."""

import base64
import socket
import ssl
import threading
from contextlib import suppress


class Proxy:
    """As a context manager. ``asked`` are the request lines, ``headers`` those of each, with lower-case names.

    With ``password`` it wants Basic authentication; with ``status`` it answers that to everything.
    """

    def __init__(self, *, tls=None, password=None, status=None):
        self._tls, self._password, self._status = tls, password, status
        self._socks, self._threads = [], []
        self.asked, self.headers = [], []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        for sock in [self._listener, *self._socks]:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in [self._listener, *self._socks]:
            sock.close()

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, sock):
        self._socks.append(sock)
        with suppress(OSError):
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._socks.append(sock)
            data = b""
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            self._answer(sock, data)

    def _answer(self, sock, data):
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.asked.append(first)
        self.headers.append({name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)})
        method, target, _ = first.split(" ")
        if status := self._status or self._wanted():
            sock.sendall(f"HTTP/1.1 {status} {'secret ' * 3}\r\nContent-Length: 0\r\n\r\n".encode())
        elif method == "CONNECT":
            other = self._to(target)
            sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            self._relay(sock, other, rest)
        else:
            authority, _, path = target.removeprefix("http://").partition("/")
            lines = [line for line in lines if not line.lower().startswith("proxy-")]
            self._relay(
                sock, self._to(authority), "\r\n".join([f"{method} /{path} HTTP/1.1", *lines, "", ""]).encode() + rest
            )

    def _wanted(self):
        expected = "Basic " + base64.b64encode(f"poller:{self._password}".encode()).decode()
        return 407 if self._password and self.headers[-1].get("proxy-authorization") != expected else None

    def _to(self, authority):
        other = socket.create_connection(("127.0.0.1", int(authority.rpartition(":")[2])))
        self._socks.append(other)
        return other

    def _relay(self, sock, other, first):
        other.sendall(first)
        self._start(self._copy, other, sock)
        self._copy(sock, other)

    def _copy(self, source, target):
        with suppress(OSError, ssl.SSLError):
            while data := source.recv(65536):
                target.sendall(data)
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
