"""The way to a server: which addresses, by which TLS, through which proxy."""

from dataclasses import dataclass, field
from ssl import SSLContext


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy: ``url`` is scheme, host and port; with a ``user`` it is told that and the password.

    ``tls`` is as in ``Link``.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    tls: SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """The way to a server. Through a ``proxy``, ``allow_private`` is about the address of that.

    ``tls`` is None for the usual context, which is made when it is needed (20 ms).
    A name behind a proxy is resolved by the proxy, so that nothing here can say what it stands for.
    """

    allow_private: bool = False
    tls: SSLContext | None = None
    proxy: Proxy | None = None
