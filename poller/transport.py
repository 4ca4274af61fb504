"""How httpx reaches a server: by our own connections, over its link."""

from collections.abc import Iterator
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from poller import tls
from poller.connection import Backend
from poller.exchange import ConnectFailed, Exchange, HttpError
from poller.link import Link

CONNECTIONS = 8  # httpcore's pool is quadratic beyond
KEEP_ALIVE_S = 30.0


class Transport(httpx.BaseTransport):
    """Joins httpx to a pool of httpcore's that connects through ours: ``httpx.HTTPTransport`` cannot be told to."""

    def __init__(self, exchange: Exchange, link: Link) -> None:
        self._exchange = exchange
        self._link = link
        self._pools: dict[bytes, httpcore.ConnectionPool] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and give the answer up to its headers."""
        url = request.url
        if not url.raw_host:
            raise httpx.InvalidURL("there is no host in it")
        answer = self._answer(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        """Close all connections."""
        while self._pools:
            self._pools.popitem()[1].close()

    def _pool(self, scheme: bytes) -> httpcore.ConnectionPool:
        if scheme not in self._pools:
            context = (self._link.tls or tls.context()) if scheme == b"https" else None
            self._pools[scheme] = _made(self._exchange, self._link, context)
        return self._pools[scheme]

    def _answer(self, request: httpcore.Request) -> httpcore.Response:
        pool = self._pool(request.url.scheme)
        if self._link.proxy is None:
            return pool.handle_request(request)
        try:
            answer = pool.handle_request(request)
        except BaseException as error:
            # httpcore takes a tunnel that failed for one in use: eight of them, and its pool waits for ever.
            self._pools.pop(request.url.scheme).close()
            if isinstance(error, httpcore.ProxyError):
                raise self._refused(str(error)[:3]) from None
            raise
        if answer.status == 407:  # of plain http, which has no tunnel
            answer.close()
            raise self._refused("407")
        return answer

    def _refused(self, status: str) -> HttpError:
        self._exchange.hop = self._link.proxy.url if self._link.proxy else ""
        why = "it wants another user or password" if status == "407" else "it does not connect"
        return self._exchange.error(ConnectFailed, f"status {status}: {why}")


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        if _excess(self._answer):
            self._answer.extensions["network_stream"].close()
        self._answer.close()


def _excess(answer: httpcore.Response) -> bytes:
    """What came behind the answer, and so is none: httpcore would take it for that to the next request.

    It tells nobody, so this looks inside; nothing is found in a version that keeps it elsewhere.
    """
    stream: Any = answer.stream
    try:
        return bytes(stream._stream._connection._h11_state.trailing_data[0])  # noqa: SLF001
    except AttributeError:
        return b""


def _made(exchange: Exchange, link: Link, context: SSLContext | None) -> httpcore.ConnectionPool:
    proxy = link.proxy
    backend = Backend(exchange, allow_private=link.allow_private, proxy=proxy.url if proxy else "")
    if proxy is None:
        return httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=backend,
        )
    return httpcore.HTTPProxy(
        proxy.url,
        proxy_auth=(proxy.user, proxy.password) if proxy.user else None,
        proxy_ssl_context=(proxy.tls or tls.context()) if proxy.url.startswith("https:") else None,
        ssl_context=context,
        max_connections=CONNECTIONS,
        max_keepalive_connections=CONNECTIONS,
        keepalive_expiry=KEEP_ALIVE_S,
        network_backend=backend,
    )
