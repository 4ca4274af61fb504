"""Who may come in: requests that are addressed to this endpoint, from its own page, by who knows the token."""

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from http import HTTPStatus
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from poller.listening import HttpTable
from poller.settings import is_loopback
from poller.web.exchange import Answer, Request, text

SESSION_S = 12 * 3600
MOST_SESSIONS = 32
MOST_FAILURES = 5
PATIENCE_S = 60.0
"""After ``MOST_FAILURES`` wrong tokens from one address within so long, it has to wait until they are older."""
MOST_REMOTES = 1000


class Session(NamedTuple):
    """Somebody who signed in: ``proof`` is what their page sends with each action, which no other page can know."""

    proof: str
    ends_s: float


class Door:
    """Lets requests in or not, and knows who signed in.

    ``token`` is empty where there is none; ``port`` is the one listened on; ``clock`` gives seconds that only rise.
    """

    def __init__(self, table: HttpTable, token: str, port: int, clock: Callable[[], float]) -> None:
        self._token = sha256(token.encode()).digest() if token else b""
        self._any_address = table.address is not None and ip_address(table.address.host).is_unspecified
        self._hosts = {"localhost", *table.hosts, *([table.address.host] if table.address else [])}
        self._cookie = f"poller_{port}"  # cookies know no ports
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self.guards_all = bool(token) and table.beyond_loopback
        """Whether reading needs the token too."""

    def misdirected(self, request: Request) -> Answer | None:
        """Turn away what is addressed to another host: a name may have been made to lead a browser here."""
        host = _host(request.headers.get("host", ""))
        if host in self._hosts or is_loopback(host) or (self._any_address and _is_address(host)):
            return None
        return text(HTTPStatus.MISDIRECTED_REQUEST, "this host is not served here; [http] hosts names those that are")

    def foreign(self, request: Request) -> Answer | None:
        """Turn away what another site's page sends: browsers say where a request comes from."""
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site is None and origin is None and "authorization" in request.headers:
            return None  # no browser: none sends a token by itself
        own = origin is None or origin.partition("://")[2] == request.headers.get("host")
        if own and (site == "same-origin" or (site is None and origin is not None)):
            return None
        return text(
            HTTPStatus.FORBIDDEN, "only a page of this endpoint itself, or a program with the token, may do that"
        )

    def session(self, request: Request) -> Session | None:
        """The session that a request's cookie speaks of, while it lasts."""
        with self._lock:
            session = self._sessions.get(_digest(request.cookies.get(self._cookie, "")))
        return session if session and session.ends_s > self._clock() else None

    def knows(self, request: Request) -> bool:
        """Whether a request has a session or the token; a wrong token is counted."""
        if self.session(request):
            return True
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_right(token.strip(), request.remote)

    def sign_in(self, request: Request, token: str) -> tuple[str, str] | None:
        """The header that begins a session; None where the token is wrong."""
        if not self._is_right(token, request.remote):
            return None
        key = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[_digest(key)] = Session(secrets.token_urlsafe(32), self._clock() + SESSION_S)
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return self._set_cookie(key, SESSION_S)

    def sign_out(self, request: Request) -> tuple[str, str]:
        """The header that ends a session."""
        with self._lock:
            self._sessions.pop(_digest(request.cookies.get(self._cookie, "")), None)
        return self._set_cookie("", 0)

    def proves(self, request: Request) -> bool:
        """Whether an action was meant by who signed in: it brings the proof of their session, or the token itself."""
        session = self.session(request)
        if session is None:
            return self.knows(request)
        return hmac.compare_digest(session.proof.encode(), request.headers.get("x-poller-proof", "").encode())

    def too_many(self, request: Request) -> Answer | None:
        """Turn away an address that tried too many wrong tokens."""
        with self._lock:
            recent = self._recent(request.remote)
        if len(recent) < MOST_FAILURES:
            return None
        wait_s = str(int(recent[0] + PATIENCE_S - self._clock()) + 1)
        return text(HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens; wait a minute", ("Retry-After", wait_s))

    def _is_right(self, token: str, remote: str) -> bool:
        if self._token and hmac.compare_digest(self._token, sha256(token.encode()).digest()):
            return True
        with self._lock:
            self._failures[remote] = [*self._recent(remote), self._clock()]
            self._failures.move_to_end(remote)
            while len(self._failures) > MOST_REMOTES:
                self._failures.popitem(last=False)
        return False

    def _recent(self, remote: str) -> list[float]:
        since_s = self._clock() - PATIENCE_S
        return [at_s for at_s in self._failures.get(remote, [])[-MOST_FAILURES:] if at_s > since_s]

    def _set_cookie(self, value: str, age_s: int) -> tuple[str, str]:
        return "Set-Cookie", f"{self._cookie}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict"


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _host(header: str) -> str:
    """The host that a request is addressed to, without its port; empty where it names none."""
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
