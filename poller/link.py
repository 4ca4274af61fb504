"""The way to a server: which addresses, by which TLS, through which proxy."""

from dataclasses import dataclass, field
from ssl import SSLContext

from poller import tls


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy: ``url`` is scheme, host and port; with a ``user`` it is told that and the password."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    tls: SSLContext = field(default_factory=tls.context)


@dataclass(frozen=True, slots=True)
class Link:
    """The way to a server. Through a ``proxy``, ``allow_private`` is about the address of that.

    A name behind a proxy is resolved by the proxy, so that nothing here can say what it stands for.
    """

    allow_private: bool = False
    tls: SSLContext = field(default_factory=tls.context)
    proxy: Proxy | None = None
