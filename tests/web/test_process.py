"""The endpoint of the real process."""

import http.client
import json
import signal
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from process import Site, only

from poller.simulator.server import Simulator

HTTP_TOKEN = "a-token-of-some-length-0123456789"
ACTING = '[http]\nlisten = "127.0.0.1:0"\nactions = true\ntoken = { env = "POLLER_HTTP_TOKEN" }\n'


@pytest.fixture
def site(account, tmp_path):
    """A configuration with an endpoint that may act."""
    with Simulator(account) as api:
        site = Site(tmp_path, api.url, only("clients") + ACTING)
        site.env["POLLER_HTTP_TOKEN"] = HTTP_TOKEN
        yield site


def ask(poller, path, method="GET", body=None):
    """One request; status and body."""
    address = poller.log("http.listening")[0]["address"]
    with closing(http.client.HTTPConnection(urlsplit(f"//{address}").netloc, timeout=10)) as connection:
        connection.request(method, path, body, {"Authorization": f"Bearer {HTTP_TOKEN}"})
        reply = connection.getresponse()
        return reply.status, reply.read()


def test_the_endpoint_shows_what_happens(site, account):
    """From the start to the end of the process, which is not held up by it."""
    org = account.organizations[0]
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        assert ask(poller, "/healthz") == ask(poller, "/readyz") == (200, b"ok\n")
        account.create(org, "clients", {"name": "Ana"})
        poller.until(lambda: b'"name":"Ana"' in ask(poller, "/status.json")[1])
        found = json.loads(ask(poller, "/status.json")[1])
        assert [row["state"] for row in found["streams"]] == ["following"]
        assert sum(found["history"]["events"]["created"]) == 1
        assert found["attention"] == []
        done = poller.stop()
    assert (done.code, HTTP_TOKEN in done.err) == (0, False)


def test_an_action_reaches_the_stream(site, account):
    """It is paused, and polled at once when it goes on."""
    name = json.dumps({"name": f"{account.organizations[0]}/clients"})
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        assert ask(poller, "/actions/pause", "POST", name)[0] == 200
        found = json.loads(ask(poller, "/status.json")[1])
        assert [row["state"] for row in found["streams"]] == ["paused"]
        assert ask(poller, "/actions/resume", "POST", name)[0] == 200
        assert site.status()["streams"][0]["state"] == "following"


def test_fault_66_a_taken_port_ends_the_start(site):
    """With the exit code of a wrong configuration, and the state left as it should be."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.config.write_text(site.config.read_text().replace('127.0.0.1:0"', f'127.0.0.1:{port}"'))
        done = site.run()
    assert done.code == 78
    assert f"poller: http.listen: 127.0.0.1:{port} cannot be listened on: Address already in use" in done.err
    assert json.loads(site.database.with_name("poller.db.lock").read_text())["clean"]


def test_a_token_that_is_missing_is_said_before_the_start(site):
    """As every secret's is."""
    del site.env["POLLER_HTTP_TOKEN"]
    done = site.run()
    assert (done.code, "http.token: the environment variable POLLER_HTTP_TOKEN is not set" in done.err) == (78, True)


def test_a_reload_takes_the_endpoint_along(site):
    """To another port; but not to one that is taken, which leaves all as it was and is shown."""
    with site.start() as poller, socket.create_server(("127.0.0.1", 0)) as taken:
        poller.up()
        text, port = site.config.read_text(), taken.getsockname()[1]
        site.config.write_text(text.replace('127.0.0.1:0"', f'127.0.0.1:{port}"'))
        poller.signal(signal.SIGHUP)
        poller.until(lambda: poller.log("configuration.refused"))
        found = json.loads(ask(poller, "/status.json")[1])
        assert found["attention"][0]["what"] == "The new configuration was refused"
        assert f"127.0.0.1:{port} cannot be listened on" in found["attention"][0]["text"]
        taken.close()
        poller.signal(signal.SIGHUP)
        poller.until(lambda: poller.log("configuration.reloaded"))
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b"ok\n"
        with pytest.raises(ConnectionRefusedError):
            ask(poller, "/healthz")
        assert poller.stop().code == 0


def test_metrics_are_told(site):
    """Those of the daemon."""
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        assert b"poller_build_info{" in ask(poller, "/metrics")[1]
