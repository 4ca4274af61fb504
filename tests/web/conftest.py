"""An endpoint that is asked over a real socket, and what is inside it."""

import http.client
import json
from contextlib import ExitStack, suppress
from typing import NamedTuple

import pytest
import structlog

from poller.listening import HttpTable
from poller.meter import Meter
from poller.web import Answered, Endpoint, Inside


@pytest.fixture(autouse=True)
def as_it_comes():
    """The log on standard output, however tests before this one have configured it."""
    structlog.reset_defaults()


TOKEN = "a-token-of-some-length-0123456789"


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Client:
    """Sends requests to an endpoint as they are meant, whatever is wrong with them."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.own = f"http://{endpoint.address.shown}"

    def __call__(self, path, method="GET", body=None, **headers):
        """One request; header names are written with ``_``, and None takes a header away."""
        connection = http.client.HTTPConnection(*self.endpoint.address, timeout=10)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.putrequest(method, path, skip_host="Host" in names)
            for name, value in names.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            reply = connection.getresponse()
            return Reply(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def until_it_ends(self, path="/healthz"):
        """Ask until nobody answers."""
        with suppress(OSError, http.client.HTTPException):
            while True:
                self(path)

    def sign_in(self, token=TOKEN, **headers):
        """As the page's own form does it."""
        return self("/sign-in", "POST", f"token={token}".encode(), **{"Origin": self.own} | headers)

    def session(self, token=TOKEN):
        """The headers of an action by who signed in."""
        cookie = self.sign_in(token).headers["Set-Cookie"].partition(";")[0]
        proof = self("/status.json", Cookie=cookie).json()["session"]["proof"]
        return {"Cookie": cookie, "X_Poller_Proof": proof, "Origin": self.own, "Sec_Fetch_Site": "same-origin"}


class Scripted:
    """What is inside: answers that a test sets, and operations that keep what they were asked."""

    def __init__(self):
        self.health = self.ready = ""
        self.slow = self.refused = None
        self.calls = []
        self.meter = Meter()
        self.found = {"count": 3, "found": True}
        self.asked = []
        self.status = {"attention": [], "sinks": [], "events": [], "now": "2026-01-01T00:00:00.000Z"}
        self.status["summary"] = {"states": {}}

    def inside(self):
        def operation(name):
            def carry_out(**arguments):
                self.calls.append((name, arguments))
                return self.found

            return carry_out

        def status(asked):
            self.asked.append(asked)
            if self.refused:
                raise self.refused
            return dict(self.status)

        return Inside(
            health=lambda: self.health,
            ready=lambda: self.slow() if self.slow else self.ready,
            status=status,
            metrics=lambda accept: Answered(b"# metrics\n", f"text/of {accept}"),
            operations={name: operation(name) for name in ("again", "decide", "release", "pause_sink", "pause_stream")},
            sinks=lambda: ["crm"],
            meter=self.meter,
        )


@pytest.fixture
def scripted():
    return Scripted()


@pytest.fixture
def serve(scripted, monkeypatch):
    """Serve what is inside by an ``[http]`` table, on a free port; a client of it."""
    monkeypatch.setenv("POLLER_TEST_HTTP", TOKEN)
    with ExitStack() as endpoints:

        def serve(*, token=False, **keys):
            keys = {"listen": "127.0.0.1:0"} | keys | ({"token": {"env": "POLLER_TEST_HTTP"}} if token else {})
            endpoint = Endpoint(HttpTable.model_validate(keys), scripted.inside())
            endpoints.callback(endpoint.close)
            return Client(endpoint)

        yield serve
