"""Deliveries in the database: what is due, in which order, how sends are kept, and what is sent again."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unpacked import unpacking

from poller import retry
from poller.breaker import Breaker
from poller.model import Stream
from poller.plan import Order
from poller.stores import Settlement, StoreError, Verdict, outbox
from poller.stores.bodies import Codec
from poller.stores.selection import Selection, selected

LATER = 2**60
HOUR_MS = 3_600_000


def everything(store):
    """Every row that sending changes."""
    return store._all("SELECT * FROM delivery ORDER BY sequence, sink"), store._all("SELECT * FROM sink")


def sequences(store):
    return [sequence for (sequence,) in store._all("SELECT sequence FROM event ORDER BY sequence")]


def due(store, now_ms, sink="a", limit=100):
    return [delivery.sequence for delivery in store.due(sink, now_ms, limit)]


@pytest.fixture
def fill(store, make_feed, make_record, now_ms):
    """Enter deliveries of sink a, named by record and text: ``a1``; their sequences."""

    def fill(*names, order=Order.RECORD, resource="clients"):
        feed = make_feed(store, Stream("o", resource), ("a",), order)
        for name in names:
            feed.show(make_record(name[0], name[1:]), now_ms=now_ms)
        return sequences(store)[-len(names) :]

    return fill


@pytest.fixture
def queue(fill):
    """Deliveries of a sink: three of record a, one of b, one of c, in this order. Their sequences."""
    return fill("a1", "b1", "a2", "c1", "a3")


@pytest.fixture
def settle(store, keep):
    """Settle one delivery of sink a."""

    def settle(sequence, state, due_ms=0, attempts=1, error="", troubles=0, **more):
        keep(store, "a", Settlement(sequence, state, attempts, troubles, due_ms, error), **more)

    return settle


# What is due


def test_due_are_the_first_of_their_lanes_in_order(store, queue, now_ms):
    """The others wait for them."""
    assert due(store, now_ms) == [queue[0], queue[1], queue[3]]
    assert due(store, now_ms, limit=2) == queue[:2]
    assert due(store, now_ms - 1) == []
    assert due(store, now_ms, "another") == []


def test_what_was_put_off_is_behind_what_was_not(store, queue, settle, now_ms):
    """Those that were due first go first, so that nobody starves."""
    settle(queue[0], "pending", now_ms + 100)
    settle(queue[1], "pending", now_ms + 50)
    assert due(store, now_ms + 100) == [queue[3], queue[1], queue[0]]


def test_a_probe_is_what_met_least_trouble(store, queue, settle, now_ms):
    """Else many that always meet it would be tried, one every few minutes, before one that can tell."""
    settle(queue[0], "pending", now_ms, troubles=2)
    settle(queue[1], "pending", now_ms, troubles=1)
    assert [one.sequence for one in store.due("a", now_ms, 9, probe=True)] == [queue[3], queue[1], queue[0]]
    settle(queue[3], "pending", now_ms + 1)
    assert [one.sequence for one in store.due("a", now_ms, 1, probe=True)] == [queue[1]]


def test_a_delivery_is_what_the_sink_needs(store, queue, settle, now_ms):
    """The stored bytes, the id, the trigger, the attempts and troubles so far, and since when it is due."""
    settle(queue[1], "pending", now_ms, attempts=3, troubles=4)
    delivery = store.due("a", now_ms, 5)[1]
    unpacking(store._connection)
    [body] = store._one("SELECT unpacked(dictionary, body) FROM event WHERE sequence = ?", queue[1])
    assert (delivery.sink, delivery.sequence, delivery.trigger) == ("a", queue[1], "client.created")
    assert (delivery.body, delivery.event_id) == (body, json.loads(body)["id"])
    assert (delivery.attempts, delivery.troubles, delivery.due_ms) == (3, 4, now_ms)
    assert (delivery.route, delivery.shape, delivery.begun, delivery.steps) == ("", "", False, b"")


@pytest.mark.parametrize("state", ["delivered", "parked"])
def test_a_finished_delivery_lets_the_next_of_its_lane_go(store, queue, settle, now_ms, state):
    """One at a time."""
    settle(queue[0], state)
    assert due(store, now_ms) == [queue[1], queue[2], queue[3]]
    settle(queue[2], state)
    assert due(store, now_ms) == [queue[1], queue[3], queue[4]]


def test_a_delivery_that_waits_holds_its_lane(store, queue, settle, now_ms):
    """And no other; then it goes first."""
    settle(queue[0], "pending", now_ms + 100)
    assert due(store, now_ms + 99) == [queue[1], queue[3]]
    assert due(store, now_ms + 100) == [queue[1], queue[3], queue[0]]


def test_a_refused_delivery_holds_its_lane_for_so_many_attempts(store, queue, settle, now_ms):
    """Then the next one goes, and itself when its time has come."""
    settle(queue[0], "pending", now_ms + 100, attempts=retry.BLOCKING_ATTEMPTS - 1)
    assert queue[2] not in due(store, now_ms)
    settle(queue[0], "pending", now_ms + 100, attempts=retry.BLOCKING_ATTEMPTS)
    assert due(store, now_ms) == [queue[1], queue[2], queue[3]]
    assert set(due(store, now_ms + 100)) == {queue[0], queue[1], queue[2], queue[3]}
    assert queue[4] not in due(store, LATER)


def test_the_receivers_trouble_never_lets_the_next_one_go(store, queue, settle, now_ms):
    """Order is given up for an event that is refused, not for a receiver that is away."""
    settle(queue[0], "pending", now_ms + 100, attempts=0, troubles=1000)
    assert due(store, now_ms) == [queue[1], queue[3]]


@pytest.mark.parametrize(("order", "heads"), [(Order.RECORD, 4), (Order.STREAM, 2), (Order.SINK, 1), (Order.NONE, 6)])
def test_an_order_is_what_waits_for_each_other(store, fill, order, heads):
    """Two records of one stream, two of another, and a second event of each first record."""
    fill("a1", "b1", "a2", order=order)
    fill("a1", "b1", "a2", order=order, resource="items")
    assert len(due(store, LATER)) == heads


rows = st.lists(
    st.tuples(
        st.sampled_from("aab"),
        st.sampled_from(["pending", "pending", "delivered"]),
        st.integers(0, 2),
        st.sampled_from([0, retry.BLOCKING_ATTEMPTS - 1, retry.BLOCKING_ATTEMPTS, retry.BLOCKING_ATTEMPTS + 1]),
        st.integers(0, 1),
        st.integers(0, 3),
    ),
    min_size=9,
    max_size=30,
)


def waiting(rows):
    """Of rows of sink a, those that are the first of their lanes by the rule, as dues, troubles and sequences."""
    pending = [(sequence, *row[2:]) for sequence, row in enumerate(rows, 1) if row[0] == "a" and row[1] == "pending"]
    for sequence, lane, _, troubles, due_ms in pending:
        before = [tried for earlier, other, tried, *_ in pending if other == lane and earlier < sequence]
        if all(tried >= retry.BLOCKING_ATTEMPTS for tried in before):
            yield due_ms, troubles, sequence


@given(rows, st.integers(0, 3), st.integers(1, 40), st.booleans())
def test_few_lanes_and_many_are_looked_through_alike(rows, now_ms, limit, probe):
    """By two ways to the same deliveries, which are those that the rule names."""
    from sqlite_utils import Database

    from poller.stores.schema import migrations

    database = Database(memory=True)
    migrations.apply(database)
    for sequence, row in enumerate(rows, 1):
        database.execute("INSERT INTO event VALUES (?, ?, 't', 'o', 'r', 'x', 0, x'', 0)", [sequence, f"e{sequence}"])
        database.execute(
            "INSERT INTO delivery (turn, sequence, sink, state, lane, attempts, troubles, due_ms) "
            "VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            [sequence, *row],
        )
    found = outbox.due(database.conn, Codec(database.conn), "a", now_ms, limit, probe=probe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "_FEW_LANES", -1)
        assert outbox.due(database.conn, Codec(database.conn), "a", now_ms, limit, probe=probe) == found
    free = list(waiting(rows))
    due = [(troubles if probe else 0, due_ms, sequence) for due_ms, troubles, sequence in free if due_ms <= now_ms]
    assert [delivery.sequence for delivery in found] == [sequence for *_, sequence in sorted(due)][:limit]
    later = database.execute(outbox.NEXT_DUE, ["a", now_ms]).fetchall()
    assert later == [(due_ms,) for due_ms, *_ in sorted(free) if due_ms > now_ms][:1]
    database.close()


@pytest.mark.parametrize("order", [Order.STREAM, Order.SINK])
def test_a_long_queue_of_one_lane_is_not_looked_through(store, make_feed, make_record, now_ms, order):
    """The next one is found in a few steps, however many wait behind it: else a backlog would never be worked off."""
    make_feed(store, Stream("o", "clients"), ("a",), order).show(*(make_record(f"{n}") for n in range(3000)))
    looked = []
    store._connection.set_progress_handler(lambda: looked.append(1) and 0, 100)
    assert len(due(store, LATER)) == 1
    store._connection.set_progress_handler(None, 0)
    assert len(looked) < 50


def test_the_next_one_due_is_the_first_of_a_lane(store, queue, settle, now_ms):
    """Those behind it cannot be sent, however long they are due: else a drain would never rest."""
    assert store.next_due_ms("a", now_ms - 1) == now_ms
    assert store.next_due_ms("a", now_ms) is None
    settle(queue[0], "pending", now_ms + 700)
    settle(queue[1], "delivered")
    settle(queue[3], "pending", now_ms + 900)
    assert store.next_due_ms("a", now_ms) == now_ms + 700
    assert store.next_due_ms("a", now_ms + 700) == now_ms + 900


# How sends ended


def test_settling_survives_a_restart(store, opened, queue, settle, now_ms):
    """Attempts, reason, time, and how the receiver is."""
    found = Breaker(failures=3, wait_until_ms=now_ms + 5, error="no answer", recent=0b1101, opened_ms=now_ms)
    settle(queue[0], "pending", now_ms + 100, attempts=2, error="400", troubles=3, breaker=found)
    store.close()
    store = opened()
    sql = "SELECT state, attempts, troubles, due_ms, settled_ms, error FROM delivery WHERE sequence = ?"
    assert store._one(sql, queue[0]) == ("pending", 2, 3, now_ms + 100, None, "400")
    assert store.breaker("a") == found
    assert store.breaker("another") == Breaker()


def test_settling_twice_changes_nothing(store, queue, settle):
    """What is finished stays so."""
    settle(queue[0], "delivered", now_ms=5)
    settle(queue[0], "pending", now_ms=6)
    assert store._one("SELECT state, settled_ms FROM delivery WHERE sequence = ?", queue[0]) == ("delivered", 5)


def test_settling_is_for_one_sink(store, feed, make_record, settle):
    """The event's way to another is not touched."""
    feed.show(make_record("a"))
    [sequence] = due(store, LATER)
    settle(sequence, "delivered")
    assert due(store, LATER) == []
    assert due(store, LATER, "b") == [sequence]


