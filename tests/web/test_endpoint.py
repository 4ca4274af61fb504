"""The endpoint, asked over a socket: what it answers, and whom it refuses."""

import logging
import socket
import threading

import pytest
from process import eventually
from structlog.testing import capture_logs

from poller.listening import HttpTable
from poller.settings import SettingError
from poller.stores import StoreError
from poller.stores.opening import OpeningError
from poller.web import Asked, Endpoint, server
from poller.web.app import ROUTES
from poller.web.exchange import BODY_LIMIT

READABLE = [path for path, methods in ROUTES.items() if "GET" in methods]
WRITABLE = [path for path, methods in ROUTES.items() if "POST" in methods]


@pytest.fixture
def logs():
    with capture_logs() as lines:
        yield lines


@pytest.mark.parametrize("probe", ["healthz", "readyz"])
def test_a_probe_says_what_is_wrong(serve, scripted, probe):
    """With 200 while nothing is, and 503 else."""
    ask = serve()
    assert ask(f"/{probe}")[::2] == (200, b"ok\n")
    scripted.health = scripted.ready = "a loop stands still"
    assert ask(f"/{probe}")[::2] == (503, b"a loop stands still\n")


def test_the_receiver_is_no_matter_of_a_probe(serve, scripted):
    """Each probe asks its own question alone, and never for the state."""
    ask = serve()
    scripted.ready = "no database"
    assert [ask("/healthz").status, ask("/readyz").status] == [200, 503]
    assert scripted.asked == []


def test_the_state_is_shown_as_it_is_asked_for(serve, scripted):
    """With what the page has to know of who looks."""
    found = serve()("/status.json?search=Items&hours=1")
    assert found.headers["Content-Type"] == "application/json"
    assert found.json()["session"] == {"actions": False, "token": False, "signed_in": False, "proof": ""}
    assert scripted.asked == [Asked("Items", 1)]


@pytest.mark.parametrize("query", ["hours=2", "hours=", "hours=x", "hours=1e9"])
def test_only_the_ranges_that_are_offered_can_be_asked_for(serve, scripted, query):
    """Each costs what is known."""
    assert serve()(f"/status.json?{query}").status in (400, 200)
    assert {asked.hours for asked in scripted.asked} <= {24}


@pytest.mark.parametrize("path", ["/status.json", "/nothing"])
def test_a_query_of_very_many_fields_is_refused(serve, logs, path):
    """Whoever sends it is told, and not the log."""
    assert serve()(path + "?" + "&".join(["a=b"] * 50)).status == 400
    assert not [line for line in logs if "broken" in line["event"]]


@pytest.mark.parametrize("refused", [StoreError("the disk is gone"), OpeningError("the disk is gone")])
@pytest.mark.parametrize("path", ["/", "/status.json"])
def test_a_state_that_cannot_be_read_is_said_so(serve, scripted, logs, path, refused):
    """It is no defect of poller, and the next question may be answered."""
    scripted.refused = refused
    assert serve()(path)[::2] == (503, b"the disk is gone\n")
    assert not [line for line in logs if "broken" in line["event"]]


def test_a_form_of_very_many_fields_is_refused(serve, logs):
    """It is not that of the page."""
    ask = serve(token=True)
    assert ask("/sign-in", "POST", b"&".join([b"token=x"] * 50), Origin=ask.own).status == 400
    assert not [line for line in logs if "broken" in line["event"]]


def test_an_origin_that_is_none_is_foreign(serve, logs):
    """It cannot be read as an address."""
    ask = serve(token=True)
    assert ask("/sign-in", "POST", b"token=x", Origin="http://[").status == 403
    assert not [line for line in logs if "broken" in line["event"]]


