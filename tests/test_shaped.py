"""Sinks that get what a route makes of an event."""

import pytest

from poller.model import Delivered, Delivery, Kind, Later, Refused
from poller.samples import sample
from poller.shape import define
from poller.shaped import Shaped, Shapes
from poller.sources.spaceinvoices import RESOURCES

EVENT = sample("spaceinvoices", RESOURCES["clients"], Kind.CREATED)
ONE = Delivery("crm", 1, 1, EVENT.id, EVENT.trigger, 0, 0, EVENT.body)
GOOD = define({"route": "big", "body": {"id": "${data.id}"}})
BAD = define({"route": "big", "body": {"id": "${lower(data.nothing)}"}})


class Sink:
    concurrency, batch_size, batch_wait_s, careful = 3, 7, 0.5, False

    def __init__(self):
        self.sent, self.closed = [], False

    def send(self, batch):
        self.sent.append([delivery.body for delivery in batch])
        return [Later("full") if b"specversion" in delivery.body else Delivered() for delivery in batch]

    def close(self):
        self.closed = True


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def shaped(sink):
    return Shaped(sink, Shapes({shape.digest: shape for shape in (GOOD, BAD)}, {"old": GOOD.text}.get))


def test_it_is_as_the_sink_that_it_is_around(shaped, sink):
    """And closes it."""
    for name in ("concurrency", "batch_size", "batch_wait_s", "careful"):
        assert getattr(shaped, name) == getattr(sink, name)
    shaped.close()
    assert sink.closed


def test_each_delivery_has_the_outcome_of_its_own(shaped, sink):
    """What cannot be made is refused for good, and not sent: its receiver has nothing to do with it."""
    batch = [ONE, ONE._replace(shape=BAD.digest), ONE._replace(shape=GOOD.digest)]
    outcomes = shaped.send(batch)
    assert [type(outcome) for outcome in outcomes] == [Later, Refused, Delivered]
    assert (outcomes[1].final, outcomes[1].unsent) == (True, True)
    assert "lower(data.nothing)" in outcomes[1].reason
    assert sink.sent == [[EVENT.body, b'{"id":"67a0b1c2e4f5a60013b7d001"}']]


def test_a_sink_is_not_asked_for_nothing(shaped, sink):
    """Where nothing can be made."""
    [outcome] = shaped.send([ONE._replace(shape=BAD.digest)])
    assert isinstance(outcome, Refused)
    assert sink.sent == []


def test_an_older_definition_is_that_of_the_state(shaped, sink):
    """Whatever the configuration says by now."""
    assert shaped.send([ONE._replace(shape="old")]) == [Delivered()]
    assert sink.sent == [[b'{"id":"67a0b1c2e4f5a60013b7d001"}']]


def test_a_definition_that_is_nowhere_parks_the_delivery(shaped):
    """By its digest."""
    assert shaped.send([ONE._replace(shape="new")]) == [
        Refused("the definition new of its route is not in the state", final=True, unsent=True)
    ]


def test_a_definition_of_an_older_language_parks_the_delivery(sink):
    """A function that went away, say."""
    text = GOOD.text.replace("data.id", "gone(data.id)")
    shaped = Shaped(sink, Shapes({}, {"old": text}.get))
    [outcome] = shaped.send([ONE._replace(shape="old")])
    assert 'unknown function "gone"' in outcome.reason
