"""Where a sink posts to, in the words of the configuration: a URL, and a proxy on the way."""

import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, ip_address
from typing import Annotated, Any
from urllib.parse import SplitResult

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue

from poller import tls
from poller.http import Proxy, redact_url
from poller.secret import Secret
from poller.settings import FilePath, Strict, web_url


def _split(url: str) -> SplitResult:
    parts = web_url(url)
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


EndpointUrl = Annotated[
    str,
    AfterValidator(_endpoint),
    PlainSerializer(redact_url, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^https?://", "examples": ["https://crm.example.com/hooks"]}),
    Field(repr=False),
]
"""The URL of a receiver, which is often a secret by itself."""


def _proxy_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError('should be "http://host:port" or "https://host:port"')
    parts = _split(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError('should hold no password: { url = "http://host:3128", user = "me", password = { env = "X" } }')
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError('should be "http://host:port" or "https://host:port" and no more')
    return f"{parts.scheme}://{parts.netloc}"


def _user(name: str) -> str:
    if not name or ":" in name or not name.isascii() or not name.isprintable():
        raise ValueError("should be plain ASCII characters, without a colon")
    return name


class ProxyTable(Strict):
    """A proxy: its URL alone, or with a user and a password. ``ca_file`` is of those that vouch for an https one."""

    url: Annotated[str, AfterValidator(_proxy_url)]
    user: Annotated[str, AfterValidator(_user)] | None = None
    password: Secret | None = None
    ca_file: FilePath | None = None

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:  # noqa: ANN401
        return {"anyOf": [{"type": "string", "pattern": "^https?://"}, handler(core)]}

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
        return Proxy(self.url, self.user or "", password, None if self.ca_file is None else tls.context(self.ca_file))


def literal(host: str) -> str:
    """Give the address that a host is, also as the C library reads numbers (``127.1``); empty if it is a name."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return str(IPv4Address(socket.inet_aton(host)))
    except OSError:
        return ""
