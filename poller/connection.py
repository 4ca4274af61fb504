"""The sockets under ``http.py``: to addresses that the guard allows, with TLS, and within the deadline."""

import os
import select
import socket
import ssl
from collections.abc import Callable, Iterable
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any, TypeVar

import httpcore

from poller import guard
from poller.exchange import ConnectFailed, Exchange, HttpError
from poller.settings import is_loopback

CONNECT_S = 5.0  # for each address, and as much again for TLS; still within the deadline
_READ_BYTES = 1 << 16

_T = TypeVar("_T")
_Address = tuple[socket.AddressFamily, Any]


class Backend(httpcore.NetworkBackend):
    """Makes the connections of one client; with a ``proxy`` (its URL), they are to that."""

    def __init__(self, exchange: Exchange, *, allow_private: bool, proxy: str = "") -> None:
        self._exchange = exchange
        self._allow_private = allow_private
        self._proxy = proxy

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  the exchange knows it
        local_address: str | None = None,  # noqa: ARG002  any
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002  ours are set below
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's allowed addresses that answers; raises ``HttpError``."""
        self._exchange.reused, self._exchange.hop = False, self._proxy
        failed: Exception = OSError("the name has no address")
        try:
            for address in self._allowed(host, self._addresses(host, port)):
                try:
                    return _Stream(self._connected(address), self._exchange, proxy=self._proxy.startswith("https:"))
                except OSError as error:
                    failed = error
        except (OSError, ValueError) as error:
            failed = error
        raise self._exchange.error(ConnectFailed, _words(failed)) from failed

    def _allowed(self, host: str, addresses: list[_Address]) -> list[_Address]:
        """Leave out what the guard refuses; raises ``OSError`` with its reason where that is everything."""
        loopback = is_loopback(host)
        told = [guard.refusal(address[0], private=self._allow_private, loopback=loopback) for _, address in addresses]
        if told and all(told):
            raise OSError(told[0])
        return [address for address, refused in zip(addresses, told, strict=True) if not refused]

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
    """Find the addresses of a host. All that is connected to comes out of here, and passes the guard."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception as error:  # noqa: BLE001  raised again in the thread that waits
        return error
    return [(family, address) for family, _, _, _, address in found]


class _Stream(httpcore.NetworkStream):
    """A connected socket that does not block. The timeouts that httpcore passes are the exchange's affair.

    ``proxy`` says that the first TLS on it is with a proxy; then there may be a second one, within that.
    """

    def __init__(self, sock: socket.socket, exchange: Exchange, *, proxy: bool) -> None:
        self._sock = sock
        self._exchange = exchange
        self._proxy = proxy

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        data = self.receive(max_bytes)
        self._exchange.answered |= bool(data)
        self._exchange.ended |= not data
        return data

    def receive(self, max_bytes: int) -> bytes:
        """Read what need not be a part of the answer: TLS within says other things too."""
        try:
            return self._exchange.turn(partial(self._sock.recv, max_bytes), self._sock, select.POLLIN)
        except OSError as error:
            raise self._exchange.disconnected(_words(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        rest = memoryview(buffer)
        try:
            while rest:
                sent = self._exchange.turn(partial(self._sock.send, rest), self._sock, select.POLLOUT)
                rest = rest[sent:]
                self._exchange.sent = True
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
        if not self._proxy:
            self._exchange.hop = ""
        try:
            stream = self._secured(ssl_context, server_hostname)
        except (OSError, ValueError, httpcore.WriteError) as error:
            self.close()
            raise self._exchange.error(ConnectFailed, _words(error)) from error
        except HttpError:
            self.close()
            raise
        # What was said to a proxy is no request yet, and its yes no answer.
        self._proxy, self._exchange.sent, self._exchange.answered = False, False, False
        return stream

    def _secured(self, context: ssl.SSLContext, host: str | None) -> httpcore.NetworkStream:
        if isinstance(self._sock, ssl.SSLSocket):
            return _Within(self, context, host, self._exchange)
        self._sock = tls = context.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)
        self._exchange.turn(tls.do_handshake, tls, select.POLLIN, monotonic() + CONNECT_S)
        return self

    def get_extra_info(self, info: str) -> object:
        if info == "is_readable":  # asked of an idle connection: has the other side closed it, or we?
            if self._sock.fileno() < 0:
                return True
            ready = select.poll()
            ready.register(self._sock, select.POLLIN)
            return bool(ready.poll(0))
        return self._sock if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket) else None


class _Within(httpcore.NetworkStream):
    """TLS with a server within the TLS with a proxy. Made, the handshake is done."""

    def __init__(self, outer: _Stream, context: ssl.SSLContext, host: str | None, exchange: Exchange) -> None:
        self._outer = outer
        self._exchange = exchange
        self._come, self._go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._come, self._go, server_hostname=host)
        self._turn(self._tls.do_handshake)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        try:
            data = self._turn(partial(self._tls.read, max_bytes))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            data = b""
        except OSError as error:
            raise self._exchange.disconnected(_words(error)) from error
        self._exchange.answered |= bool(data)
        self._exchange.ended |= not data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        for start in range(0, len(buffer), _READ_BYTES):
            self._turn(partial(self._tls.write, buffer[start : start + _READ_BYTES]))

    def close(self) -> None:
        self._outer.close()

    def get_extra_info(self, info: str) -> object:
        if info == "is_readable" and self._come.pending:
            return True
        return self._tls if info == "ssl_object" else self._outer.get_extra_info(info)

    def _turn(self, act: Callable[[], _T]) -> _T:
        """Do ``act``, with all that it wants sent and received."""
        while True:
            try:
                done = act()
            except ssl.SSLWantReadError:
                self._outer.write(self._go.read())
                if more := self._outer.receive(_READ_BYTES):
                    self._come.write(more)
                else:
                    self._come.write_eof()
            else:
                self._outer.write(self._go.read())
                return done


_TLS_WORDS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a client certificate: set client_cert and client_key",
    "TLSV1_ALERT_UNKNOWN_CA": "the server does not know the authority of the client certificate",
}


def _words(error: Exception) -> str:
    """Say in words what an error of a socket, of TLS or of the resolver is."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        told = f"TLS failed: {(error.reason or 'no reason given').replace('_', ' ').lower()}"
        return _TLS_WORDS.get(error.reason, told)
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved: {error.strerror}"
    if isinstance(error, ValueError):
        return "the name is not valid"
    if isinstance(error, TimeoutError) and not error.strerror:
        return f"no connection within {CONNECT_S:g} s"
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
