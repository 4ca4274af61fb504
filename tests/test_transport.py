"""The way to a server through a proxy."""

import socket
import ssl
import time

import pytest
import trustme
from proxy import Proxy
from receiver import Receiver, answer, close, dribble_head, hang, raw

from poller import connection, http
from poller.http import Client, ConnectFailed, Disconnected, HttpError, Link, Stale, TimedOut

ca = trustme.CA(key_type=trustme.KeyType.ECDSA)


def server(*hosts):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*hosts).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusting():
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def through(trusting):
    """Clients through a proxy."""
    clients = []

    def make(proxy, *, allow_private=False, **options):
        way = http.Proxy(getattr(proxy, "url", proxy), tls=trusting, **options)
        clients.append(Client(link=Link(allow_private=allow_private, tls=trusting, proxy=way)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture(params=["http", "https"])
def proxy_tls(request):
    return server("127.0.0.1") if request.param == "https" else None


def ask(client, url, **options):
    return client.request("POST", url, **{"content": b"event", "deadline_s": 5, "max_bytes": 1 << 21} | options)


def test_https_goes_through_a_tunnel(through, proxy_tls):
    """The proxy sees the name and the port; the certificate is the server's own; the tunnel is kept."""
    large = bytes(1 << 20)
    with Proxy(tls=proxy_tls) as proxy, Receiver(always=answer(body=large), tls=server("hooks.test")) as receiver:
        client, url = through(proxy), f"https://hooks.test:{receiver.port}/hook?key=secret"
        for _ in range(2):
            assert ask(client, url, content=large).body == large
    assert proxy.asked == [f"CONNECT hooks.test:{receiver.port} HTTP/1.1"]
    assert "secret" not in str(proxy.headers)
    assert [(record.connection, record.target, len(record.body)) for record in receiver.records] == [
        (1, "/hook?key=secret", 1 << 20)
    ] * 2


def test_plain_http_is_forwarded(through, proxy_tls):
    """With the whole URL in the request line, as RFC 9112 (3.2.2) has it."""
    with Proxy(tls=proxy_tls) as proxy, Receiver() as receiver:
        assert ask(through(proxy), f"http://hooks.test:{receiver.port}/hook").body == b"ok"
    assert proxy.asked == [f"POST http://hooks.test:{receiver.port}/hook HTTP/1.1"]
    assert receiver.records[0].headers["host"] == f"hooks.test:{receiver.port}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_told_user_and_password(through, scheme):
    """Only the proxy."""
    tls = server("127.0.0.1") if scheme == "https" else None
    with Proxy(password="pa:ss") as proxy, Receiver(tls=tls) as receiver:
        assert ask(through(proxy, user="poller", password="pa:ss"), receiver.url).status == 200
    assert "proxy-authorization" not in receiver.records[0].headers


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_another_password_is_told_as_such(through, scheme):
    """It is no answer of the receiver, to which no event would be to blame."""
    with Proxy(password="right") as proxy:
        client = through(proxy, user="poller", password="wrong")
        for _ in range(2):
            with pytest.raises(ConnectFailed) as caught:
                ask(client, f"{scheme}://hooks.test/secret")
            assert str(caught.value) == (
                f"{scheme}://hooks.test: the proxy {proxy.url}: status 407: it wants another user or password"
            )


@pytest.mark.parametrize("status", [403, 502, 999])
def test_a_proxy_that_does_not_connect_is_told(through, status):
    """By its status; what it says is not repeated."""
    with Proxy(status=status) as proxy, pytest.raises(ConnectFailed) as caught:
        ask(through(proxy), "https://hooks.test/secret")
    assert str(caught.value) == f"https://hooks.test: the proxy {proxy.url}: status {status}: it does not connect"


def test_the_certificate_of_a_proxy_is_verified(through):
    """Of another host: the message says whose it is."""
    with Proxy(tls=server("other.test")) as proxy, pytest.raises(ConnectFailed) as caught:
        ask(through(proxy), "https://hooks.test/")
    assert f"the proxy {proxy.url}: its certificate is not accepted" in str(caught.value)
    assert proxy.asked == []


def test_the_certificate_behind_a_proxy_is_verified(through, proxy_tls):
    """As without a proxy; and many failures in a row block nothing."""
    with Proxy(tls=proxy_tls) as proxy, Receiver(tls=server("other.test")) as receiver:
        client = through(proxy)
        for _ in range(12):
            with pytest.raises(ConnectFailed) as caught:
                ask(client, f"https://hooks.test:{receiver.port}/")
            assert str(caught.value).startswith(f"https://hooks.test:{receiver.port}: its certificate is not accepted")
    assert receiver.records == []


def test_the_guard_is_about_the_address_of_the_proxy(through, monkeypatch):
    """The target's name is never looked up here."""
    asked = []
    addresses = {"proxy.test": "10.0.0.1", "evil.test": "169.254.169.254"}

    def resolve(host, port):
        asked.append(host)
        return [(socket.AF_INET, (addresses[host], port))]

    monkeypatch.setattr(connection, "_resolve", resolve)
    with pytest.raises(ConnectFailed, match=r"the proxy http://proxy\.test:3128: 10\.0\.0\.1 is a private address"):
        ask(through("http://proxy.test:3128"), "https://hooks.test/")
    with pytest.raises(ConnectFailed, match="never connected to"):
        ask(through("http://evil.test:3128", allow_private=True), "https://hooks.test/")
    assert asked == ["proxy.test", "evil.test"]


def test_a_proxy_on_this_machine_needs_no_permission(through):
    """It is written as loopback."""
    with Proxy() as proxy, Receiver() as receiver:
        assert ask(through(proxy), receiver.url).status == 200


@pytest.mark.parametrize("slow", [hang, dribble_head], ids=lambda slow: slow.__name__)
def test_the_deadline_holds_for_a_proxy(through, slow):
    """That does not answer, and for a server behind one."""
    with Receiver(slow()) as deaf:
        began = time.monotonic()
        with pytest.raises(TimedOut):
            ask(through(deaf.url.removesuffix("/hook")), "https://hooks.test/", deadline_s=0.3)
    with Proxy() as proxy, Receiver(slow(), tls=server("127.0.0.1")) as receiver, pytest.raises(TimedOut):
        ask(through(proxy), receiver.url, deadline_s=0.3)
    assert time.monotonic() - began < 1.2


def test_a_handshake_behind_a_proxy_meets_the_deadline(through, proxy_tls):
    """A server that accepts and stays silent."""
    with Proxy(tls=proxy_tls) as proxy, socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(TimedOut):
            ask(through(proxy), url, deadline_s=0.3)


def test_fault_45_a_proxy_that_is_not_there_is_told(through):
    """As the proxy."""
    with pytest.raises(
        ConnectFailed, match=r"^https://hooks\.test: the proxy http://127\.0\.0\.1:1: connection refused"
    ):
        ask(through("http://127.0.0.1:1"), "https://hooks.test/")


def test_a_connection_that_ends_behind_a_proxy(through, proxy_tls):
    """A new one is an error; a kept one is stale, or at least not taken for an answer."""
    with Proxy(tls=proxy_tls) as proxy, Receiver(close(), answer(), close(), tls=server("127.0.0.1")) as receiver:
        client = through(proxy)
        with pytest.raises(Disconnected, match="without an answer") as caught:
            ask(client, receiver.url)
        assert not isinstance(caught.value, Stale)
        assert ask(client, receiver.url).status == 200
        with pytest.raises(Stale):
            ask(client, receiver.url)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_came_behind_an_answer_is_no_answer(through, proxy_tls, scheme):
    """To the next request, which goes over another connection."""
    tls = server("127.0.0.1") if scheme == "https" else None
    two = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2)
    with Proxy(tls=proxy_tls) as proxy, Receiver(two, answer(503), tls=tls) as receiver:
        client = through(proxy)
        assert [ask(client, receiver.url).status for _ in range(2)] == [200, 503]
    assert [record.connection for record in receiver.records] == [1, 2]


def test_what_came_along_with_an_answer_is_no_answer(through, proxy_tls):
    """In one packet, but in a record of TLS of its own, which nobody has read yet."""

    def two(wire):
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for _ in range(2):
            wire.head(200, ("Content-Length", 0))
        wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        return True

    with Proxy(tls=proxy_tls) as proxy, Receiver(two, answer(503), tls=server("127.0.0.1")) as receiver:
        client = through(proxy)
        assert [ask(client, receiver.url).status for _ in range(2)] == [200, 503]


def test_what_is_said_to_a_proxy_is_no_request(through, proxy_tls):
    """A tunnel that is refused, or ends in nothing, has carried none of it."""
    with Proxy(tls=proxy_tls, status=503) as proxy, pytest.raises(ConnectFailed) as refused:
        ask(through(proxy), "https://hooks.test/")
    assert not refused.value.sent
    rude = Receiver(close(), tls=server("127.0.0.1"))
    with Proxy(tls=proxy_tls) as proxy, rude as receiver, pytest.raises(Disconnected) as lost:
        ask(through(proxy), receiver.url)
    assert lost.value.sent


@pytest.mark.parametrize("junk", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nnot TLS"])
def test_what_is_no_proxy_is_an_error(through, junk):
    """Another protocol, or noise in the tunnel."""

    def act(wire):
        wire.sock.sendall(junk)
        return False

    with Receiver(act) as rude, pytest.raises(HttpError):
        ask(through(rude.url.removesuffix("/hook")), "https://hooks.test/")


def test_a_password_is_not_printed():
    """Nor is it in an error."""
    assert "pa55" not in repr(Link(proxy=http.Proxy("http://proxy.test", "poller", "pa55")))
