"""Deliveries through a route of their own: one by one, and through it once more after they were parked."""

import json
import sqlite3
from contextlib import closing

import pytest
from routed import ROUTED, rows
from sqlite_utils import Database

from poller.model import Stream
from poller.plan import Order, Target
from poller.route import lane
from poller.stores import Progress, Settlement, Step
from poller.stores.schema import migrations
from poller.stores.selection import Selection
from poller.stores.version import APPLICATION_ID


def test_an_event_goes_through_several_routes_to_one_sink(store, show, now_ms):
    """As it is, and in a route's shape: two deliveries, each with what it needs to be sent."""
    show("x", targets=(Target("a"), ROUTED))
    assert rows(store) == [("a", "", "pending"), ("a", "big", "pending")]
    found = {(one.route, one.shape) for one in store.due("a", now_ms, 10)}
    assert found == {("", ""), ("big", "5ha9e")}


def test_each_is_settled_by_itself(store, show, keep, now_ms):
    """The other one stays due."""
    (sequence,) = show("x", targets=(Target("a"), ROUTED))
    keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))
    assert [one.route for one in store.due("a", now_ms, 10)] == [""]


def test_an_event_that_nobody_can_route_is_parked_at_once(store, show, now_ms):
    """With the reason and the time, and under its route's name."""
    show("x", targets=(Target("", route="big", error="when: neither true nor false"),))
    [parked] = rows(store, "sink, route, state, settled_ms, error")
    assert parked == ("", "big", "parked", now_ms, "when: neither true nor false")


def test_what_was_parked_goes_through_its_route_as_it_is_now(store, show, now_ms):
    """To the sinks that it names by now, in its new shape."""
    show("x", targets=(Target("", route="big", error="when: ..."),))
    mended = (Target("a", route="big", shape="new"), Target("b", route="big", shape="new"))
    assert store.again(Selection(), ["parked"], now_ms + 1, lambda name, _: mended if name == "big" else None) == 2
    assert rows(store, "sink, route, shape, state") == [("a", "big", "new", "pending"), ("b", "big", "new", "pending")]


@pytest.mark.parametrize("order", Order)
def test_what_goes_through_its_route_once_more_waits_as_others_of_it(store, show, now_ms, order):
    """In the lane that it would have had; without an order, in one by itself."""
    mended = (ROUTED._replace(order=order),)
    sequences = show("x", targets=mended) + show("y", targets=(Target("", route="big", error="when: ..."),))
    show("z", targets=mended)
    before = rows(store, "lane")
    assert store.again(Selection(), ["parked"], now_ms, lambda *_: mended) == 1
    own = (lane(mended[0], Stream("o", "clients"), "y", sequences[1]),)
    assert rows(store, "lane") == [before[0], own, before[2]]
    assert (own == before[0]) == (order in (Order.STREAM, Order.SINK))


def test_only_what_a_route_parked_goes_through_it_once_more(store, show, keep, now_ms):
    """What was delivered goes as it went, and what no route made is for none to make anew; each is counted."""
    plain, routed = Target("b"), ROUTED
    (parked, delivered) = show("x", "y", targets=(plain, routed))
    keep(store, "b", *(Settlement(one, "parked", 1, 0, 0) for one in (parked, delivered)))
    keep(store, "a", Settlement(parked, "parked", 1, 0, 0, route="big"))
    keep(store, "a", Settlement(delivered, "delivered", 1, 0, 0, route="big"))
    show("z", targets=(Target("", route="big", error="when: ..."),))
    asked = []

    def reroute(name, body):
        asked.append((name, json.loads(body)["subject"]))
        return (routed, routed._replace(sink="c"))

    assert store.again(Selection(), ["parked", "delivered"], now_ms, reroute) == 2 + 2 + 2
    assert asked == [("big", "clients/x"), ("big", "clients/z")]
    assert rows(store) == [
        *[("a", "big", "pending"), ("b", "", "pending")],
        *[("a", "big", "pending"), ("b", "", "pending")],
        *[("a", "big", "pending"), ("c", "big", "pending")],
    ]


def test_what_no_route_wants_any_more_is_gone(store, show, now_ms):
    """The mended condition does not hold of it."""
    show("x", targets=(Target("", route="big", error="when: ..."),))
    assert store.again(Selection(), ["parked"], now_ms, lambda *_: ()) == 0
    assert rows(store) == []


def test_what_still_cannot_be_routed_stays_parked(store, show, now_ms):
    """With the new reason."""
    show("x", targets=(Target("", route="big", error="one"),))
    still = (Target("", route="big", error="two"),)
    assert store.again(Selection(), ["parked"], now_ms + 5, lambda *_: still) == 0
    assert rows(store, "state, settled_ms, error") == [("parked", now_ms + 5, "two")]


