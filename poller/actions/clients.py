"""Requests on their way: at the turn of their connection, each thread through clients of its own."""

from functools import partial
from threading import Event, local
from time import monotonic

from poller.actions import Connection
from poller.actions.request import Request
from poller.http import Client, HttpError, Response, Stale

ANSWER_BYTES = 32 << 20  # PDFs


class Clients:
    """The HTTP clients of one sink. Once ``stop`` is set, requests under way are abandoned."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._of_thread = local()
        self._made: list[Client] = []

    def ask(self, connection: Connection, request: Request, *, alone: bool = False) -> Response | HttpError:
        """The answer, or why there is none; raises ``rate.NoTurn``.

        ``alone`` puts a request on a connection of its own: the end of a kept one would leave it open whether what
        must not be done twice was done.
        """
        sent_s = connection.bucket.take()
        send = partial(
            self._client(connection, alone=alone).request,
            request.method,
            request.url,
            headers={**request.headers, **({"Connection": "close"} if alone else {})},
            content=request.body,
            max_bytes=ANSWER_BYTES,
        )
        until = monotonic() + connection.timeout_s
        try:
            try:
                response = send(deadline_s=connection.timeout_s)
            except Stale:
                response = send(deadline_s=until - monotonic())
        except HttpError as error:
            return error
        connection.bucket.heed(response.status, sent_s)
        return response

    def close(self) -> None:
        """Close all connections, after the requests under way."""
        while self._made:
            self._made.pop().close()

    def _client(self, connection: Connection, *, alone: bool) -> Client:
        clients: dict[tuple[str, bool], Client] | None = getattr(self._of_thread, "clients", None)
        if clients is None:
            clients = self._of_thread.clients = {}
        key = (connection.name, alone)
        if key not in clients:
            clients[key] = Client(self._stop, connection.link)
            self._made.append(clients[key])
        return clients[key]
