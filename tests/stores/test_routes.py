"""Deliveries that go through a route of their own: shaped, delayed, held, parked undecided, in steps."""

import json
import sqlite3
from contextlib import closing

import pytest
from sqlite_utils import Database

from poller.model import Stream
from poller.plan import Gate, Order, Target
from poller.route import lane
from poller.shape import define
from poller.stores import Decision, Keep, Outgoing, Progress, Settlement, Step
from poller.stores import schema as tables
from poller.stores.reading import View
from poller.stores.selection import Selection

DAY_MS = 86_400_000
ROUTED = Target("a", route="big", shape="5ha9e")


@pytest.fixture
def show(store, feed, make_record, now_ms):
    """Commit the creation of these records, each with these targets; their sequences."""

    def show(*names, targets, at_ms=now_ms):
        step = feed.step(*(make_record(name) for name in names))
        outgoing = [Outgoing(change, trigger, targets) for change, trigger, _ in step.outgoing]
        store.commit(feed.stream, Step(Progress(), step.findings, outgoing), at_ms)
        rows = store._all("SELECT sequence FROM event ORDER BY sequence DESC LIMIT ?", len(names))
        return [sequence for (sequence,) in rows][::-1]

    return show


def rows(store, columns="sink, route, state"):
    return store._all(f"SELECT {columns} FROM delivery ORDER BY sequence, sink, route")


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


def test_what_was_held_with_a_delay_is_not_hurried(store, show, now_ms):
    """Approved before its time, it waits for that."""
    show("x", "y", targets=(ROUTED._replace(delay_s=60.0, gate=Gate(flood=1, per_s=60.0)),))
    store.release("big", Decision.APPROVE, now_ms + 1)
    store.pause("a", "", now_ms + 2)
    assert store.due("a", now_ms + 59_999, 10) == []
    assert len(store.due("a", now_ms + 60_000, 10)) == 2


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


def test_a_turn_to_come_is_no_violation(store, show, path):
    """Others were given out."""
    show("x", targets=(ROUTED._replace(delay_s=60.0), Target("a")))
    with View(path) as view:
        assert [one for one in view.violations() if "turn" in one] == []
    store._run("UPDATE delivery SET turn = turn + 1 WHERE route = ''")
    with View(path) as view:
        assert len([one for one in view.violations() if "turn" in one]) == 1


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


def test_the_results_of_steps_are_there_at_the_next_send(store, show, keep, now_ms):
    """And until all are done, or longer where the delivery is parked."""
    (sequence,) = show("x", targets=(ROUTED,))
    for steps in (b'{"pdf":1}', b'{"pdf":1,"mail":2}'):
        keep(store, "a", Settlement(sequence, "pending", 0, 0, 0, route="big", steps=steps))
        assert [one.steps for one in store.due("a", now_ms, 10)] == [steps]
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "422", route="big"))
    store.again(Selection(), ["parked"], now_ms)
    assert [one.steps for one in store.due("a", now_ms, 10)] == [steps]
    keep(store, "a", Settlement(sequence, "delivered", 2, 0, 0, route="big"))
    assert store._all("SELECT * FROM step") == []


CHAIN = {"id": "pdf", "connection": "books", "action": "get_pdf", "with": {}}
SECOND = {"id": "two", "connection": "books", "action": "send", "with": {"a": "${steps.pdf}"}}


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ([CHAIN, SECOND | {"with": {}}], b'{"pdf":{"x":1.10}}'),
        ([CHAIN | {"with": {"l": "en"}}], b'{"pdf":{"x":1.10}}'),
        ([SECOND | {"id": "pdf"}, CHAIN | {"id": "other"}], b""),
        ([SECOND | {"id": "new"}, CHAIN], b'{"pdf":{"x":1.10}}'),
        ([CHAIN | {"connection": "others"}, SECOND], b""),
        ([], b""),
    ],
    ids=["a later one", "its inputs", "another action", "one before", "another connection", "none"],
)
def test_only_the_steps_that_are_there_still_are_done(store, show, keep, path, now_ms, steps, left):
    """By a route that was mended: what is another step by now is done, whatever its name."""
    old = define({"route": "big", "steps": [CHAIN, SECOND]})
    new = define({"route": "big", "steps": steps} if steps else {"route": "big", "body": 1})
    store.keep_shapes([(old.digest, old.text, False), (new.digest, new.text, False)])
    (sequence,) = show("x", targets=(ROUTED._replace(shape=old.digest),))
    keep(store, "a", Settlement(sequence, "pending", 0, 0, 0, route="big", steps=b'{"pdf":{"x":1.10}}'))
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "422", route="big"))
    store.again(Selection(), ["parked"], now_ms, lambda *_: (ROUTED._replace(shape=new.digest),))
    assert [one.steps for one in store.due("a", now_ms, 10)] == [left]
    assert "results of steps" not in violations(path)


