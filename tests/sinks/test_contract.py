"""What every kind of sink promises. A new kind is found by its name, and needs a row in ``SETUPS``."""

from contextlib import contextmanager

import pytest
from receiver import Receiver

from poller.model import Delivered, Delivery
from poller.sinks import SinkConfig, kinds

BATCH = [
    Delivery("it", 7, 1, "evt_a", "client.created", 0, 0, b'{"id":"evt_a","data":{"total":10.10}}'),
    Delivery("it", 8, 2, "evt_b", "client.updated", 2, 0, '{"id":"evt_b","data":{"name":"Žiga"}}'.encode()),
    Delivery("it", 9, 3, "evt_c", "client.deleted", 0, 0, b'{"id":"evt_c"}'),
]
BODIES = [delivery.body for delivery in BATCH]


@contextmanager
def stdout(request):
    capture = request.getfixturevalue("capsysbinary")

    def arrived():
        return capture.readouterr().out.splitlines()

    yield {}, arrived


@contextmanager
def file(request):
    path = request.getfixturevalue("tmp_path") / "events"
    yield {"path": str(path)}, lambda: path.read_bytes().splitlines()


@contextmanager
def webhook(request):
    with Receiver() as receiver:
        yield {"url": receiver.url}, lambda: [record.body for record in receiver.records]


SETUPS = {"stdout": stdout, "file": file, "webhook": webhook}


def test_every_kind_is_tested():
    """A kind without a row here would go untested."""
    assert set(kinds()) == set(SETUPS)


@pytest.fixture(params=sorted(kinds()))
def kind(request):
    return request.param


@pytest.fixture
def made(kind, request):
    """A sink of the kind, and what arrived behind it, as a function."""
    with SETUPS[kind](request) as (settings, arrived):
        sink = kinds()[kind].model_validate({"kind": kind, **settings}).sink()
        yield sink, arrived
        sink.close()


def test_a_kind_is_named_after_its_file(kind):
    """So that configuration finds it."""
    config = kinds()[kind]
    assert issubclass(config, SinkConfig)
    assert config.model_fields["kind"].annotation.__args__ == (kind,)


def test_a_batch_arrives_in_order_and_in_full(made):
    """One outcome for each delivery, and the bytes are those that were stored."""
    sink, arrived = made
    assert list(sink.send(BATCH)) == [Delivered()] * len(BATCH)
    assert arrived() == BODIES


def test_a_repeat_is_the_same_bytes(made):
    """At least once means that receivers compare."""
    sink, arrived = made
    sink.send(BATCH[:1])
    sink.send(BATCH[:1])
    assert arrived() == BODIES[:1] * 2


def test_outcomes_stand_beside_their_deliveries(made):
    """As many as were sent, also for one and for none."""
    sink, _ = made
    assert [len(sink.send(BATCH[:count])) for count in range(4)] == [0, 1, 2, 3]


def test_close_can_be_called_again(made):
    """And before anything was sent."""
    sink, _ = made
    sink.close()
    sink.close()


def test_limits_are_sensible(made):
    """At least one at a time; at most as many connections as a client keeps."""
    sink, _ = made
    assert 1 <= sink.concurrency <= 16
    assert 1 <= sink.batch_size <= 1000
