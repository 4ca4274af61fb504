"""The HTTP client, against a scripted receiver on loopback."""

import gzip
import logging
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc

import pytest
from receiver import (
    Receiver,
    answer,
    bomb,
    close,
    cut,
    delay,
    dribble,
    dribble_head,
    endless,
    flood,
    gzipped,
    hang,
    hang_after_head,
    noise,
    redirect,
    reset,
)

from poller import connection, exchange, session
from poller.http import (
    Aborted,
    Client,
    ConnectFailed,
    Disconnected,
    HttpError,
    Link,
    Malformed,
    Stale,
    TimedOut,
    TooLarge,
    Unsendable,
    redact_url,
)


@pytest.fixture
def client():
    client = Client()
    yield client
    client.close()


def ask(client, receiver, **options):
    return client.request("GET", receiver.url, **{"deadline_s": 5, "max_bytes": 1000} | options)


def seconds(act, *args, **options):
    """How long a call takes that ends in an error, and the error."""
    began = time.monotonic()
    with pytest.raises(HttpError) as caught:
        act(*args, **options)
    return time.monotonic() - began, caught.value


def test_a_request_goes_out_as_told_and_its_answer_comes_back(client):
    """Method, headers and content one way; status, headers and body the other."""
    with Receiver(answer(201, [("X-Thing", "seen")], b"made")) as receiver:
        got = client.request(
            "POST", receiver.url, headers={"X-Mine": "1"}, content=b"data", deadline_s=5, max_bytes=1000
        )
    assert (got.status, got.headers["x-thing"], got.headers["X-THING"], got.body) == (201, "seen", "seen", b"made")
    assert 0 < got.elapsed_s < 5
    [record] = receiver.records
    assert (record.method, record.headers["x-mine"], record.body) == ("POST", "1", b"data")


def test_it_introduces_itself_and_asks_for_no_encoding(client):
    """Compression is for those who ask for it by a header."""
    with Receiver() as receiver:
        ask(client, receiver)
        ask(client, receiver, headers={"Accept-Encoding": "gzip"})
    first, second = (record.headers for record in receiver.records)
    assert first["user-agent"].startswith("poller/")
    assert first["accept-encoding"] == "identity"
    assert second["accept-encoding"] == "gzip"


def test_a_connection_is_kept(client):
    """Two requests, one connection."""
    with Receiver() as receiver:
        ask(client, receiver)
        ask(client, receiver)
    assert [record.connection for record in receiver.records] == [1, 1]


def test_cookies_are_not_kept(client):
    """A receiver cannot put a header into later requests."""
    with Receiver(answer(headers=[("Set-Cookie", "a=b; Path=/")])) as receiver:
        ask(client, receiver)
        ask(client, receiver)
    assert "cookie" not in receiver.records[1].headers


def test_redirects_are_not_followed(client):
    """A 302 is an answer like any other."""
    with Receiver(redirect("/elsewhere")) as receiver:
        assert ask(client, receiver).status == 302
    assert len(receiver.records) == 1


def test_a_redirect_to_nowhere_is_an_error_of_ours(client):
    """The Location is looked at even where it is not followed, but not shown."""
    with Receiver(redirect("http://host:secret/")) as receiver, pytest.raises(Malformed) as caught:
        ask(client, receiver)
    assert "secret" not in str(caught.value)


def test_the_environment_names_no_proxy(client, monkeypatch):
    """HTTP_PROXY is not looked at."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Receiver() as receiver:
        assert ask(client, receiver).status == 200


@pytest.mark.parametrize("slow", [hang, hang_after_head, dribble, dribble_head, flood], ids=lambda slow: slow.__name__)
def test_fault_33_one_deadline_holds_for_the_whole_request(client, slow):
    """A server that is silent, slow or long-winded has no more time than any other."""
    with Receiver(slow()) as receiver:
        took_s, error = seconds(ask, client, receiver, deadline_s=0.3)
    assert isinstance(error, TimedOut)
    assert str(error) == f"http://127.0.0.1:{receiver.port}: the deadline of 0.3 s passed"
    assert 0.25 < took_s < 0.6


def test_the_deadline_holds_for_the_resolver(client, monkeypatch):
    """The system's resolver may take half a minute; nobody waits for it."""
    monkeypatch.setattr(connection, "_resolve", lambda *_: time.sleep(1) or [])
    took_s, error = seconds(client.request, "GET", "http://slow.invalid", deadline_s=0.1, max_bytes=1)
    assert isinstance(error, TimedOut)
    assert took_s < 0.4


