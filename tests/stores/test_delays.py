"""Deliveries that a route delays or paces: when they are due, in which order, and when they expire."""

import pytest
from routed import DAY_MS, ROUTED, rows, violations

from poller.plan import Gate, Order, Target
from poller.stores import Keep, Settlement
from poller.stores.reading import View


def test_what_is_delayed_is_neither_due_nor_hurried_nor_expired(store, show, now_ms):
    """Not by a resumed sink, nor by the upkeep; until its time has come."""
    show("x", targets=(ROUTED._replace(delay_s=20 * 86_400.0),))
    store.pause("a", "", now_ms + 1)
    store.tidy(Keep(), now_ms + 15 * DAY_MS)
    assert store.due("a", now_ms + 20 * DAY_MS - 1, 10) == []
    assert store.next_due_ms("a", now_ms) == now_ms + 20 * DAY_MS
    assert len(store.due("a", now_ms + 20 * DAY_MS, 10)) == 1
    store.tidy(Keep(), now_ms + 21 * DAY_MS)
    assert rows(store) == [("a", "big", "pending")]


def test_what_is_delayed_is_no_violation(store, show, path):
    """Its turn is far off, and was given out by no clock."""
    show("x", targets=(ROUTED._replace(delay_s=20 * 86_400.0),))
    assert "turn" not in violations(path)


def test_what_is_delayed_keeps_its_order(store, show, now_ms):
    """Of all that a sink gets, say, where that is kept: what came together is not due in one turn."""
    delayed = ROUTED._replace(delay_s=60.0, order=Order.SINK)
    sequences = show("x", "y", "z", targets=(delayed,))
    assert [one.sequence for one in store.due("a", now_ms + 60_000, 10)] == sequences[:1]


def test_what_is_paced_is_neither_hurried_nor_expired(store, show, now_ms):
    """Not by a resumed sink, nor by the upkeep, which takes what is far off for a clock that was set back."""
    paced = ROUTED._replace(gate=Gate(pace_s=20 * 86_400.0))
    show("x", "y", targets=(paced,))
    store.pause("a", "", now_ms + 1)
    store.tidy(Keep(), now_ms + 1)
    assert len(store.due("a", now_ms + 1, 10)) == 1
    store.tidy(Keep(), now_ms + 15 * DAY_MS)
    assert rows(store, "state, due_ms") == [("parked", now_ms), ("pending", now_ms + 20 * DAY_MS)]


def test_a_state_with_delays_is_well(store, path, show):
    """What takes its turn later has one that was not given out yet."""
    store.keep_shapes([("5ha9e", "{}", False)])
    show("x", targets=(ROUTED._replace(delay_s=86_400.0, gate=Gate(pace_s=60.0)), Target("a")))
    store._run("UPDATE stream SET live = 1")
    with View(path) as view:
        assert list(view.violations()) == []


def test_what_is_delayed_expires_by_when_it_was_due(store, show, now_ms):
    """Fourteen days after that, to the millisecond."""
    show("x", targets=(ROUTED._replace(delay_s=20 * 86_400.0),))
    store.tidy(Keep(), now_ms + 34 * DAY_MS)
    assert rows(store, "state") == [("pending",)]
    store.tidy(Keep(), now_ms + 34 * DAY_MS + 1)
    assert rows(store, "state") == [("parked",)]


def test_a_delay_holds_up_nothing_else_of_the_record(store, show, now_ms):
    """It waits in a lane of its own."""
    show("x", targets=(ROUTED._replace(delay_s=60.0), Target("a")))
    assert [one.route for one in store.due("a", now_ms, 10)] == [""]


def test_a_pace_is_kept_over_commits(store, show, now_ms):
    """One each ten seconds, counted in the database; each route has its own."""
    paced = ROUTED._replace(gate=Gate(pace_s=10.0))
    show("v", "w", targets=(paced,))
    show("x", targets=(paced,), at_ms=now_ms + 1)
    show("y", targets=(paced._replace(route="other"),), at_ms=now_ms + 2)
    show("z", targets=(paced,), at_ms=now_ms + 3)
    seconds = [0, 10, 20, 0.002, 30]
    assert rows(store, "due_ms") == [(now_ms + int(after_s * 1000),) for after_s in seconds]


def test_a_pace_goes_on_by_a_clock_that_was_set_back(store, show, now_ms):
    """What comes after it waits for its own turn, and not for the clock."""
    paced = ROUTED._replace(gate=Gate(pace_s=10.0))
    show("x", targets=(paced,))
    store.set_back(DAY_MS, now_ms - DAY_MS)
    show("y", targets=(paced,), at_ms=now_ms - DAY_MS)
    assert rows(store, "due_ms")[1] == (now_ms - DAY_MS + 10_000,)


@pytest.mark.parametrize("wait", [{"delay_s": 60.0}, {"gate": Gate(pace_s=0.0001)}])
def test_what_waits_keeps_its_order(store, show, keep, now_ms, wait):
    """Of one lane one at a time, though all of a page are due at once."""
    sequences = show("x", "y", "z", targets=(ROUTED._replace(order=Order.STREAM, **wait),))
    for sequence in sequences:
        assert [one.sequence for one in store.due("a", now_ms + 60_000, 10)] == [sequence]
        keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))


@pytest.fixture
def change(store, feed, make_record):
    """Commit a change of the one record there is, through this route, at this time; its sequence."""

    def change(target, at_ms):
        step = feed.step(make_record("x", str(at_ms)))
        store.commit(
            feed.stream, step._replace(outgoing=[one._replace(targets=(target,)) for one in step.outgoing]), at_ms
        )
        return store._all("SELECT max(sequence) FROM event")[0][0]

    return change


def test_a_shorter_delay_lets_nothing_overtake(store, change, keep, now_ms):
    """A change that comes after the configuration was changed waits for that before it, of the same record."""
    first = change(ROUTED._replace(delay_s=86_400.0), now_ms)
    second = change(ROUTED._replace(delay_s=60.0), now_ms + 1)
    assert store.due("a", now_ms + DAY_MS - 1, 10) == []
    for sequence in (first, second, change(ROUTED, now_ms + 2)):
        assert [one.sequence for one in store.due("a", now_ms + DAY_MS, 10)] == [sequence]
        keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))


def test_a_pace_keeps_its_order_by_a_clock_that_was_set_back(store, show, change, keep, now_ms):
    """Of a record whose change waits still when the next one comes."""
    paced, back_ms = ROUTED._replace(gate=Gate(pace_s=600.0)), now_ms - DAY_MS
    show("w", targets=())
    store.set_back(DAY_MS, back_ms)
    show("y", targets=(paced._replace(sink="b"),), at_ms=back_ms)
    first = change(paced, back_ms)
    second = change(paced, back_ms + 3_600_000)
    for sequence in (first, second):
        assert [one.sequence for one in store.due("a", back_ms + 7_200_000, 10)] == [sequence]
        keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))


def test_a_turn_to_come_is_no_violation(store, show, path):
    """Others were given out."""
    show("x", targets=(ROUTED._replace(delay_s=60.0), Target("a")))
    with View(path) as view:
        assert [one for one in view.violations() if "turn" in one] == []
    store._run("UPDATE delivery SET turn = turn + 1 WHERE route = ''")
    with View(path) as view:
        assert len([one for one in view.violations() if "turn" in one]) == 1
