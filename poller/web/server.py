"""The server: a socket and a few threads, from the making of an ``Endpoint`` until its ``close``."""

import logging
import socket
import time
from threading import Event, Thread
from typing import Any

import structlog
from waitress import wasyncore
from waitress.server import create_server

from poller.listening import Address, HttpTable
from poller.settings import SettingError
from poller.web.app import Site, application
from poller.web.door import Door
from poller.web.exchange import BODY_LIMIT
from poller.web.inside import Inside

log = structlog.get_logger()

_CLOSE_S = 3.0
_LOOK_S = 10.0
"""How often it is looked for connections that say nothing."""

_LIMITS: dict[str, Any] = {
    "threads": 4,
    "connection_limit": 64,
    "channel_timeout": 30,
    "cleanup_interval": 10,
    "max_request_header_size": 16_384,
    "max_request_body_size": BODY_LIMIT,
}


class Endpoint:
    """Answers at the address of ``table`` from now on, in threads of its own.

    Raises ``SettingError`` where it cannot listen there, or the token cannot be read or is too short.
    """

    def __init__(self, table: HttpTable, inside: Inside) -> None:
        where = table.address
        if where is None:
            raise ValueError("[http] listen is not set")
        token = table.revealed()
        self.table = table
        self._token = token
        listener = _listener(where)
        self.address = Address(*listener.getsockname()[:2])
        door = Door(table, token, self.address.port, time.monotonic)
        self._sockets: dict[int, Any] = {}
        site = Site(table, inside, door)
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it speaks of every request that waits a moment
        try:
            self._server: Any = create_server(
                application(site), self._sockets, sockets=[listener], ident="poller", **_LIMITS
            )
        except OSError as error:  # too many open files, say
            listener.close()
            raise _unable(where, error) from error
        self._over = Event()
        self._thread = Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()
        log.info("http.listening", address=self.address.shown, actions=table.actions)
        if table.beyond_loopback and not token:
            log.warning("http.open", address=self.address.shown, hint="whoever reaches it can read; set [http] token")

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self.address.shown}/"

    def stands_for(self, table: HttpTable) -> bool:
        """Whether another one for this table would be the same; raises ``SettingError`` as the making does."""
        return table == self.table and table.revealed() == self._token

    def close(self) -> None:
        """Stop listening, and drop what is still being answered after three seconds. May be called twice.

        Threads that answer wake the server's own by a pipe. So that is closed last, and not while one of them is left:
        its number might be another file's by then.
        """
        if self._over.is_set():
            return
        server, workers = self._server, self._server.task_dispatcher
        server.trigger.pull_trigger(lambda: wasyncore.dispatcher.close(server))
        workers.shutdown(timeout=_CLOSE_S)
        self._over.set()
        server.trigger.pull_trigger()
        self._thread.join()
        for each in list(self._sockets.values()):
            if each is not server.trigger or not workers.threads:
                each.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            wasyncore.loop(_LOOK_S, use_poll=True, map=self._sockets, count=1)


def _listener(where: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        return socket.create_server(where, family=family)
    except OSError as error:
        raise _unable(where, error) from error


def _unable(where: Address, error: OSError) -> SettingError:
    why = (error.strerror or str(error)).partition(" (while")[0]  # what follows names the address once more
    return SettingError(f"http.listen: {where.shown} cannot be listened on: {why}")
