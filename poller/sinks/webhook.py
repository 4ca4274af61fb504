"""Events as HTTP requests: CloudEvents in structured mode, signed by Standard Webhooks."""

import threading
from collections.abc import Sequence
from time import monotonic, time
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from poller.envelope import CONTENT_TYPE, sign, signing_key
from poller.http import Client, HttpError, Response, Stale
from poller.model import Delivery, Later, Outcome
from poller.retry import outcome
from poller.settings import Interval, Secret, SettingError, is_loopback
from poller.sinks import SinkConfig

ANSWER_BYTES = 64 * 1024  # read of an answer, so that its connection can be kept; the status is all that counts


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError('should be a URL that begins with "https://"')
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("should have ASCII characters only, and no blanks; percent-encode the others")
    if parts.username is not None or parts.password is not None:
        raise ValueError("should have no user and password; receivers know the poller by its signature: set secret")
    if parts.fragment:
        raise ValueError("should have no fragment: what follows # is never sent")
    return url


class Config(SinkConfig):
    """A sink of kind ``webhook``: each event is one POST to ``url``.

    ``timeout`` is for a whole request. Without a ``secret`` nothing is signed. ``allow_http`` permits plain
    http to another machine, where whoever is on the way can read and change the events.
    """

    kind: Literal["webhook"]
    url: Annotated[str, AfterValidator(_endpoint), Field(repr=False)]  # often a secret by itself
    secret: Secret | None = None
    timeout: Interval = 15.0
    allow_http: bool = False

    @model_validator(mode="after")
    def _encrypted(self) -> "Config":
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not self.allow_http and not is_loopback(parts.hostname or ""):
            raise ValueError('url should begin with "https://"; to send events unencrypted, set allow_http = true')
        return self

    def sink(self) -> "Webhook":
        """Make the sink; raises ``SettingError`` where the secret cannot be had or used."""
        return Webhook(self.url, None if self.secret is None else _key(self.secret), self.timeout)


def _key(secret: Secret) -> bytes:
    try:
        key = signing_key(secret.reveal())
    except ValueError:
        raise SettingError('the secret is not usable: what follows "whsec_" should be base64') from None
    if not key:
        raise SettingError('the secret is not usable: nothing follows "whsec_"')
    return key


class Webhook:
    """Posts events, each thread through a client of its own."""

    concurrency = 4
    batch_size = 1

    def __init__(self, url: str, key: bytes | None, timeout_s: float) -> None:
        self._url = url
        self._key = key
        self._timeout_s = timeout_s
        self._stop = threading.Event()
        self._of_thread = threading.local()
        self._clients: list[Client] = []

    def send(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """Post one after the other; no answer is trouble of the receiver, and for later."""
        return [self._post(delivery) for delivery in batch]

    def close(self) -> None:
        """Abandon the requests under way (their events stay due), and close all connections."""
        self._stop.set()
        while self._clients:
            self._clients.pop().close()

    def _post(self, delivery: Delivery) -> Outcome:
        until = monotonic() + self._timeout_s
        try:
            try:
                answer = self._ask(delivery, self._timeout_s)
            except Stale:
                answer = self._ask(delivery, until - monotonic())
        except HttpError as error:
            return Later(str(error))
        return outcome(answer.status, answer.headers, int(time() * 1000))

    def _ask(self, delivery: Delivery, deadline_s: float) -> Response:
        return self._client().request(
            "POST",
            self._url,
            headers=self._headers(delivery, int(time())),
            content=delivery.body,
            deadline_s=deadline_s,
            max_bytes=ANSWER_BYTES,
            truncate=True,
        )

    def _headers(self, delivery: Delivery, timestamp_s: int) -> dict[str, str]:
        headers = {
            "Content-Type": CONTENT_TYPE,
            "webhook-id": delivery.event_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-attempt": str(delivery.attempts + 1),
        }
        if self._key is not None:
            headers["webhook-signature"] = sign(self._key, delivery.event_id, timestamp_s, delivery.body)
        return headers

    def _client(self) -> Client:
        client: Client | None = getattr(self._of_thread, "client", None)
        if client is None:
            client = self._of_thread.client = Client(self._stop)
            self._clients.append(client)
        return client
