"""Connections of the HTTP client that end, are kept, or speak TLS; whether what was asked may have been done."""

import socket
import ssl
import subprocess
import threading

import pytest
from asks import ask
from receiver import Receiver, answer, close, cut, hang, noise, raw, reset

from poller.http import Client, ConnectFailed, Disconnected, HttpError, Link, Malformed, Stale, TimedOut


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


@pytest.mark.parametrize(
    "excess",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2,
    ],
    ids=["a 204 with a body", "a line too many", "a blank line too many", "two answers"],
)
@pytest.mark.parametrize("truncate", [False, True])
def test_what_came_behind_an_answer_is_no_answer(client, excess, truncate):
    """To the next request: it was said before that was asked, so that one goes over another connection."""
    with Receiver(raw(excess), answer(503)) as receiver:
        assert ask(client, receiver, truncate=truncate).status in (200, 204)
        assert ask(client, receiver, truncate=truncate).status == 503
    assert [record.connection for record in receiver.records] == [1, 2]


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
