"""Several events in one request."""

import base64
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hook import SECRET
from receiver import Receiver, answer, delay, hang, judge
from standardwebhooks import WebhookVerificationError

from poller import signing
from poller.model import Delivered, Delivery, Gone, Later, Refused
from poller.plan import Order
from poller.sinks.webhook import Config


def one(number, **other):
    body = f'{{"id":"evt_{number}","name":"Žiga","total":10.10}}'.encode()
    return Delivery("hook", number, number, f"evt_{number}", "client.created", 0, 0, body)._replace(**other)


BATCH = [one(number) for number in range(3)]
HUNDRED = [one(number) for number in range(100)]


@pytest.fixture
def made(monkeypatch):
    """Make sinks of batches that are closed at the end."""
    sinks = []

    def make(receiver, *, reveal="", **options):
        monkeypatch.setenv("HOOK_SECRET", reveal)
        secret = {"secret": {"env": "HOOK_SECRET"}} if reveal else {}
        settings = {"kind": "webhook", "url": receiver.url, "batch": {}} | secret | options
        sinks.append(Config.model_validate(settings).sink())
        return sinks[-1]

    yield make
    for sink in sinks:
        sink.close()


def names(record):
    return [event["id"] for event in record.events]


def refusing(*bad, status=400):
    """A receiver that refuses whatever holds one of these."""
    bad = {f"evt_{number}" for number in bad}
    return Receiver(always=judge(lambda record: status if bad & set(names(record)) else 200))


# The request


def test_the_request_is_a_cloudevents_batch(made):
    """An array of the stored bytes, under one id and one attempt."""
    with Receiver() as receiver:
        assert made(receiver).send(BATCH) == [Delivered()] * 3
    [record] = receiver.records
    assert record.body == b"[" + b",".join(delivery.body for delivery in BATCH) + b"]"
    assert record.headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    assert record.id.startswith("batch_")
    assert record.attempt == 1
    assert "webhook-signature" not in record.headers


def test_one_event_is_a_batch_too(made):
    """So that a receiver need know one form only; what came before is counted."""
    with Receiver() as receiver:
        made(receiver).send([one(1, attempts=4)])
    [record] = receiver.records
    assert record.body == b"[" + one(1).body + b"]"
    assert record.attempt == 5


def test_the_same_batch_has_the_same_id(made):
    """And another has another."""
    with Receiver(answer(500)) as receiver:
        sink = made(receiver)
        for batch in (BATCH, BATCH, BATCH[:2], BATCH[::-1]):
            sink.send(batch)
    first, again, *others = [record.id for record in receiver.records]
    assert first == again
    assert len({first, *others}) == 3


@pytest.mark.parametrize(("secret", "key"), [(SECRET, SECRET), ("plain text", b"plain text")])
def test_the_signature_is_good(made, secret, key):
    """Over the whole batch, by the reference implementation."""
    with Receiver() as receiver:
        made(receiver, reveal=secret).send(BATCH)
    [record] = receiver.records
    record.verify(key)
    with pytest.raises(WebhookVerificationError):
        record._replace(body=record.body.replace(b"10.10", b"10.1", 1)).verify(key)


def test_the_signature_of_an_ed25519_secret_is_good(made):
    """Over the same message, by the public key."""
    secret, public = signing.new_pair()
    with Receiver() as receiver:
        made(receiver, reveal=secret).send(BATCH)
    [record] = receiver.records
    version, _, given = record.headers["webhook-signature"].partition(",")
    assert version == "v1a"
    message = f"{record.id}.{record.headers['webhook-timestamp']}.".encode() + record.body
    verifier = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    verifier.verify(base64.b64decode(given), message)


def test_every_part_of_a_split_batch_is_signed_by_itself(made):
    """Under an id of its own."""
    with refusing(1) as receiver:
        made(receiver, reveal=SECRET).send(BATCH)
    for record in receiver.records:
        record.verify(SECRET)
    assert len({record.id for record in receiver.records}) == len(receiver.records) > 1


# What is refused


@pytest.mark.parametrize("status", [400, 404, 413, 422])
@pytest.mark.parametrize("bad", [0, 37, 99])
def test_one_bad_event_is_found_among_a_hundred(made, bad, status):
    """The others arrive, each once; it is refused alone."""
    with refusing(bad, status=status) as receiver:
        outcomes = made(receiver).send(HUNDRED)
    assert isinstance(outcomes.pop(bad), Refused)
    assert outcomes == [Delivered()] * 99
    assert len(receiver.records) <= 1 + 2 * 7
    refused = [record for record in receiver.records if f"evt_{bad}" in names(record)]
    assert names(refused[-1]) == [f"evt_{bad}"]
    taken = [name for record in receiver.records for name in names(record) if record not in refused]
    assert taken == [f"evt_{number}" for number in range(100) if number != bad]


def test_a_receiver_takes_as_much_as_it_can(made):
    """What is too large for it comes in halves."""
    with Receiver(always=judge(lambda record: 413 if len(record.body) > 1500 else 200)) as receiver:
        assert made(receiver).send(HUNDRED) == [Delivered()] * 100
    assert len(receiver.records) <= 15


@pytest.mark.parametrize(("trouble", "kind"), [(answer(503), Later), (answer(302), Later), (answer(410), Gone)])
def test_trouble_in_the_middle_is_for_all_that_is_left(made, trouble, kind):
    """Nothing more is asked; what was taken stays so."""
    with Receiver(answer(400), answer(), trouble) as receiver:
        outcomes = made(receiver).send(HUNDRED)
    assert outcomes[:50] == [Delivered()] * 50
    assert {type(outcome) for outcome in outcomes[50:]} == {kind}
    assert [len(names(record)) for record in receiver.records[:2]] == [100, 50]
    assert set(map(len, map(names, receiver.records[2:]))) == {50}


def test_a_slow_receiver_is_not_asked_for_ever(made):
    """Splitting ends after ``timeout``, and what is left is for later: nobody pays for it."""
    with Receiver(always=delay(0.6, answer(400))) as receiver:
        outcomes = made(receiver, timeout="1s").send(HUNDRED)
    assert {type(outcome) for outcome in outcomes} == {Later}
    assert len(receiver.records) <= 2


def test_close_ends_the_splitting(made):
    """The rest stays due."""
    outcomes = []
    with Receiver(answer(400), answer(), answer(400), hang()) as receiver:
        sink = made(receiver)
        thread = threading.Thread(target=lambda: outcomes.extend(sink.send(HUNDRED)))
        thread.start()
        while len(receiver.records) < 4:
            time.sleep(0.01)
        sink.close()
        thread.join(5)
        assert len(receiver.records) == 4
    assert outcomes[:50] == [Delivered()] * 50
    assert {type(outcome) for outcome in outcomes[50:]} == {Later}


# The settings


def test_batches_are_asked_for(made):
    """A hundred and a second are the defaults of the table; without it each event goes alone, at once."""
    with Receiver() as receiver:
        sinks = [made(receiver, **options) for options in ({}, {"batch": {"max": 7, "wait": "3s"}}, {"batch": None})]
    assert [(sink.batch_size, sink.batch_wait_s) for sink in sinks] == [(100, 1.0), (7, 3.0), (1, 0.0)]


@pytest.mark.parametrize("order", [Order.RECORD, Order.STREAM, Order.NONE])
def test_batches_go_with_any_order_but_that_of_the_whole_sink(made, order):
    """There a batch would always be of one."""
    with Receiver() as receiver:
        assert made(receiver, order=order).batch_size == 100
        with pytest.raises(ValueError, match="then events go one by one"):
            made(receiver, order=Order.SINK)
