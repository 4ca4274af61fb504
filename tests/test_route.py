"""Which sinks get an event, and what order is kept within."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.model import Case, Order, Plan, Route, Stream, Target
from poller.route import lane, targets


def plan(*routes):
    made = tuple(Route(tuple(on), (Case(tuple(to)),)) for on, to in routes)
    return Plan({}, made, sinks=(Target("a"), Target("b", Order.SINK)))


def nothing():
    raise AssertionError("without conditions nobody asks what the event says")


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([], ("a", "b")),
        ([(["client.created"], ["a"])], ("a",)),
        ([(["client.*"], ["b"])], ("b",)),
        ([(["*"], ["a", "b"])], ("a", "b")),
        ([(["*.created"], ["a"])], ("a",)),
        ([(["order.*", "client.*"], ["a"])], ("a",)),
        ([(["client.updated"], ["a"])], ()),
        ([(["Client.*"], ["a"])], ()),
        ([(["client.*"], ["b"]), (["*"], ["a", "b"])], ("b", "a")),
        ([(["order.*"], ["a"]), (["client.*"], ["b"])], ("b",)),
    ],
)
def test_targets_of_client_created(routes, expected):
    """No route: every sink. Several routes to one sink: one delivery. No matching route: none."""
    assert tuple(target.sink for target in targets(plan(*routes), "client.created", nothing)) == expected


def test_a_target_has_the_order_of_its_sink():
    """With and without routes."""
    assert targets(plan(), "client.created", nothing)[1] == Target("b", Order.SINK)
    assert targets(plan((["*"], ["b"])), "client.created", nothing) == (Target("b", Order.SINK),)


CLIENTS, ITEMS = Stream("66f1", "clients"), Stream("66f1", "items")


def test_a_lane_is_always_the_same():
    """It is stored, so it must not depend on the process."""
    assert lane(Target("a", Order.RECORD), CLIENTS, "67a0", 7) == 2270240773315429730


@pytest.mark.parametrize(
    ("order", "apart"),
    [
        (Order.RECORD, {"record", "stream"}),
        (Order.STREAM, {"stream"}),
        (Order.SINK, set()),
        (Order.NONE, {"event", "record", "stream"}),
    ],
)
def test_what_waits_for_each_other(order, apart):
    """Another event of a record, another record of a stream, another stream."""
    one = lane(Target("a", order), CLIENTS, "67a0", 7)
    others = {
        "event": lane(Target("a", order), CLIENTS, "67a0", 8),
        "record": lane(Target("a", order), CLIENTS, "67a1", 9),
        "stream": lane(Target("a", order), ITEMS, "67a0", 10),
    }
    assert {name for name, other in others.items() if other != one} == apart


@given(st.sampled_from(Order), st.text(), st.text(), st.text(), st.integers(0, 1 << 62))
def test_a_lane_fits_into_the_store(order, org, resource, record_id, sequence):
    """63 bits, never negative."""
    assert 0 <= lane(Target("a", order), Stream(org, resource), record_id, sequence) < 1 << 63


@given(st.text(), st.text())
def test_records_have_lanes_of_their_own(one, other):
    """Equal only where they are."""
    assert (lane(Target("a", Order.RECORD), CLIENTS, one, 1) == lane(Target("a", Order.RECORD), CLIENTS, other, 2)) == (
        one == other
    )