def test_settling_fails_whole(store, queue, keep):
    """Of a batch, too."""
    before = everything(store)
    store._run("CREATE TEMP TRIGGER breaks BEFORE INSERT ON sink BEGIN SELECT RAISE(ABORT, 'broken'); END")
    with pytest.raises(StoreError):
        keep(store, "a", *(Settlement(one, "delivered", 1, 0, 0) for one in queue))
    assert everything(store) == before


def test_answers_are_judged_by_the_breaker_as_it_is_then(store, queue, now_ms):
    """What an operator did since the sends began is not undone."""
    store.pause("a", "by the operator", now_ms)
    seen = []

    def judge(before):
        seen.append(before)
        return Verdict([], before, replace(before, failures=1))

    assert store.settle("a", judge, now_ms).before.paused == "by the operator"
    assert seen == [Breaker(paused="by the operator")]
    assert store.breaker("a") == Breaker(paused="by the operator", failures=1)


# Pausing


def test_a_pause_survives_a_restart(store, opened, now_ms):
    """With its reason."""
    store.pause("a", "by the operator", now_ms)
    store.close()
    assert opened().breaker("a").paused == "by the operator"


def test_a_sink_that_is_resumed_begins_anew(store, queue, settle, now_ms):
    """With a closed breaker, and all that waited is due, behind what was due already."""
    settle(queue[0], "pending", now_ms + 300_000, troubles=5, breaker=Breaker(opened_ms=5, paused="gone"))
    store.pause("a", "", now_ms + 10)
    assert store.breaker("a") == Breaker()
    assert due(store, now_ms) == [queue[1], queue[3]]
    assert due(store, now_ms + 10) == [queue[1], queue[3], queue[0]]


