"""``[http]``: where the endpoint listens, who may ask it, and whether it may be told to do something."""

import re
from ipaddress import ip_address
from typing import Annotated, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from poller.secret import Secret
from poller.settings import SettingError, Strict, is_loopback

SHORTEST_TOKEN = 16


class Address(NamedTuple):
    """Where to listen; port 0 is any that is free."""

    host: str
    port: int

    @property
    def shown(self) -> str:
        """As it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\[\]]+)):(\d{1,5})")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def address(text: str) -> Address:
    """Read ``127.0.0.1:9464``, ``[::1]:9464`` or ``localhost:9464``; raises ``ValueError``."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > 65535:
        raise ValueError('should be an address and a port, such as "127.0.0.1:9464" or "[::1]:9464"')
    host = "127.0.0.1" if found[2] == "localhost" else found[1] or found[2]
    try:
        ip_address(host)
    except ValueError:
        raise ValueError(f'"{host}" should be an IP address of this machine, not a name') from None
    return Address(host, int(found[3]))


def _listen(text: str) -> str:
    return address(text).shown


def _host(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f'"{name}" should be the name of a host alone, without scheme, port and path')
    return name.lower()


class HttpTable(Strict):
    """``[http]``: off unless ``listen`` is set.

    ``token`` guards the actions, and beyond loopback all that is shown. ``hosts`` are names that a request may be
    addressed to, beside loopback and the address listened on. ``organizations`` labels metrics by organization.
    """

    listen: Annotated[str, AfterValidator(_listen)] | None = None
    actions: bool = False
    token: Secret | None = None
    hosts: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], Field(strict=False)] = ()
    organizations: bool = False

    @model_validator(mode="after")
    def _actions_are_guarded(self) -> Self:
        if self.actions and self.token is None:
            raise ValueError('actions = true needs a token, such as token = { env = "POLLER_HTTP_TOKEN" }')
        return self

    @property
    def address(self) -> Address | None:
        """Where to listen; None where the endpoint is off."""
        return None if self.listen is None else address(self.listen)

    @property
    def beyond_loopback(self) -> bool:
        """Whether other machines can reach it."""
        return self.address is not None and not is_loopback(self.address.host)

    def revealed(self) -> str:
        """The token, or nothing where there is none; ``SettingError`` where it cannot be read or is too short."""
        if self.token is None:
            return ""
        try:
            token = self.token.reveal()
        except SettingError as error:
            raise SettingError(f"http.token: {error}") from error
        if len(token) < SHORTEST_TOKEN:
            raise SettingError(
                f"http.token: should have at least {SHORTEST_TOKEN} characters, such as: openssl rand -hex 32"
            )
        return token