def test_the_deadline_holds_for_writing(client):
    """A server that takes no more bytes ends the request, too."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        large = bytes(64 << 20)
        _, error = seconds(client.request, "POST", url, content=large, deadline_s=0.3, max_bytes=1)
    assert isinstance(error, TimedOut)


def test_connecting_has_a_limit_of_its_own(client, monkeypatch):
    """An address that drops packets costs ``CONNECT_S``, however long the deadline is."""
    monkeypatch.setattr(connection, "CONNECT_S", 0.1)
    monkeypatch.setattr(exchange, "SLICE_S", 0.05)
    with socket.socket() as full:  # a listener whose queue is full does not answer
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.settimeout(0)
            sock.connect_ex(full.getsockname())
        took_s, error = seconds(
            client.request, "GET", f"http://127.0.0.1:{full.getsockname()[1]}/x", deadline_s=5, max_bytes=1
        )
        for sock in waiting:
            sock.close()
    assert isinstance(error, ConnectFailed)
    assert "no connection within 0.1 s" in str(error)
    assert took_s < 1


def test_the_next_address_is_tried(client, monkeypatch):
    """A host whose first address refuses is reached at its second."""
    with Receiver() as receiver:
        found = connection._resolve("127.0.0.1", receiver.port)
        dead = [(family, ("127.0.0.1", 1)) for family, _ in found]
        monkeypatch.setattr(connection, "_resolve", lambda *_: dead + found)
        assert ask(client, receiver).status == 200


@pytest.mark.parametrize("slow", [hang, hang_after_head, dribble], ids=lambda slow: slow.__name__)
def test_stop_ends_a_request_under_way(slow):
    """A blocked read ends within a quarter of a second."""
    stop = threading.Event()
    client = Client(stop)
    with Receiver(slow()) as receiver:
        threading.Timer(0.1, stop.set).start()
        took_s, error = seconds(ask, client, receiver)
        client.close()
    assert isinstance(error, Aborted)
    assert took_s < 0.1 + 0.3


def test_after_stop_no_request_begins():
    """Nothing is sent any more."""
    stop = threading.Event()
    stop.set()
    client = Client(stop)
    with Receiver() as receiver:
        _, error = seconds(ask, client, receiver)
    client.close()
    assert isinstance(error, Aborted)
    assert receiver.records == []


def test_a_body_at_the_cap_is_read(client):
    """``max_bytes`` is allowed."""
    with Receiver(answer(body=b"x" * 1000)) as receiver:
        assert len(ask(client, receiver, max_bytes=1000).body) == 1000


@pytest.mark.parametrize("large", [answer(body=b"x" * 1001), endless(), gzipped(b"x" * 1001)])
def test_a_body_over_the_cap_is_an_error(client, large):
    """Plain, endless or compressed: it is not read on."""
    with Receiver(large) as receiver:
        with pytest.raises(TooLarge, match="larger than 1000 bytes"):
            ask(client, receiver, max_bytes=1000)
        assert ask(client, receiver).status == 200
    assert [record.connection for record in receiver.records] == [1, 2]


def test_a_gzip_bomb_is_not_unpacked(client):
    """64 MiB in 64 KiB: the client's memory grows by a few steps of decoding only."""
    with Receiver(bomb(64 << 20)) as receiver:
        tracemalloc.start()
        try:
            with pytest.raises(TooLarge):
                ask(client, receiver, max_bytes=1 << 20)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 8 << 20


@pytest.mark.parametrize(
    ("trouble", "error"), [(endless(), TooLarge), (cut(body=bytes(9 << 20), of=10 << 20), HttpError)]
)
def test_an_error_that_is_kept_keeps_nothing_of_the_body(client, trouble, error):
    """Loops keep errors until they are told, and a traceback keeps what its functions held."""
    with Receiver(trouble) as receiver:
        tracemalloc.start()
        try:
            with pytest.raises(error) as kept:
                ask(client, receiver, max_bytes=16 << 20)
            held_bytes, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes > 8 << 20
    assert held_bytes < 2 << 20
    assert kept.value.__traceback__ is not None


def test_gzip_is_decoded(client):
    """Also where it unpacks in several steps."""
    body = bytes(range(256)) * 20_000
    with Receiver(gzipped(body), gzipped(b"")) as receiver:
        assert ask(client, receiver, max_bytes=len(body)).body == body
        assert ask(client, receiver).body == b""


