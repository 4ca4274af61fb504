"""Deliveries that a route holds as a flood, until a person decides."""

import pytest
from routed import DAY_MS, ROUTED, rows, violations

from poller.plan import Gate, Order
from poller.stores import Decision, Keep, Settlement


@pytest.mark.parametrize("gate", [None, Gate(pace_s=0.001)])
def test_what_is_held_is_overtaken_by_nothing(store, show, now_ms, gate):
    """Until an operator decides, though the route has no flood any more: a change waits for those before it."""
    flood = ROUTED._replace(gate=Gate(flood=1, per_s=60.0))
    sequences = show("x", "y", targets=(flood,)) + show("z", targets=(flood._replace(gate=gate),), at_ms=now_ms + 1)
    assert rows(store, "state") == [("pending",), ("held",), ("held",)]
    store.release("big", Decision.APPROVE, now_ms + 2)
    sequences += show("w", targets=(flood._replace(gate=gate),), at_ms=now_ms + 3)
    assert [one.sequence for one in store.due("a", now_ms + 10, 10)] == sequences


def test_what_was_held_and_is_forgotten_holds_nothing(store, path, show, now_ms):
    """After a month without a decision; what comes then is no flood."""
    flood = ROUTED._replace(gate=Gate(flood=1, per_s=60.0))
    show("x", "y", targets=(flood,))
    later_ms = now_ms + 40 * DAY_MS
    store.tidy(Keep(), later_ms)
    assert ("a", "big", "held") not in rows(store)
    [late] = show("z", targets=(flood,), at_ms=later_ms)
    assert [one.sequence for one in store.due("a", later_ms, 10)] == [late]


def test_what_was_held_with_a_delay_is_not_hurried(store, show, now_ms):
    """Approved before its time, it waits for that."""
    show("x", "y", targets=(ROUTED._replace(delay_s=60.0, gate=Gate(flood=1, per_s=60.0)),))
    store.release("big", Decision.APPROVE, now_ms + 1)
    store.pause("a", "", now_ms + 2)
    assert store.due("a", now_ms + 59_999, 10) == []
    assert len(store.due("a", now_ms + 60_000, 10)) == 2


def test_what_was_held_with_a_delay_comes_after_what_was_let_through(store, path, show, keep, now_ms):
    """Of one lane: also of several that came with it and are due in the same millisecond."""
    gate = Gate(flood=2, per_s=60.0)
    sequences = show("x", "y", "z", targets=(ROUTED._replace(order=Order.STREAM, delay_s=60.0, gate=gate),))
    store.release("big", Decision.APPROVE, now_ms + 1)
    assert "turn" not in violations(path)
    for sequence in sequences:
        assert [one.sequence for one in store.due("a", now_ms + 60_000, 10)] == [sequence]
        keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))


def test_a_shorter_delay_lets_nothing_overtake_what_is_held(store, show, keep, now_ms):
    """Of one lane: what came before the configuration was changed, and was held, goes first."""
    flood = ROUTED._replace(order=Order.STREAM, gate=Gate(flood=1, per_s=60.0))
    first, second = show("x", "y", targets=(flood._replace(delay_s=86_400.0),))
    [third] = show("z", targets=(flood,), at_ms=now_ms + 1)
    store.release("big", Decision.APPROVE, now_ms + 2)
    for sequence in (first, second, third):
        assert [one.sequence for one in store.due("a", now_ms + DAY_MS, 10)] == [sequence]
        keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))


def test_a_flood_is_held_until_it_is_approved(store, show, now_ms):
    """In the order of its events, and what comes meanwhile waits behind it."""
    gate = ROUTED._replace(gate=Gate(flood=2, per_s=60.0))
    flood = show("u", "v", "w", "x", targets=(gate,))
    late = show("y", targets=(gate,), at_ms=now_ms + DAY_MS)
    assert rows(store, "state, settled_ms") == [
        *[("pending", None)] * 2,
        *[("held", now_ms)] * 2,
        ("held", now_ms + DAY_MS),
    ]
    assert store.release("big", Decision.APPROVE, now_ms + DAY_MS + 1) == 3
    assert rows(store, "state, settled_ms") == [("pending", None)] * 5
    assert rows(store, "due_ms") == [(now_ms,)] * 2 + [(now_ms + DAY_MS + 1,)] * 3
    due = store.due("a", now_ms + DAY_MS + 1, 10)
    assert [one.sequence for one in due] == [*flood, *late]
    show("z", targets=(gate,), at_ms=now_ms + DAY_MS + 2)
    assert [state for (state,) in rows(store, "state")] == ["pending"] * 6


