"""Events as HTTP requests: CloudEvents in structured mode, one or several, signed by Standard Webhooks."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic, time
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from poller import envelope, guard, signing, tls
from poller.batch import MOST, split
from poller.endpoint import EndpointUrl, ProxyTable, literal
from poller.envelope import Message
from poller.http import Client, HttpError, Link, Response, Stale
from poller.model import CLOUDEVENT, Delivery, Later, Outcome
from poller.plan import Order
from poller.retry import outcome
from poller.secret import Secret
from poller.settings import Duration, FilePath, Interval, SettingError, Strict, is_loopback
from poller.sinks import Reach, SinkConfig

ANSWER_BYTES = 64 * 1024  # read of an answer, so that its connection can be kept; the status is all that counts


def _moment(value: object) -> object:
    if not isinstance(value, datetime):
        raise ValueError("should be a time without quotes, such as 2026-12-31T00:00:00Z")
    if value.tzinfo is None:
        raise ValueError(f"should say its zone: {value.isoformat()}Z is UTC")
    return value


def _few(secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
    if len(secrets) > signing.MOST:
        raise ValueError(f"should be {signing.MOST} at most: the newest, and those that receivers still use")
    return secrets


class SigningSecret(Secret):
    """A secret that signs until ``not_after``."""

    not_after: Annotated[datetime | None, BeforeValidator(_moment)] = None


def _not_long(seconds: float) -> float:
    if seconds > 3600:
        raise ValueError('should be at most "1h"')
    return seconds


class BatchTable(Strict):
    """Events that go together: ``max`` at most, and each is kept waiting for others for ``wait`` at most."""

    max: Annotated[int, Field(ge=1, le=MOST)] = 100
    wait: Annotated[Duration, AfterValidator(_not_long)] = 1.0


class Config(SinkConfig):
    """A sink of kind ``webhook``: each event is one POST to ``url``; ``timeout`` is for a whole request.

    With ``batch`` several events are one POST.

    Without ``secret`` or ``secrets`` nothing is signed. ``allow_http`` permits plain http to another machine,
    where whoever is on the way can read and change the events; ``allow_private`` permits addresses that are
    not on the public internet. ``ca_file`` replaces the usual authorities, for this receiver.
    """

    kind: Literal["webhook"]
    url: EndpointUrl
    secret: Secret | None = None
    secrets: Annotated[tuple[SigningSecret, ...], Field(strict=False, min_length=1), AfterValidator(_few)] | None = None
    timeout: Interval = 15.0
    concurrency: Annotated[int, Field(ge=1, le=16)] = 4
    batch: BatchTable | None = None
    allow_http: bool = False
    allow_private: bool = False
    proxy: ProxyTable | None = None
    ca_file: FilePath | None = None
    client_cert: FilePath | None = None
    client_key: FilePath | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        host = urlsplit(self.url).hostname or ""
        if self.url.startswith("http:") and not self.allow_http and not is_loopback(host):
            raise ValueError('url should begin with "https://"; to send events unencrypted, set allow_http = true')
        self._check_literal("url", host)
        if self.proxy is not None:
            self._check_literal("proxy", urlsplit(self.proxy.url).hostname or "")
        if self.secret is not None and self.secrets is not None:
            raise ValueError("secret and secrets say the same; keep one of them")
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key should have a client_cert beside it")
        if self.batch is not None and self.order == Order.SINK:
            raise ValueError('batch should be left out where order = "sink": then events go one by one')
        return self

    def reach(self) -> Reach:
        """See ``SinkConfig.reach``."""
        parts = urlsplit(self.url if self.proxy is None else self.proxy.url)
        return Reach(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), self.allow_private)

    def sink(self) -> "Webhook":
        """Make the sink; raises ``SettingError`` where a secret or a file cannot be had or used."""
        proxy = None if self.proxy is None else self.proxy.proxy()
        files = self.ca_file, self.client_cert, self.client_key
        link = Link(self.allow_private, tls.context(*files) if any(files) else None, proxy)
        return Webhook(self.url, self._keys(), self.timeout, link, self.concurrency, batch=self.batch)

    def _keys(self) -> list[signing.Key]:
        keys = [] if self.secret is None else [_key("secret", self.secret, None)]
        for place, secret in enumerate(self.secrets or ()):
            keys.append(_key(f"secrets.{place}", secret, secret.not_after))
        if keys and all(key.expired(time()) for key in keys):
            raise SettingError("secrets: all have expired (not_after); add a new one")
        return keys

    def _check_literal(self, setting: str, host: str) -> None:
        """Refuse an address that stands in a URL now; what a name stands for is seen when it is connected to."""
        address = literal(host)
        if address and (why := guard.refusal(address, private=self.allow_private, loopback=is_loopback(host))):
            raise ValueError(f"{setting} cannot be connected to: {why}")


def _key(setting: str, secret: Secret, not_after: datetime | None) -> signing.Key:
    try:
        return signing.key(secret.reveal(), None if not_after is None else not_after.timestamp())
    except ValueError as error:
        raise SettingError(f"the {setting} is not usable: {error}") from None


class Webhook:
    """Posts events, each thread through a client of its own. ``clock`` gives seconds since 1970."""

    careful = False

    def __init__(
        self,
        url: str,
        keys: Sequence[signing.Key],
        timeout_s: float,
        link: Link,
        concurrency: int,
        clock: Callable[[], float] = time,
        batch: BatchTable | None = None,
    ) -> None:
        self.concurrency = concurrency
        self.batch_size = 1 if batch is None else batch.max
        self.batch_wait_s = 0.0 if batch is None else batch.wait
        self._batched = batch is not None
        self._url = url
        self._keys = keys
        self._timeout_s = timeout_s
        self._link = link
        self._clock = clock
        self._stop = threading.Event()
        self._of_thread = threading.local()
        self._clients: list[Client] = []

    def send(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """Post events one after the other, or all together; no answer is trouble of the receiver, and for later.

        A batch that is refused is split. That goes on for ``timeout`` before the last request. What is no CloudEvent
        is in no batch.
        """
        if not self._batched:
            return [self._post_alone([delivery]) for delivery in batch]
        until = monotonic() + self._timeout_s
        events = [delivery for delivery in batch if delivery.content_type == CLOUDEVENT]
        others = [delivery for delivery in batch if delivery.content_type != CLOUDEVENT]
        of_events = iter(split(events, self._post_together, lambda: monotonic() > until))
        of_others = iter(split(others, self._post_alone, lambda: monotonic() > until, apart=True))
        return [next(of_events if delivery.content_type == CLOUDEVENT else of_others) for delivery in batch]

    def close(self) -> None:
        """Abandon the requests under way (their events stay due), and close all connections."""
        self._stop.set()
        while self._clients:
            self._clients.pop().close()

    def _post_alone(self, batch: Sequence[Delivery]) -> Outcome:
        return self._post(envelope.single(batch[0]), batch[0].attempts)

    def _post_together(self, batch: Sequence[Delivery]) -> Outcome:
        return self._post(envelope.array(batch), batch[0].attempts)

    def _post(self, message: Message, attempts: int) -> Outcome:
        until = monotonic() + self._timeout_s
        try:
            try:
                answer = self._ask(message, attempts, self._timeout_s)
            except Stale:
                answer = self._ask(message, attempts, until - monotonic())
        except (HttpError, signing.CannotSign) as error:
            return Later(str(error))
        return outcome(answer.status, answer.headers, int(self._clock() * 1000))

    def _ask(self, message: Message, attempts: int, deadline_s: float) -> Response:
        return self._client().request(
            "POST",
            self._url,
            headers=self._headers(message, attempts, int(self._clock())),
            content=message.body,
            deadline_s=deadline_s,
            max_bytes=ANSWER_BYTES,
            truncate=True,
        )

    def _headers(self, message: Message, attempts: int, timestamp_s: int) -> dict[str, str]:
        headers = {
            "Content-Type": message.content_type,
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-attempt": str(attempts + 1),
        }
        if self._keys:
            headers["webhook-signature"] = signing.signature(self._keys, message.id, timestamp_s, message.body)
        return headers

    def _client(self) -> Client:
        client: Client | None = getattr(self._of_thread, "client", None)
        if client is None:
            client = self._of_thread.client = Client(self._stop, self._link)
            self._clients.append(client)
        return client