def violations(path):
    with View(path) as view:
        return "\n".join(view.violations())


def test_what_is_dropped_leaves_no_results(store, show, keep, path):
    """Nor what goes elsewhere by now."""
    (sequence,) = show("x", targets=(ROUTED,))
    keep(store, "a", Settlement(sequence, "pending", 0, 0, 0, route="big", steps=b'{"pdf":1}'))
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "422", route="big"))
    store.drop(Selection())
    assert "results of steps" not in violations(path)


def test_a_send_that_began_is_remembered_until_it_is_settled(store, opened, path, show, keep, now_ms):
    """By a process that starts after this one was killed, too."""
    (sequence,) = show("x", targets=(ROUTED,))
    store.begin(store.due("a", now_ms, 10))
    store.close()
    store = opened(path)
    assert [one.begun for one in store.due("a", now_ms, 10)] == [True]
    keep(store, "a", Settlement(sequence, "pending", 0, 1, 0, "no answer", route="big", begun=True))
    assert [one.begun for one in store.due("a", now_ms, 10)] == [True]
    keep(store, "a", Settlement(sequence, "pending", 0, 1, 0, "503", route="big"))
    assert [one.begun for one in store.due("a", now_ms, 10)] == [False]


def test_what_may_be_done_is_remembered_when_it_is_sent_again(store, show, keep, now_ms):
    """By the operator's word too: who can look looks first."""
    (sequence,) = show("x", targets=(ROUTED,))
    store.begin(store.due("a", now_ms, 10))
    keep(store, "a", Settlement(sequence, "pending", 0, 1, 0, "no answer", route="big", begun=True))
    store.tidy(Keep(), now_ms + 15 * DAY_MS)
    assert rows(store, "state, error") == [("parked", "expired: no answer")]
    for reroute in (lambda *_: None, lambda *_: (ROUTED,)):
        assert store.again(Selection(), ["parked"], now_ms + 15 * DAY_MS, reroute) == 1
        assert [one.begun for one in store.due("a", now_ms + 16 * DAY_MS, 10)] == [True]
        store.tidy(Keep(), now_ms + 31 * DAY_MS)


def test_the_results_of_steps_go_with_them(store, show, keep, now_ms):
    """A route that sends the event itself by now has none."""
    (sequence,) = show("x", targets=(ROUTED,))
    keep(store, "a", Settlement(sequence, "parked", 1, 0, 0, "422", route="big", steps=b'{"pdf":1}'))
    store.again(Selection(), ["parked"], now_ms, lambda *_: (Target("a", route="big"),))
    assert [(one.shape, one.steps) for one in store.due("a", now_ms, 10)] == [("", b"")]
    assert store._all("SELECT * FROM step") == []


def test_only_what_is_about_to_be_sent_has_begun(store, show, now_ms):
    """Not what goes to another sink, by another route, or of another event."""
    show("x", "y", targets=(ROUTED, Target("a"), ROUTED._replace(sink="b")))
    one = next(one for one in store.due("a", now_ms, 9) if one.route == "big")
    store.begin([one])
    assert rows(store, "sequence, sink, route, begun").count((one.sequence, "a", "big", 1)) == 1
    assert [begun for (begun,) in rows(store, "begun")].count(1) == 1


def test_what_cannot_be_undone_is_not_replayed_by_the_way(store, show, keep, now_ms):
    """Only where that is said."""
    store.keep_shapes([("5ha9e", "{}", True)])
    (sequence,) = show("x", targets=(ROUTED,))
    keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0, route="big"))
    assert store.again(Selection(), ["delivered"], now_ms) == 0
    assert store.again(Selection(destructive=True), ["delivered"], now_ms) == 1


def test_shapes_are_kept_as_they_were_first(store):
    """A digest has one definition."""
    store.keep_shapes([("d", "one", False)])
    store.keep_shapes([("d", "two", False)])
    assert (store.shape("d"), store.shape("e")) == ("one", None)


def test_deliveries_of_the_first_schema_go_on(path, opened, now_ms):
    """Pending ones stay pending, under no route."""
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        database = Database(connection)
        tables.migrations.apply(database, stop_before="routes")
        connection.execute(f"PRAGMA application_id = {tables.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO meta VALUES ('state', 'x'), ('sequence', '7')")
        connection.execute("INSERT INTO event VALUES (7, 'evt_a', 'client.created', 'o', 'clients', 'r', 0, x'7b7d')")
        connection.execute("INSERT INTO delivery (sink, sequence, turn, lane, due_ms) VALUES ('a', 7, 7, 1, 5)")
    store = opened(path)
    (delivery,) = store.due("a", now_ms, 10)
    assert (delivery.sequence, delivery.route, delivery.shape, delivery.begun) == (7, "", "", False)
    store.commit(Stream("o", "clients"), Step(Progress()), now_ms)
