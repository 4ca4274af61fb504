"""Events as HTTP requests: what is sent, and what becomes of each answer."""

import base64
import threading
import time

import pytest
from hook import ONE, SECRET
from receiver import Receiver, answer, bomb, close, cut, delay, endless, hang, redirect, reset
from standardwebhooks import WebhookVerificationError

from poller.model import Delivered, Gone, Later, Refused


def test_the_request_is_a_cloudevent(made):
    """Structured mode: the stored bytes, and the headers that say so."""
    with Receiver() as receiver:
        assert made(receiver).send([ONE]) == [Delivered()]
    [record] = receiver.records
    assert (record.method, record.target, record.body) == ("POST", "/hook", ONE.body)
    assert record.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert record.headers["user-agent"].startswith("poller/")
    assert record.headers["accept-encoding"] == "identity"
    assert abs(int(record.headers["webhook-timestamp"]) - time.time()) < 5
    assert (record.id, record.attempt) == ("evt_a", 1)
    assert "webhook-signature" not in record.headers


@pytest.mark.parametrize("secret", [SECRET, "whsec_c2hvcnQ="])
def test_the_signature_is_good(made, secret):
    """By the reference implementation; and with another secret it is not."""
    with Receiver() as receiver:
        made(receiver, secret={"env": "HOOK_SECRET"}, reveal=secret).send([ONE])
    [record] = receiver.records
    record.verify(secret)
    with pytest.raises(WebhookVerificationError):
        record.verify("whsec_" + base64.b64encode(b"another").decode())


def test_a_secret_may_be_plain_text(made):
    """Its bytes are the key."""
    with Receiver() as receiver:
        made(receiver, secret={"env": "HOOK_SECRET"}, reveal="plain text").send([ONE])
    receiver.records[0].verify(b"plain text")


def test_an_attempt_is_counted(made):
    """The header is ours, and tells the receiver how often it refused before."""
    with Receiver() as receiver:
        made(receiver).send([ONE._replace(attempts=4)])
    assert receiver.records[0].attempt == 5


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, Delivered), (202, Delivered), (500, Later), (410, Gone), (404, Refused), (422, Refused)],
)
def test_the_status_decides(made, status, kind):
    """By the table of ``retry.outcome``."""
    with Receiver(answer(status)) as receiver:
        [outcome] = made(receiver).send([ONE])
    assert isinstance(outcome, kind)


def test_a_busy_receiver_is_obeyed(made):
    """Its Retry-After is handed on."""
    with Receiver(answer(429, [("Retry-After", "7")])) as receiver:
        [outcome] = made(receiver).send([ONE])
    assert outcome == Later("status 429: too many requests", 7)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_fault_49_a_redirect_to_another_machine_is_not_followed(made, status):
    """Neither there, nor on this one; the event stays due, and the reason names the host and no more."""
    with Receiver() as other:
        for location, host in (("http://169.254.169.254/canary", "169.254.169.254"), (other.url, "127.0.0.1")):
            with Receiver(redirect(location, status)) as receiver:
                [outcome] = made(receiver).send([ONE])
            assert isinstance(outcome, Later)
            assert f"status {status}: redirected to {host}, which is not followed" in outcome.reason
            assert "canary" not in outcome.reason
    assert other.records == []


@pytest.mark.parametrize("rude", [hang, close, reset], ids=lambda rude: rude.__name__)
def test_fault_46_47_no_answer_is_for_later(made, rude):
    """The receiver may have it or not: it comes again with the same id."""
    with Receiver(rude()) as receiver:
        [outcome] = made(receiver, timeout="200ms").send([ONE])
    assert isinstance(outcome, Later)
    assert outcome.reason.startswith(f"http://127.0.0.1:{receiver.port}: ")
    assert "hook" not in outcome.reason


@pytest.mark.parametrize("sloppy", [cut(), endless(), bomb(1 << 20)], ids=["cut", "endless", "bomb"])
def test_fault_48_55_after_the_status_nothing_matters(made, sloppy):
    """A body that is cut, endless or a bomb: the receiver said yes."""
    with Receiver(sloppy) as receiver:
        assert made(receiver).send([ONE]) == [Delivered()]


@pytest.mark.parametrize("rude", [close, reset], ids=lambda rude: rude.__name__)
def test_a_stale_connection_is_replaced_at_once(made, rude):
    """A receiver that closed a kept connection is asked once more, on a new one."""
    with Receiver(answer(), rude()) as receiver:
        sink = made(receiver)
        assert sink.send([ONE]) + sink.send([ONE]) == [Delivered()] * 2
    assert [record.connection for record in receiver.records] == [1, 1, 2]
    assert len({(record.id, record.attempt, record.body) for record in receiver.records}) == 1


def test_a_stale_connection_is_replaced_once(made):
    """Then it is trouble of the receiver."""
    with Receiver(answer(), close(), close()) as receiver:
        sink = made(receiver)
        sink.send([ONE])
        assert isinstance(sink.send([ONE])[0], Later)
    assert len(receiver.records) == 3


def test_each_thread_has_its_connection(made):
    """Four requests at once do not wait for each other."""
    with Receiver(always=delay(0.1)) as receiver:
        sink = made(receiver)
        threads = [threading.Thread(target=sink.send, args=([ONE],)) for _ in range(sink.concurrency)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert time.monotonic() - began < 0.35
    assert sorted(record.connection for record in receiver.records) == [1, 2, 3, 4]


def test_close_abandons_what_is_under_way(made):
    """A receiver that hangs does not keep the process; the event stays due."""
    outcomes = []
    with Receiver(hang()) as receiver:
        sink = made(receiver)
        thread = threading.Thread(target=lambda: outcomes.extend(sink.send([ONE])))
        thread.start()
        while not receiver.records:
            time.sleep(0.01)
        began = time.monotonic()
        sink.close()
        thread.join()
    assert time.monotonic() - began < 0.4
    assert isinstance(outcomes[0], Later)
