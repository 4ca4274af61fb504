"""A client of httpx's under ``http.py``, and how the body of an answer is read: whole, or as much of it as matters."""

import logging
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import monotonic

import httpcore
import httpx

from poller import __version__
from poller.connection import CONNECT_S
from poller.exchange import Exchange, HttpError, Malformed, TooLarge, Unsendable
from poller.link import Link
from poller.transport import Transport

# httpx logs whole URLs at INFO, and those of webhooks are secrets.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

TAIL_S = 2.0  # how long the body is read of an answer whose status is all that matters
_STEP_BYTES = 1 << 20


class Session:
    """What one client asks, one request at a time, within the time that its ``exchange`` allows."""

    def __init__(self, exchange: Exchange, link: Link) -> None:
        self._exchange = exchange
        self._http = httpx.Client(
            transport=Transport(exchange, link),
            headers={"Accept-Encoding": "identity", "User-Agent": f"poller/{__version__}"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )

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
            request = self._http.build_request(method, url, headers=headers, content=content)
            with closing(self._http.send(request, stream=True)) as answer:
                body = self._tail(answer, max_bytes) if truncate else self._whole(answer, max_bytes)
        except _THEIRS as error:
            # Not chained: those messages quote URLs and headers.
            raise _failure(self._exchange, error) from None
        return answer.status_code, answer.headers, body

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

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