def test_a_sink_that_is_resumed_begins_anew_by_a_clock_that_was_set_back(store, queue, settle, now_ms):
    """What was recorded by the clock before is due at once, too, and not in as many hours as a refusal has it wait."""
    settle(queue[0], "pending", now_ms + 5 * HOUR_MS)
    store.set_back(HOUR_MS, now_ms - HOUR_MS)
    store.pause("a", "", now_ms - HOUR_MS + 10)
    assert queue[0] in due(store, now_ms - HOUR_MS + 10)


def test_a_sink_is_resumed_alone(store, feed, make_record, keep, now_ms):
    """What another one waits for is not touched, nor why it is paused."""
    feed.show(make_record("a"), now_ms=now_ms)
    [sequence] = sequences(store)
    for sink in "ab":
        keep(store, sink, Settlement(sequence, "pending", 0, 1, now_ms + 300_000))
        store.pause(sink, "by the operator", now_ms)
    store.pause("a", "", now_ms + 10)
    assert (due(store, now_ms + 10), due(store, now_ms + 10, "b")) == ([sequence], [])
    assert store.breaker("b").paused == "by the operator"


def test_what_waits_goes_along_with_a_clock_that_is_set_back(store, queue, settle, now_ms):
    """By as much; what is due already, and what is settled, stays as it is."""
    settle(queue[0], "pending", now_ms + 5000, breaker=Breaker(opened_ms=now_ms, wait_until_ms=now_ms + 7000))
    settle(queue[1], "delivered", now_ms + 9000)
    store.set_back(HOUR_MS, now_ms - HOUR_MS)
    assert store.next_due_ms("a", now_ms - HOUR_MS) == now_ms - HOUR_MS + 5000
    assert store.breaker("a") == Breaker(opened_ms=now_ms - HOUR_MS, wait_until_ms=now_ms - HOUR_MS + 7000)
    assert due(store, now_ms - HOUR_MS) == [queue[3]]
    assert store._all("SELECT due_ms FROM delivery WHERE state <> 'pending'") == [(now_ms + 9000,)]


