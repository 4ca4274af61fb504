"""The receiver to try things with."""

import http.client
import re
import signal
import threading
import time
from contextlib import closing

import pytest
from process import SECRET, Site, eventually

from poller import envelope
from poller.listen import TOLERANCE_S, server
from poller.model import Delivered, Delivery, Refused
from poller.sinks.webhook import Config

KEY = envelope.signing_key(SECRET)
ONE = Delivery("hook", 1, 1, "evt_a", "client.created", 0, 0, '{"id":"evt_a","name":"Žiga"}'.encode())


@pytest.fixture
def listening():
    """A receiver that verifies; what it showed."""
    shown = []
    with server(0, SECRET, shown.append) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.02,))
        thread.start()
        yield receiver.server_port, shown
        receiver.shutdown()
        thread.join()


def post(port, headers, body=ONE.body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def signed(age_s=0, key=KEY):
    sent_s = int(time.time()) - age_s
    return {
        "webhook-id": ONE.event_id,
        "webhook-timestamp": str(sent_s),
        "webhook-signature": envelope.sign(key, ONE.event_id, sent_s, ONE.body),
    }


def test_a_good_delivery_is_taken_and_shown(listening):
    """The event's own bytes, and a yes."""
    port, shown = listening
    assert post(port, signed()) == 204
    assert shown == [ONE.body.decode()]


@pytest.mark.parametrize("several", ["v1,xxxx {0}", "{0} v1a,yyyy"])
def test_one_good_signature_of_several_is_enough(listening, several):
    """While a secret is changed there are two."""
    port, _ = listening
    headers = signed()
    assert post(port, headers | {"webhook-signature": several.format(headers["webhook-signature"])}) == 204


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"webhook-signature": None}, "not signed"),
        ({"webhook-timestamp": None}, "not signed"),
        ({"webhook-timestamp": "soon"}, "not signed"),
        ({"webhook-timestamp": "9" * 5000}, "not signed"),
        ({"webhook-id": "evt_b"}, "not of this secret"),
        ({"webhook-signature": "v1,AAAA"}, "not of this secret"),
        ({"webhook-signature": "v1,\u00fc\u00fc"}, "not of this secret"),
        ({"age_s": TOLERANCE_S + 60}, "too old"),
        ({"age_s": -TOLERANCE_S - 60}, "too old"),
        ({"key": b"another"}, "not of this secret"),
    ],
)
def test_a_bad_delivery_is_refused(listening, change, reason):
    """401, and the reason is shown in place of the event."""
    port, shown = listening
    how = {name: change[name] for name in ("age_s", "key") if name in change}
    headers = signed(**how) if how else {name: value for name, value in (signed() | change).items() if value}
    assert post(port, headers) == 401
    assert [line for line in shown if reason in line and line.startswith("REFUSED")] == shown
    assert len(shown) == 1


def test_a_changed_body_is_refused(listening):
    """The signature is over the bytes."""
    port, _ = listening
    assert post(port, signed(), ONE.body.replace(b"evt_a", b"evt_b")) == 401


@pytest.mark.parametrize("length", ["", "-1", "1e3", "\u00b2", str(1 << 30)])
def test_a_delivery_without_a_sane_length_is_refused(listening, length):
    """And its connection closed, for nobody knows where the next request would begin."""
    port, shown = listening
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", length.encode("latin-1"))
    connection.endheaders(b"POST / HTTP/1.1\r\n\r\n")
    with closing(connection):
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("connection")) == (413, "close")
    assert shown == []


def headers_of(message):
    sent_s = int(time.time())
    return {
        "content-type": message.content_type,
        "webhook-id": message.id,
        "webhook-timestamp": str(sent_s),
        "webhook-signature": envelope.sign(KEY, message.id, sent_s, message.body),
    }


def test_each_event_of_a_batch_is_shown(listening):
    """On a line of its own, its own bytes; a signature that is not good is one for all."""
    port, shown = listening
    other = ONE._replace(event_id="evt_b", body=b'{"id":"evt_b","total":10.10}')
    message = envelope.array([ONE, other])
    assert post(port, headers_of(message), message.body) == 204
    assert shown == [ONE.body.decode(), other.body.decode()]
    assert post(port, headers_of(message), message.body.replace(b"10.10", b"10.1")) == 401
    assert shown[2:] == ["REFUSED: its signature is not of this secret"]


@pytest.mark.parametrize("body", [b"{}", b"[{}", b"", b"[" * 100_000], ids=["object", "cut", "empty", "deep"])
def test_what_is_no_batch_and_says_that_it_is_one_is_refused(listening, body):
    """With 400; the receiver lives on."""
    port, shown = listening
    message = envelope.array([ONE])._replace(body=body)
    assert post(port, headers_of(message), body) == 400
    assert shown == ["REFUSED: it is not an array of events"]
    assert post(port, signed()) == 204


def test_the_command_verifies_what_the_webhook_sink_sends(tmp_path, monkeypatch):
    """A real process at each end; it prints the event, refuses a wrong signature, and ends at a signal."""
    site = Site(tmp_path, "http://127.0.0.1:1")
    site.env["POLLER_LISTEN_SECRET"] = SECRET
    with site.start("listen", "--port", "0") as listener:
        listener.until(lambda: "Listening on" in listener.err)
        [url] = re.findall(r"http://127\.0\.0\.1:\d+/", listener.err)
        for secret, outcome in ((SECRET, Delivered), ("another", Refused)):
            monkeypatch.setenv("HOOK_SECRET", secret)
            sink = Config(kind="webhook", url=url, secret={"env": "HOOK_SECRET"}).sink()
            assert isinstance(sink.send([ONE])[0], outcome)
            sink.close()
        eventually(lambda: "REFUSED" in listener.out)
        assert listener.out.splitlines()[0] == ONE.body.decode()
        done = listener.stop(signal.SIGINT, 10)
    assert (done.code, len(done.err.splitlines())) == (0, 1)
    assert "signatures are verified" in done.err


def test_a_secret_that_is_none_is_told(tmp_path):
    """What follows whsec_ is base64."""
    done = Site(tmp_path, "http://127.0.0.1:1").run("listen", "--port", "0", "--secret", "whsec_!")
    assert done.code == 2
    assert "base64" in done.err
    assert "Traceback" not in done.err


def test_a_port_in_use_is_told(tmp_path, listening):
    """With the port, and what to do."""
    port, _ = listening
    done = Site(tmp_path, "http://127.0.0.1:1").run("listen", "--port", str(port))
    assert done.code == 1
    assert f"port {port}" in done.err
    assert "Traceback" not in done.err