def test_gzip_in_members_is_decoded(client):
    """RFC 1952 allows one after the other."""
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    with Receiver(answer(headers=[("Content-Encoding", "gzip")], body=body)) as receiver:
        assert ask(client, receiver).body == b"one two"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"x"), ("gzip", b"not gzip"), ("gzip", bytes.fromhex("1f8b0800000000000003"))],
)
def test_what_cannot_be_decoded_is_an_error(client, encoding, body):
    """An unknown encoding, damaged gzip, gzip cut short: half a body is no body."""
    encoded = answer(headers=[("Content-Encoding", encoding)], body=body)
    with Receiver(encoded) as receiver, pytest.raises(Malformed):
        ask(client, receiver)


def test_a_cut_body_is_an_error(client):
    """Fewer bytes than promised are not an answer."""
    with Receiver(cut()) as receiver, pytest.raises(Disconnected, match="in the middle of the answer"):
        ask(client, receiver)


def test_what_is_not_http_is_an_error(client):
    """Another protocol on that port."""
    with Receiver(noise()) as receiver, pytest.raises(Malformed, match="not proper HTTP"):
        ask(client, receiver)


@pytest.mark.parametrize("rude", [close, reset], ids=lambda rude: rude.__name__)
def test_a_new_connection_that_ends_is_an_error(client, rude):
    """It is not stale: nobody knows what the other side did."""
    with Receiver(rude()) as receiver, pytest.raises(Disconnected, match="without an answer") as caught:
        ask(client, receiver)
    assert not isinstance(caught.value, Stale)


@pytest.mark.parametrize("rude", [close, reset], ids=lambda rude: rude.__name__)
def test_a_kept_connection_that_ends_is_stale(client, rude):
    """The caller may ask again at once."""
    with Receiver(answer(), rude()) as receiver:
        ask(client, receiver)
        with pytest.raises(Stale):
            ask(client, receiver)


@pytest.mark.parametrize("rude", [close, reset, hang, cut, noise], ids=lambda rude: rude.__name__)
def test_what_was_sent_may_have_been_done(client, rude):
    """An error says whether any of its request left."""
    with Receiver(rude()) as receiver, pytest.raises(HttpError) as caught:
        ask(client, receiver, deadline_s=0.3)
    assert caught.value.sent


def test_what_was_not_sent_was_not_done(client):
    """No connection, a deadline that passes in the handshake, a stop, a URL that is none."""
    nobody = socket.create_server(("127.0.0.1", 0), backlog=1)  # it accepts, and never shakes hands
    url = f"https://127.0.0.1:{nobody.getsockname()[1]}/"
    stop = threading.Event()
    stop.set()
    stopped = Client(stop)
    for mine, wrong in [(client, "http://127.0.0.1:1/"), (client, url), (stopped, url), (client, "http://[")]:
        with pytest.raises(HttpError) as caught:
            mine.request("GET", wrong, deadline_s=0.3, max_bytes=10)
        assert not caught.value.sent
    stopped.close()
    nobody.close()


def test_each_request_is_told_apart(client):
    """That one was sent says nothing of the next."""
    with Receiver(answer(headers=[("Connection", "close")])) as receiver:
        ask(client, receiver)
    with pytest.raises(ConnectFailed) as caught:
        ask(client, receiver)
    assert not caught.value.sent


@pytest.mark.parametrize(
    "behaviour", [cut(503), hang_after_head(503), dribble(status=503), bomb(1 << 20)], ids=range(4)
)
def test_with_truncate_the_status_decides(client, behaviour, monkeypatch):
    """Whatever is wrong with the body, and however slowly it comes."""
    monkeypatch.setattr(session, "TAIL_S", 0.1)
    with Receiver(behaviour) as receiver:
        began = time.monotonic()
        assert ask(client, receiver, truncate=True).status in (200, 503)
    assert time.monotonic() - began < 0.5


def test_with_truncate_a_large_body_is_left_unread(client):
    """An endless answer costs ``max_bytes``, and its connection."""
    with Receiver(endless()) as receiver:
        assert len(ask(client, receiver, truncate=True, max_bytes=65536).body) == 65536
        ask(client, receiver)
    assert [record.connection for record in receiver.records] == [1, 2]


def test_with_truncate_a_small_body_keeps_the_connection(client):
    """It was read to its end."""
    with Receiver() as receiver:
        assert ask(client, receiver, truncate=True).body == b"ok"
        ask(client, receiver)
    assert [record.connection for record in receiver.records] == [1, 1]


