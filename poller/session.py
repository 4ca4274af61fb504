"""Requests and answers of httpx's under ``http.py``, and how a body is read: whole, or as much of it as matters.

``httpx.Client`` is left out. What it adds to its requests and answers is what must not be here: redirects, cookies,
what the environment says, and URLs in its log; and it took a fifth of the CPU of a page (docs/performance.md).
"""

import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from time import monotonic

import httpcore
import httpx

from poller import __version__
from poller.exchange import Exchange, HttpError, Malformed, TooLarge, Unsendable
from poller.link import Link
from poller.transport import Transport

logging.getLogger("httpcore").setLevel(logging.WARNING)  # below, it tells whole URLs, and those of webhooks are secrets

TAIL_S = 2.0  # how long the body is read of an answer whose status is all that matters
_STEP_BYTES = 1 << 20
_HEADERS = httpx.Headers(
    {
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "keep-alive",
        "User-Agent": f"poller/{__version__}",
    }
)
"""What a request says where its caller says nothing else."""


class Session:
    """What one client asks, one request at a time, within the time that its ``exchange`` allows."""

    def __init__(self, exchange: Exchange, link: Link) -> None:
        self._exchange = exchange
        self._transport = Transport(exchange, link)

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        content: bytes,
        max_bytes: int,
        *,
        truncate: bool,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """The status, the headers and the body of the answer, as ``http.Client`` has it; raises ``HttpError``."""
        try:
            request = httpx.Request(method, url, headers=_with_defaults(headers), content=content)
            with closing(self._transport.handle_request(request)) as answer:
                body = self._tail(answer, max_bytes) if truncate else self._whole(answer, max_bytes)
        except _THEIRS as error:
            # Not chained: those messages quote URLs and headers.
            raise _failure(self._exchange, error) from None
        return answer.status_code, answer.headers, body

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _whole(self, answer: httpx.Response, max_bytes: int) -> bytes:
        body = bytearray()
        try:
            self._read(answer, max_bytes, body)
        except BaseException:
            body.clear()  # whoever keeps the error keeps its frames, and all that is in them
            raise
        return bytes(body)

    def _read(self, answer: httpx.Response, max_bytes: int, body: bytearray) -> None:
        for chunk in self._decoded(answer):
            body += chunk
            if max(len(body), answer.num_bytes_downloaded) > max_bytes:
                raise self._exchange.error(TooLarge, f"the answer is larger than {max_bytes} bytes")

    def _decoded(self, answer: httpx.Response) -> Iterator[bytes]:
        encoding = answer.headers.get("content-encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return answer.iter_raw()
        if encoding in ("gzip", "x-gzip"):
            return self._gunzip(answer.iter_raw())
        raise self._exchange.error(Malformed, "the answer is in an encoding that was not asked for")

    def _gunzip(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Decode in steps, so that the caller can stop a bomb before it went off."""
        decoder, begun = zlib.decompressobj(wbits=31), False
        try:
            for chunk in chunks:
                rest, begun = chunk, True
                while rest:
                    yield decoder.decompress(rest, _STEP_BYTES)
                    rest = decoder.unconsumed_tail
                    if decoder.unused_data:  # another member follows
                        rest, decoder = decoder.unused_data, zlib.decompressobj(wbits=31)
        except zlib.error as error:
            raise self._exchange.error(Malformed, "the answer is not proper gzip") from error
        if begun and not decoder.eof:
            raise self._exchange.error(Malformed, "the answer's gzip is cut short")

    def _tail(self, answer: httpx.Response, max_bytes: int) -> bytes:
        self._exchange.ends_at = min(self._exchange.ends_at, monotonic() + TAIL_S)
        body = bytearray()
        try:
            for chunk in answer.iter_raw():
                body += chunk
                if len(body) >= max_bytes:
                    break
        except (HttpError, *_THEIRS):
            pass  # the status is known, and it decides
        return bytes(body[:max_bytes])


def _with_defaults(headers: Mapping[str, str] | None) -> httpx.Headers:
    every = _HEADERS.copy()
    every.update(headers)
    return every


_THEIRS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    UnicodeError,  # of a header
)


def _failure(exchange: Exchange, error: Exception) -> HttpError:
    if not isinstance(error, (httpx.RemoteProtocolError, httpcore.RemoteProtocolError)):
        return exchange.error(Unsendable, "the URL or a header holds what a request cannot carry")
    if exchange.ended:
        return exchange.disconnected("the connection was closed")
    return exchange.error(Malformed, "the answer is not proper HTTP")
