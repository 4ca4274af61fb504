"""Which sinks get an event, and what order is kept within."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.model import Plan, Route
from poller.route import lane, targets


def plan(*routes):
    return Plan({}, tuple(Route(tuple(on), tuple(to)) for on, to in routes), sinks=("a", "b"))


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
    assert targets(plan(*routes), "client.created") == expected


def test_a_lane_is_always_the_same():
    """It is stored, so it must not depend on the process."""
    assert lane("66f1/clients/67a0") == 2270240773315429730


@given(st.text(), st.text())
def test_a_lane_fits_into_the_store_and_tells_records_apart(one, other):
    """63 bits, never negative."""
    assert 0 <= lane(one) < 1 << 63
    assert (lane(one) == lane(other)) == (one == other)