@pytest.mark.parametrize("path", READABLE)
def test_every_answer_is_closed_to_other_pages(serve, path):
    """No script in the page, no frame around it, no reading from elsewhere, no copy kept."""
    headers = serve()(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "poller"
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", READABLE)
def test_head_is_get_without_the_body(serve, path):
    """The same length is told."""
    ask = serve()
    whole, head = ask(path), ask(path, "HEAD")
    assert (head.status, head.body) == (whole.status, b"")
    assert head.headers["Content-Length"] == whole.headers["Content-Length"] == str(len(whole.body))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/healthz"])
def test_what_is_shown_can_only_be_read(serve, path, method):
    """Others are told what there is."""
    found = serve()(path, method)
    assert (found.status, found.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", WRITABLE)
def test_an_action_is_no_link(serve, path):
    """Nothing is done by reading."""
    found = serve(actions=True, token=True)(path)
    assert (found.status, found.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/nothing", "/../config.toml", "/app.js/", "/page/index.html", "/%2e%2e/x"])
def test_there_is_nothing_but_the_routes(serve, path):
    """No path leads to a file."""
    assert serve()(path).status == 404


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example", "192.168.1.7", "[", "a@evil.example"],
)
def test_a_request_for_another_host_is_turned_away(serve, scripted, host):
    """A name that was made to lead here would let its pages read all."""
    ask = serve()
    for path in ("/status.json", "/", "/healthz"):
        assert ask(path, Host=host).status in (400, 421)
    assert scripted.asked == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost:9464", "LOCALHOST", "[::1]:1", "127.0.0.2", "poller.example.com", "Poller.Example.com:8"],
)
def test_the_names_of_the_endpoint_are_served(serve, host):
    """Loopback's, and those in the table; a proxy may have another port."""
    assert serve(hosts=["Poller.example.com"])("/healthz", Host=host).status == 200


def test_on_every_address_the_numbers_are_served(serve):
    """A number cannot be made to lead elsewhere."""
    ask = serve(listen="0.0.0.0:0")
    assert [ask("/healthz", Host=host).status for host in ("10.1.2.3:9464", "evil.example")] == [200, 421]


def test_too_large_a_request_is_refused(serve, scripted):
    """Its body and its head."""
    ask = serve(actions=True, token=True)
    assert ask("/sign-in", "POST", b"x" * (BODY_LIMIT + 1)).status == 413
    assert ask("/status.json", X_Long="x" * 20_000).status == 431
    assert scripted.asked == []


def test_a_defect_shows_nothing_of_itself(serve, scripted, capsys):
    """The log has it."""
    scripted.status = None
    found = serve()("/status.json")
    assert (found.status, found.text) == (500, "a defect in poller; its log says more\n")
    assert "http.broken" in capsys.readouterr().out
    assert [series for row, series in scripted.meter.counters() if row.name == "defects"] == [{("http",): 1}]


def test_fault_66_a_taken_port_is_said(serve):
    """Which address, and why."""
    taken = serve().endpoint.address.shown
    with pytest.raises(SettingError, match=rf"http.listen: {taken} cannot be listened on: Address already in use"):
        serve(listen=taken)


def test_what_is_closed_does_not_listen_and_can_be_opened_again(serve):
    """At the same address, at once, with connections open."""
    first = serve()
    idle = socket.create_connection(first.endpoint.address)
    assert first("/healthz").status == 200
    first.endpoint.close()
    first.endpoint.close()
    with pytest.raises(ConnectionRefusedError):
        first("/healthz")
    assert serve(listen=first.endpoint.address.shown)("/healthz").status == 200
    idle.close()


def test_its_threads_end_with_it(serve):
    """None is left behind."""
    before = threading.active_count()
    ask = serve()
    ask("/healthz")
    assert threading.active_count() > before
    ask.endpoint.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(("listen", "token", "warns"), [("0.0.0.0:0", False, True), ("0.0.0.0:0", True, False)])
def test_beyond_loopback_without_a_token_it_warns(serve, capsys, listen, token, warns):
    """Whoever reaches it can read."""
    serve(listen=listen, token=token)
    assert ("http.open" in capsys.readouterr().out) == warns


def test_a_short_token_is_refused(monkeypatch, scripted):
    """It could be guessed."""
    monkeypatch.setenv("SHORT", "x" * 15)
    table = HttpTable.model_validate({"listen": "127.0.0.1:0", "token": {"env": "SHORT"}})
    with pytest.raises(SettingError, match=r"http\.token: should have at least 16 characters"):
        Endpoint(table, scripted.inside())


def test_metrics_are_those_of_the_daemon(serve):
    """In the format that is asked for."""
    found = serve()("/metrics", Accept="prometheus")
    assert found[::2] == (200, b"# metrics\n")
    assert found.headers["Content-Type"] == "text/of prometheus"


def test_many_ask_at_once(serve):
    """More than it has threads."""
    ask, found = serve(), []
    threads = [threading.Thread(target=lambda: found.append(ask("/status.json").status)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 20
    assert logging.getLogger("waitress.queue").level == logging.ERROR


def test_it_closes_while_it_answers(serve, scripted):
    """Again and again, with others asking: nothing is written where another file may be by then."""
    for _ in range(30):
        ask = serve()
        askers = [threading.Thread(target=ask.until_it_ends) for _ in range(3)]
        for asker in askers:
            asker.start()
        assert ask("/status.json").status == 200
        ask.endpoint.close()
        for asker in askers:
            asker.join()


def test_a_slow_answer_does_not_hold_up_the_end_for_long(serve, scripted, monkeypatch):
    """It is dropped."""
    monkeypatch.setattr(server, "_CLOSE_S", 0.2)
    inside, goes_on = threading.Event(), threading.Event()

    def slow():
        inside.set()
        goes_on.wait(30)
        return ""

    scripted.slow = slow
    ask = serve()
    asker = threading.Thread(target=ask.until_it_ends, args=("/readyz",))
    asker.start()
    assert inside.wait(30)
    ask.endpoint.close()
    assert not goes_on.is_set()
    with pytest.raises(ConnectionRefusedError):
        ask("/healthz")
    goes_on.set()
    asker.join()
    eventually(lambda: not ask.endpoint._server.task_dispatcher.threads)
    ask.endpoint._server.trigger.close()