# Sending again


def test_parked_deliveries_can_be_sent_again(store, queue, settle, keep, now_ms):
    """With a new count of attempts, behind what is pending; that one may be done already is not forgotten."""
    for sequence in queue[:2]:
        keep(store, "a", Settlement(sequence, "parked", 10, 2, 0, "400", begun=True))
    assert store.again(Selection(sink="a"), ["parked"], now_ms + 50) == 2
    assert due(store, now_ms + 49) == [queue[2], queue[3]]
    assert due(store, now_ms + 50) == [queue[2], queue[3], queue[1]]
    for sequence in (queue[2], queue[4]):
        settle(sequence, "delivered")
    assert due(store, now_ms + 50) == [queue[3], queue[0], queue[1]]
    found = store.due("a", now_ms + 50, 9)
    assert {(one.sequence, one.attempts, one.troubles, one.begun) for one in found} == {
        (sequence, 0, 0, sequence in queue[:2]) for sequence in (queue[0], queue[1], queue[3])
    }
    assert store._all("SELECT DISTINCT settled_ms FROM delivery WHERE state = 'pending'") == [(None,)]


def test_a_replay_is_overtaken_by_nothing_newer(store, queue, settle, fill, now_ms):
    """It stands at the end of its lane, and what comes later stands behind it."""
    for sequence in (queue[1], queue[3], queue[0]):
        settle(sequence, "delivered")
    assert store.again(Selection(), ["delivered"], now_ms) == 3
    [newest] = fill("a4")
    order = []
    while found := [one for one in store.due("a", LATER, 9) if one.sequence not in (queue[1], queue[3])]:
        order.append(found[0].sequence)
        settle(found[0].sequence, "delivered")
    assert order == [queue[2], queue[4], queue[0], newest]


def test_what_is_pending_is_not_sent_again(store, queue, now_ms):
    """It is on its way already."""
    before = everything(store)
    assert store.again(Selection(), ["delivered", "parked"], now_ms) == 0
    assert everything(store) == before


def test_an_answer_that_comes_after_a_replay_settles_it(store, queue, settle, now_ms):
    """A delivery has one row, however often it is sent."""
    settle(queue[1], "delivered")
    store.again(Selection(), ["delivered"], now_ms)
    settle(queue[1], "delivered", now_ms=now_ms)
    assert store._one("SELECT state FROM delivery WHERE sequence = ?", queue[1]) == ("delivered",)


def test_dropping_is_for_what_is_parked(store, queue, settle):
    """Nothing else can be dropped."""
    settle(queue[0], "parked")
    settle(queue[1], "delivered")
    assert store.drop(Selection()) == 1
    assert [row for (row,) in store._all("SELECT sequence FROM delivery ORDER BY 1")] == queue[1:]


@pytest.fixture
def chosen(store, queue, settle):
    """The same queue with everything parked, recorded at 0, 1, 2, ... ms; the sequences that a selection means."""
    for place, sequence in enumerate(queue):
        settle(sequence, "parked")
        store._run("UPDATE event SET recorded_ms = ? WHERE sequence = ?", place, sequence)

    def chosen(**wanted):
        found = selected(store._connection, Selection(**wanted), ["parked"])
        assert {sink for _, sink, _, _ in found} <= {"a"}
        return [queue.index(sequence) for sequence, _, _, _ in found]

    return chosen


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"sink": "a"}, [0, 1, 2, 3, 4]),
        ({"sink": "b"}, []),
        ({"trigger": "client.created"}, [0, 1, 3]),
        ({"trigger": "*.updated"}, [2, 4]),
        ({"record": "a"}, [0, 2, 4]),
        ({"since_ms": 3}, [3, 4]),
        ({"until_ms": 3}, [0, 1, 2]),
        ({"since_ms": 1, "until_ms": 3, "record": "a"}, [2]),
        ({"event_id": "evt_unknown"}, []),
    ],
)
def test_a_selection_narrows(chosen, wanted, places):
    """Everything that it names has to hold."""
    assert chosen(**wanted) == places


def test_a_selection_may_name_one_event(store, chosen, queue):
    """By its id."""
    [name] = store._one("SELECT id FROM event WHERE sequence = ?", queue[3])
    assert chosen(event_id=name) == [3]
