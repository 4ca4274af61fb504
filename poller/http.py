"""The one place that makes HTTP clients.

One total deadline a request, capped bodies, and errors that say the cause and keep the secrets.
"""

from collections.abc import Mapping
from threading import Event, Lock
from time import monotonic
from typing import NamedTuple

from poller.exchange import (
    Aborted,
    ConnectFailed,
    Disconnected,
    Exchange,
    HttpError,
    Malformed,
    Stale,
    TimedOut,
    TooLarge,
    Unsendable,
    redact_url,
)
from poller.link import Link, Proxy

__all__ = [
    "Aborted",
    "Client",
    "ConnectFailed",
    "Disconnected",
    "HttpError",
    "Link",
    "Malformed",
    "Proxy",
    "Response",
    "Stale",
    "TimedOut",
    "TooLarge",
    "Unsendable",
    "redact_url",
]


class Response(NamedTuple):
    """An answer. ``headers`` are looked up without regard to case; ``elapsed_s`` ends with the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_s: float


class Client:
    """The client of one worker thread; requests from several threads wait for each other.

    Once ``stop`` is set, a request ends within a quarter of a second and raises ``Aborted``. TLS is always
    verified; redirects, cookies, and what the environment says of proxies and passwords are not followed.

    Without a ``link`` the URLs are the operator's own, such as the API's base URL: private addresses are
    allowed, and only what is never connected to is refused.
    """

    def __init__(self, stop: Event | None = None, link: Link | None = None) -> None:
        from poller.session import Session  # noqa: PLC0415 - httpx costs a tenth of a second; most commands ask nobody

        self._exchange = Exchange(stop or Event())
        self._lock = Lock()
        self._session = Session(self._exchange, link or Link(allow_private=True))

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        deadline_s: float,
        max_bytes: int,
        truncate: bool = False,
    ) -> Response:
        """Ask, and read the answer, within ``deadline_s`` all told; raises ``HttpError``.

        gzip is decoded (ask for it by an ``Accept-Encoding`` header); a body of more than ``max_bytes``,
        on the wire or decoded, raises ``TooLarge``. With ``truncate`` the status decides: the body is what
        came of it, not decoded, within ``max_bytes`` and ``session.TAIL_S`` after the status, and no trouble with
        it is an error.
        """
        with self._lock:
            began = monotonic()
            self._exchange.begin(url, deadline_s)
            answer = self._session.ask(method, url, headers, content, max_bytes, truncate=truncate)
            return Response(*answer, monotonic() - began)

    def close(self) -> None:
        """Close the connections, after the request under way."""
        with self._lock:
            self._session.close()
