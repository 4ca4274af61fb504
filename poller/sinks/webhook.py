"""Events as HTTP requests: CloudEvents in structured mode, signed by Standard Webhooks."""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address, ip_address
from time import monotonic, time
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from poller import guard, signing, tls
from poller.http import Client, HttpError, Link, Proxy, Response, Stale
from poller.model import Delivery, Later, Outcome
from poller.retry import outcome
from poller.settings import FilePath, Interval, Secret, SettingError, Strict, is_loopback
from poller.sinks import SinkConfig

ANSWER_BYTES = 64 * 1024  # read of an answer, so that its connection can be kept; the status is all that counts


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError('should be a URL that begins with "https://"')
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("should have ASCII characters only, and no blanks; percent-encode the others")
    return parts


def _endpoint(url: str) -> str:
    parts = _split(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("should have no user and password; receivers know the poller by its signature: set secret")
    if parts.fragment:
        raise ValueError("should have no fragment: what follows # is never sent")
    return url


def _proxy_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError('should be "http://host:port" or "https://host:port"')
    parts = _split(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError('should hold no password: { url = "http://host:3128", user = "me", password = { env = "X" } }')
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError('should be "http://host:port" or "https://host:port" and no more')
    return f"{parts.scheme}://{parts.netloc}"


def _moment(value: object) -> object:
    if not isinstance(value, datetime):
        raise ValueError("should be a time without quotes, such as 2026-12-31T00:00:00Z")
    if value.tzinfo is None:
        raise ValueError(f"should say its zone: {value.isoformat()}Z is UTC")
    return value


def _user(name: str) -> str:
    if not name or ":" in name or not name.isascii() or not name.isprintable():
        raise ValueError("should be plain ASCII characters, without a colon")
    return name


def _few(secrets: tuple[Secret, ...]) -> tuple[Secret, ...]:
    if len(secrets) > signing.MOST:
        raise ValueError(f"should be {signing.MOST} at most: the newest, and those that receivers still use")
    return secrets


class SigningSecret(Secret):
    """A secret that signs until ``not_after``."""

    not_after: Annotated[datetime | None, BeforeValidator(_moment)] = None


class ProxyTable(Strict):
    """A proxy: its URL alone, or with a user and a password. ``ca_file`` is of those that vouch for an https one."""

    url: Annotated[str, AfterValidator(_proxy_url)]
    user: Annotated[str, AfterValidator(_user)] | None = None
    password: Secret | None = None
    ca_file: FilePath | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_url(cls, value: object) -> object:
        return value if isinstance(value, Mapping) else {"url": value}

    @model_validator(mode="after")
    def _whose(self) -> "ProxyTable":
        if self.password is not None and self.user is None:
            raise ValueError("should name the user that the password is of")
        return self

    def proxy(self) -> Proxy:
        """Make it; raises ``SettingError`` where the password or a file cannot be had."""
        password = "" if self.password is None else self.password.reveal()
        return Proxy(self.url, self.user or "", password, tls.context(self.ca_file))


class Config(SinkConfig):
    """A sink of kind ``webhook``: each event is one POST to ``url``; ``timeout`` is for a whole request.

    Without ``secret`` or ``secrets`` nothing is signed. ``allow_http`` permits plain http to another machine,
    where whoever is on the way can read and change the events; ``allow_private`` permits addresses that are
    not on the public internet. ``ca_file`` replaces the usual authorities, for this receiver.
    """

    kind: Literal["webhook"]
    url: Annotated[str, AfterValidator(_endpoint), Field(repr=False)]  # often a secret by itself
    secret: Secret | None = None
    secrets: Annotated[tuple[SigningSecret, ...], Field(strict=False, min_length=1), AfterValidator(_few)] | None = None
    timeout: Interval = 15.0
    concurrency: Annotated[int, Field(ge=1, le=16)] = 4
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
        return self

    def sink(self) -> "Webhook":
        """Make the sink; raises ``SettingError`` where a secret or a file cannot be had or used."""
        proxy = None if self.proxy is None else self.proxy.proxy()
        link = Link(self.allow_private, tls.context(self.ca_file, self.client_cert, self.client_key), proxy)
        return Webhook(self.url, self._keys(), self.timeout, link, self.concurrency)

    def _keys(self) -> list[signing.Key]:
        keys = [] if self.secret is None else [_key("secret", self.secret, None)]
        for place, secret in enumerate(self.secrets or ()):
            keys.append(_key(f"secrets.{place}", secret, secret.not_after))
        if keys and all(key.expired(time()) for key in keys):
            raise SettingError("secrets: all have expired (not_after); add a new one")
        return keys

    def _check_literal(self, setting: str, host: str) -> None:
        """Refuse an address that stands in a URL now; what a name stands for is seen when it is connected to."""
        address = _literal(host)
        if address and (why := guard.refusal(address, private=self.allow_private, loopback=is_loopback(host))):
            raise ValueError(f"{setting} cannot be connected to: {why}")


def _literal(host: str) -> str:
    """Give the address that a host is, also as the C library reads numbers (``127.1``); empty if it is a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return str(IPv4Address(socket.inet_aton(host)))
    except OSError:
        return ""


def _key(setting: str, secret: Secret, not_after: datetime | None) -> signing.Key:
    try:
        return signing.key(secret.reveal(), None if not_after is None else not_after.timestamp())
    except ValueError as error:
        raise SettingError(f"the {setting} is not usable: {error}") from None


class Webhook:
    """Posts events, each thread through a client of its own. ``clock`` gives seconds since 1970."""

    batch_size = 1
    careful = False

    def __init__(
        self,
        url: str,
        keys: Sequence[signing.Key],
        timeout_s: float,
        link: Link,
        concurrency: int,
        clock: Callable[[], float] = time,
    ) -> None:
        self.concurrency = concurrency
        self._url = url
        self._keys = keys
        self._timeout_s = timeout_s
        self._link = link
        self._clock = clock
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
        except (HttpError, signing.CannotSign) as error:
            return Later(str(error))
        return outcome(answer.status, answer.headers, int(self._clock() * 1000))

    def _ask(self, delivery: Delivery, deadline_s: float) -> Response:
        return self._client().request(
            "POST",
            self._url,
            headers=self._headers(delivery, int(self._clock())),
            content=delivery.body,
            deadline_s=deadline_s,
            max_bytes=ANSWER_BYTES,
            truncate=True,
        )

    def _headers(self, delivery: Delivery, timestamp_s: int) -> dict[str, str]:
        headers = {
            "Content-Type": delivery.content_type,
            "webhook-id": delivery.event_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-attempt": str(delivery.attempts + 1),
        }
        if self._keys:
            headers["webhook-signature"] = signing.signature(self._keys, delivery.event_id, timestamp_s, delivery.body)
        return headers

    def _client(self) -> Client:
        client: Client | None = getattr(self._of_thread, "client", None)
        if client is None:
            client = self._of_thread.client = Client(self._stop, self._link)
            self._clients.append(client)
        return client
