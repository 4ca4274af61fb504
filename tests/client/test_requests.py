"""What the HTTP client sends and gives back, one request at a time, and what its errors and logs keep to themselves."""

import logging
import threading

import pytest
from asks import ask
from receiver import Receiver, answer, delay, redirect

from poller.http import ConnectFailed, Unsendable, redact_url


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


def test_a_redirect_to_nowhere_is_an_answer_like_another(client):
    """The Location is not followed, so nobody looks at it."""
    with Receiver(redirect("http://host:secret/")) as receiver:
        assert ask(client, receiver).status == 302


def test_the_environment_names_no_proxy(client, monkeypatch):
    """HTTP_PROXY is not looked at."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Receiver() as receiver:
        assert ask(client, receiver).status == 200


def test_each_request_is_told_apart(client):
    """That one was sent says nothing of the next."""
    with Receiver(answer(headers=[("Connection", "close")])) as receiver:
        ask(client, receiver)
    with pytest.raises(ConnectFailed) as caught:
        ask(client, receiver)
    assert not caught.value.sent


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