def test_what_was_held_comes_after_what_was_let_through(store, show, now_ms):
    """At the same pace, however soon it is approved."""
    gate = ROUTED._replace(gate=Gate(10.0, flood=2, per_s=60.0))
    show(*"wxyz", targets=(gate,))
    assert store.release("big", Decision.APPROVE, now_ms + 1, 10.0) == 2
    assert rows(store, "due_ms") == [(now_ms + place * 10_000,) for place in range(4)]


def test_what_was_held_expires_by_when_it_is_due_at_last(store, show, now_ms):
    """Fourteen days after that."""
    show("x", "y", targets=(ROUTED._replace(delay_s=5 * 86_400.0, gate=Gate(flood=1, per_s=60.0)),))
    store.release("big", Decision.APPROVE, now_ms + 1)
    store.tidy(Keep(), now_ms + 19 * DAY_MS)
    assert rows(store, "state") == [("pending",)] * 2
    store.tidy(Keep(), now_ms + 19 * DAY_MS + 2)
    assert rows(store, "state") == [("parked",)] * 2


def test_what_was_held_goes_at_the_pace_of_its_route(store, show, now_ms):
    """Which a flood that is approved does not break; what comes later waits behind it, and a resume hurries nothing."""
    gate = ROUTED._replace(gate=Gate(10.0, flood=1, per_s=60.0))
    sequences = show("w", "x", "y", targets=(gate,))
    later_ms = now_ms + DAY_MS
    assert store.release("big", Decision.APPROVE, later_ms, 10.0) == 2
    show("z", targets=(gate,), at_ms=later_ms + 1)
    assert rows(store, "due_ms") == [(now_ms,), (later_ms,), (later_ms + 10_000,), (later_ms + 20_000,)]
    store.pause("a", "", later_ms + 2)
    assert [one.sequence for one in store.due("a", later_ms + 9_999, 10)] == sequences[:2]


@pytest.mark.parametrize(("decision", "state"), [(Decision.APPROVE, "pending"), (Decision.REJECT, None)])
def test_a_decision_is_for_one_route(store, show, keep, now_ms, decision, state):
    """And for what it holds; what another one holds goes on to be held, and what comes after that."""
    big = ROUTED._replace(gate=Gate(flood=1, per_s=60.0))
    other = big._replace(route="other")
    [first, _] = show("x", "y", targets=(big, other))
    keep(store, "a", Settlement(first, "delivered", 1, 0, 0, route="big"))
    assert store.release("big", decision, now_ms + 1) == 1
    show("z", targets=(other,), at_ms=now_ms + 120_000)
    found = [
        *[("big", "delivered"), ("other", "pending")],
        *([("big", state)] if state else []),
        *[("other", "held"), ("other", "held")],
    ]
    assert rows(store, "route, state") == found


def test_what_is_approved_late_does_not_expire(store, show, keep, now_ms):
    """Its time counts from then; and its order stays, also before what comes after it."""
    flood = ROUTED._replace(gate=Gate(flood=1, per_s=60.0), order=Order.STREAM)
    _, *held = show("u", "v", "w", targets=(flood,))
    approved_ms = now_ms + 15 * DAY_MS
    store.release("big", Decision.APPROVE, approved_ms)
    store.tidy(Keep(), approved_ms)
    for sequence in (*held, *show("x", targets=(flood,), at_ms=approved_ms)):
        assert [one.sequence for one in store.due("a", approved_ms, 10)] == [sequence]
        keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))


def test_a_flood_is_forgotten_when_it_is_rejected(store, show, now_ms):
    """The next one goes through."""
    gate = ROUTED._replace(gate=Gate(flood=1, per_s=60.0))
    show("x", "y", targets=(gate,))
    assert store.release("big", Decision.REJECT, now_ms) == 1
    show("z", targets=(gate,), at_ms=now_ms + 61_000)
    assert [state for (state,) in rows(store, "state")] == ["pending"] * 2