def test_an_early_answer_is_read(client):
    """A receiver that refuses a large body, and closes before it has it all, is understood."""

    def refuse(wire):
        wire.head(413, ("Content-Length", 0), ("Connection", "close"))
        return False

    with Receiver(refuse) as receiver:
        assert ask(client, receiver, content=bytes(100)).status == 413


@pytest.mark.parametrize(
    ("url", "error", "cause"),
    [
        ("http://nosuch.invalid/secret?token=secret", ConnectFailed, "the name cannot be resolved"),
        ("http://a..b/secret", ConnectFailed, "the name is not valid"),
        ("http://127.0.0.1:1/secret?token=secret", ConnectFailed, "connection refused"),
        ("ftp://127.0.0.1/secret", Unsendable, "cannot carry"),
        ("http:///secret", Unsendable, "cannot carry"),
    ],
)
def test_fault_45_an_error_names_host_and_cause_and_no_more(client, url, error, cause):
    """The path and the query of a URL may be secrets."""
    with pytest.raises(error, match=cause) as caught:
        client.request("GET", url, deadline_s=5, max_bytes=1)
    assert "secret" not in str(caught.value)
    assert str(caught.value).startswith(redact_url(url))


@pytest.mark.parametrize("value", ["secret\nX: y", "secret\u4444"])
def test_a_header_that_cannot_be_sent_is_not_shown(client, value):
    """Neither in the message, nor in what it is chained to."""
    with Receiver() as receiver, pytest.raises(Unsendable) as caught:
        ask(client, receiver, headers={"Authorization": value})
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://user:secret@Hooks.example/secret?a=secret#secret", "https://hooks.example"),
        ("http://[::1]:8080/secret", "http://[::1]:8080"),
        ("http://host:secret/", "(not a URL)"),
        ("secret", "(not a URL)"),
        ("http://[secret/", "(not a URL)"),
    ],
)
def test_a_url_is_redacted_to_its_host(url, redacted):
    """Scheme, host and port; nothing else, whatever is wrong with the URL."""
    assert redact_url(url) == redacted


def test_httpx_does_not_log_urls(client, caplog):
    """It would at INFO."""
    caplog.set_level(logging.INFO)
    with Receiver() as receiver:
        ask(client, receiver)
    assert caplog.records == []


def test_requests_of_several_threads_wait_for_each_other(client):
    """A client that is shared by mistake is slow, not wrong."""
    with Receiver(delay(0.1), delay(0.1)) as receiver:
        threads = [threading.Thread(target=ask, args=(client, receiver)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [record.connection for record in receiver.records] == [1, 1]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, with its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    san = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", path.with_suffix(".crt")]
    subprocess.run([*command.split(), *san], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.fixture
def tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_certificate_is_verified(client, tls):
    """One that nobody vouches for is refused, and the message says so."""
    with Receiver(tls=tls) as receiver, pytest.raises(ConnectFailed, match="certificate is not accepted: self"):
        ask(client, receiver)
    assert receiver.records == []


def test_tls_is_spoken(certificate, tls):
    """Over a trusted certificate: large both ways, the connection kept, the deadline kept."""
    trusting = ssl.create_default_context(cafile=certificate.with_suffix(".crt"))
    client, large = Client(link=Link(tls=trusting)), bytes(1 << 20)
    with Receiver(answer(body=large), hang(), tls=tls) as receiver:
        assert ask(client, receiver, content=large, max_bytes=1 << 20).body == large
        with pytest.raises(TimedOut):
            ask(client, receiver, deadline_s=0.2)
        client.close()
    assert [len(record.body) for record in receiver.records] == [1 << 20, 0]
    assert [record.connection for record in receiver.records] == [1, 1]


def test_tls_to_a_port_that_speaks_plain_http_is_told(client):
    """The cause is TLS, not the network."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def rude():
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=rude)
        thread.start()
        with pytest.raises(ConnectFailed, match="TLS failed: wrong version number"):
            client.request("GET", f"https://127.0.0.1:{listener.getsockname()[1]}/", deadline_s=5, max_bytes=1)
        thread.join()


def test_a_handshake_that_hangs_meets_the_deadline(client):
    """A server that accepts and stays silent."""
    with Receiver() as receiver:
        url = receiver.url.replace("http:", "https:")
        took_s, error = seconds(client.request, "GET", url, deadline_s=0.2, max_bytes=1)
    assert isinstance(error, TimedOut)
    assert took_s < 0.5
