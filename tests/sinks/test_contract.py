"""What every kind of sink promises. A new kind is found by its name, and needs a row in ``SETUPS``."""

from contextlib import contextmanager

import msgspec
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


@contextmanager
def batches(request):
    def arrived():
        arrays = [msgspec.json.decode(record.body, type=list[msgspec.Raw]) for record in receiver.records]
        return [bytes(event) for array in arrays for event in array]

    with Receiver() as receiver:
        yield {"url": receiver.url, "batch": {"max": 3}}, arrived


SETUPS = {"stdout": stdout, "file": file, "webhook": webhook, "webhook in batches": batches}


def test_every_kind_is_tested():
    """A kind without a row here would go untested."""
    assert set(kinds()) == {name.split()[0] for name in SETUPS}


@pytest.fixture(params=SETUPS)
def made(request):
    """A sink of the kind, and what arrived behind it, as a function."""
    kind = request.param.split()[0]
    with SETUPS[request.param](request) as (settings, arrived):
        sink = kinds()[kind].model_validate({"kind": kind, **settings}).sink()
        yield sink, arrived
        sink.close()


@pytest.mark.parametrize("kind", sorted(kinds()))
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
    assert 0 <= sink.batch_wait_s <= 3600