def test_what_another_sink_of_its_route_has_is_not_sent_there_again(store, show, keep, now_ms):
    """Only what is not there yet: each of a route's sinks is settled by itself."""
    both = (ROUTED, Target("b", route="big", shape="5ha9e"))
    (sequence,) = show("x", targets=both)
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "400", route="big"))
    keep(store, "b", Settlement(sequence, "delivered", 1, 0, 0, route="big"))
    assert store.again(Selection(), ["parked"], now_ms, lambda *_: both) == 1
    assert rows(store) == [("a", "big", "pending"), ("b", "big", "delivered")]


def test_several_parked_deliveries_of_a_route_are_sent_again_once_each(store, show, keep, now_ms):
    """Each goes where it was for."""
    both = (ROUTED, Target("b", route="big", shape="new"))
    (sequence,) = show("x", targets=both)
    for sink in "ab":
        keep(store, sink, Settlement(sequence, "parked", 1, 0, 0, "400", route="big"))
    assert store.again(Selection(sink="a"), ["parked"], now_ms, lambda *_: both) == 1
    assert rows(store) == [("a", "big", "pending"), ("b", "big", "parked")]
    assert store.again(Selection(), ["parked"], now_ms, lambda *_: both) == 1
    assert rows(store) == [("a", "big", "pending"), ("b", "big", "pending")]


def test_without_its_route_what_was_parked_goes_as_it_was_meant(store, show, keep, now_ms):
    """By the shape that it was made under."""
    (sequence,) = show("x", targets=(ROUTED,))
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "400", route="big"))
    assert store.again(Selection(route="big"), ["parked"], now_ms) == 1
    assert [one.shape for one in store.due("a", now_ms, 10)] == ["5ha9e"]


def test_what_one_sink_refused_goes_to_that_sink_once_more(store, show, keep, now_ms):
    """Not to another of the route's, which has it already."""
    both = (ROUTED, ROUTED._replace(sink="b"))
    (sequence,) = show("x", targets=both)
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "422", route="big"))
    keep(store, "b", Settlement(sequence, "delivered", 1, 0, 0, route="big"))
    mended = tuple(target._replace(shape="new") for target in both)
    assert store.again(Selection(), ["parked"], now_ms, lambda *_: mended) == 1
    assert rows(store, "sink, shape, state") == [("a", "new", "pending"), ("b", "5ha9e", "delivered")]


def test_what_a_route_sends_elsewhere_by_now_goes_there_once(store, show, keep, now_ms):
    """From each of the sinks that did not get it; those that have it are left alone."""
    (sequence,) = show("x", targets=(ROUTED, ROUTED._replace(sink="b"), ROUTED._replace(sink="c")))
    for sink in ("a", "b"):
        keep(store, sink, Settlement(sequence, "parked", 1, 0, 0, "422", route="big"))
    mended = tuple(ROUTED._replace(sink=sink) for sink in ("c", "d"))
    assert store.again(Selection(), ["parked"], now_ms, lambda *_: mended) == 1
    assert rows(store, "sink, state") == [("c", "pending"), ("d", "pending")]


def test_an_event_that_goes_as_it_is_by_now_is_not_sent_twice(store, show, now_ms):
    """Another route has sent it to that sink already."""
    show("x", targets=(Target("a"), Target("", route="big", error="when: ...")))
    assert store.again(Selection(), ["parked"], now_ms, lambda *_: (Target("a"), Target("b"))) == 1
    assert rows(store) == [("a", "", "pending"), ("b", "", "pending")]


def test_what_nobody_could_route_stays_parked_without_its_route(store, show, now_ms):
    """It has no sink to go to."""
    show("x", targets=(Target("", route="big", error="when: ..."),))
    assert store.again(Selection(), ["parked"], now_ms, lambda *_: None) == 0
    assert rows(store, "sink, state, error") == [("", "parked", "when: ...")]


def test_what_another_route_parked_stays_parked(store, show, keep, now_ms):
    """And what the same one sent to another sink stays as it is."""
    undecided = [Target("", route=route, error="when: ...") for route in ("big", "other")]
    [sequence] = show("x", targets=(*undecided, ROUTED))
    keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))
    store.again(Selection(route="big"), ["parked"], now_ms, lambda *_: (ROUTED._replace(sink="b"),))
    assert rows(store) == [("", "other", "parked"), ("a", "big", "delivered"), ("b", "big", "pending")]


def test_deliveries_of_the_first_schema_go_on(path, opened, now_ms):
    """Pending ones stay pending, under no route."""
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        database = Database(connection)
        migrations.apply(database, stop_before="routes")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO meta VALUES ('state', 'x'), ('sequence', '7')")
        connection.execute("INSERT INTO event VALUES (7, 'evt_a', 'client.created', 'o', 'clients', 'r', 0, x'7b7d')")
        connection.execute("INSERT INTO delivery (sink, sequence, turn, lane, due_ms) VALUES ('a', 7, 7, 1, 5)")
    store = opened(path)
    (delivery,) = store.due("a", now_ms, 10)
    assert (delivery.sequence, delivery.route, delivery.shape, delivery.begun) == (7, "", "", False)
    store.commit(Stream("o", "clients"), Step(Progress()), now_ms)
