"""Which sinks get an event, and what order is kept within."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.envelope import seal
from poller.model import Change, Kind, Stream
from poller.plan import Case, Order, Plan, Route, Target
from poller.route import lane, scope, scope_of, targets
from poller.samples import sample
from poller.sources.spaceinvoices import RESOURCES


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


class Counted(str):  # noqa: SLOT000 - it keeps a count
    """A trigger that counts how often it is asked for its beginning."""

    asked = 0

    def startswith(self, *arguments):
        self.asked += 1
        return super().startswith(*arguments)


def test_whether_an_event_is_an_operators_is_asked_once():
    """However many routes it goes through."""
    many = plan(*[(["client.*"], ["a"])] * 10)
    assert targets(many, "client.created", nothing) == targets(many, trigger := Counted("client.created"), nothing)
    assert trigger.asked == 1


def test_a_target_has_the_order_of_its_sink():
    """With and without routes."""
    assert targets(plan(), "client.created", nothing)[1] == Target("b", Order.SINK)
    assert targets(plan((["*"], ["b"])), "client.created", nothing) == (Target("b", Order.SINK),)


CLIENTS, ITEMS = Stream("66f1", "clients"), Stream("66f1", "items")


def test_a_lane_is_always_the_same():
    """It is stored, so it must not depend on the process."""
    assert lane(Target("a", Order.RECORD), CLIENTS, "67a0", 7) == 1953349030282675906


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


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_every_event_has_a_scope(resource, kind):
    """The variables of expressions, of the event as it is stored."""
    event = sample("spaceinvoices", RESOURCES[resource], kind)
    found = scope_of(event.body)
    told = found["event"]
    assert (told["id"], told["resource"], told["kind"]) == (event.id, resource, kind)
    assert (told["trigger"], told["record_id"]) == (event.trigger, event.record_id)
    assert (told["organization"], told["record_id"]) == (found["data"]["organizationId"], found["data"]["id"])
    assert told["recorded"] > told["time"]
    assert (found["previous"] is not None) == (found["changed"] is not None) == (kind == Kind.UPDATED)


@given(st.sampled_from(Kind), st.none() | st.integers(0, 2 * 10**12), st.integers(10**12, 2 * 10**12))
def test_a_change_is_routed_by_what_its_event_says(kind, time_ms, now_ms):
    """Before it is stored and after, conditions see the same."""
    previous = b'{"total":10.10}' if kind == Kind.UPDATED else b""
    changed = ("total",) if kind == Kind.UPDATED else ()
    change = Change(kind, "67a0", time_ms, 5, b"digest", b'{"id":"67a0","total":10.1}', changed, previous)
    event = seal("spaceinvoices", CLIENTS, f"client.{kind}", change, ordinal=1, sequence=7, now_ms=now_ms)
    assert scope(CLIENTS, event.trigger, change, event.id, now_ms) == scope_of(event.body)
