"""What must hold in every state: a state with a little of everything has it, and each violation is named."""

import sqlite3
from contextlib import closing

import pytest
from unpacked import unpacking

from poller.breaker import Breaker
from poller.model import State
from poller.plan import Order
from poller.stores import Settlement
from poller.stores.invariants import _RULES
from poller.stores.reading import View
from poller.stores.selection import Selection

FIRST = 1_790_000_000_000_000
"""The sequence of record a's event, delivered to sink a; b's, parked, c's and d's follow; then d's deletion."""


@pytest.fixture
def violations(store, feed, make_record, keep, path, now_ms):
    """What is found after statements were carried out on a state with a little of everything."""
    feed.show(*(make_record(one) for one in "abcd"), now_ms=now_ms)
    sequences = [one.sequence for one in store.due("a", 2**60, 9)]
    keep(store, "a", Settlement(sequences[0], "delivered", 1, 0, 0), now_ms=now_ms)
    keep(store, "a", Settlement(sequences[1], "parked", 10, 0, 0, "400"), now_ms=now_ms)
    feed.show(make_record("d", updated_ms=2000, deleted=True), now_ms=now_ms)
    feed.set_states(State.MISSING, "c")
    store._run("UPDATE stream SET live = 2, missing = 1, baselined_ms = 5, watermarks = '{\"\": 5}'")

    def violations(*statements):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in statements:
                unpacking(connection).execute(statement)
        with View(path) as view:
            return list(view.violations())

    return violations


def test_a_good_state_has_no_violations(violations):
    """With live, missing and deleted records, and deliveries in every state."""
    assert violations() == []


@pytest.mark.parametrize("order", list(Order))
def test_a_state_is_good_through_all_that_is_done_to_deliveries(
    store, make_feed, make_record, keep, path, now_ms, order
):
    """Settled, put off, sent again, forgotten, a lane let go; in whichever order they are kept."""
    feed = make_feed(store, order=order)
    store._run("UPDATE stream SET baselined_ms = 5")
    for text in ("1", "2", "3"):
        feed.show(*(make_record(one, text) for one in "abcdef"), now_ms=now_ms)
        [one, *_] = [delivery.sequence for delivery in store.due("a", 2**60, 99)]
        keep(store, "a", Settlement(one, "pending", 7, 3, now_ms, "400"))
        store.again(Selection(), ["delivered"], now_ms)
        for delivery in store.due("a", 2**60, 99):
            keep(store, "a", Settlement(delivery.sequence, "delivered", 1, 0, 0), breaker=Breaker(failures=2))
    store.again(Selection(record="a"), ["delivered"], now_ms)
    feed.show(make_record("g"), sinks=(), now_ms=now_ms)
    store._run("UPDATE stream SET live = 7")
    with View(path) as view:
        assert list(view.violations()) == []


WRONG = {
    "UPDATE stream SET live = live + 1": ["streams count their live records (o/clients)"],
    "UPDATE stream SET missing = 0": ["streams count their missing records (o/clients)"],
    "UPDATE stream SET baselined_ms = NULL": ["nothing is concluded before a first complete listing (o/clients)"],
    "UPDATE stream SET baselined_ms = NULL, watermarks = '{}'": [
        "nothing is concluded before a first complete listing (o/clients)"
    ],
    "UPDATE stream SET decision = 'approve', missing = 0": [
        "only deletions that wait are decided on (o/clients)",
        "streams count their missing records (o/clients)",
    ],
    "INSERT INTO mark VALUES (99, 'x', 0, x'', 1, '', 0)": ["every mark is of a stream (x)"],
    "INSERT INTO quarantine VALUES (99, 'x', '', 0)": ["every quarantined record is of a stream (x)"],
    "DELETE FROM body WHERE id = (SELECT body FROM mark WHERE id = 'a')": [
        "every record that is not deleted has a last body (a)"
    ],
    "INSERT INTO body VALUES (99, 0, x'')": ["every body belongs to one record (99)"],
    "UPDATE mark SET body = (SELECT body FROM mark WHERE id = 'a') WHERE id = 'd'": [
        "every body belongs to one record (1)",
        "a record that is deleted has none (d)",
    ],
    "UPDATE body SET dictionary = 99 WHERE id = 1": ["every body has its dictionary (1)"],
    "UPDATE event SET dictionary = 99 WHERE record = 'a'": ["every event has its dictionary ({a})"],
    "UPDATE mark SET id = 'z' WHERE id = 'd'": [
        "every event is of a record that is remembered ({d})",
        "every event is of a record that is remembered ({d_deleted})",
    ],
    f"UPDATE event SET recorded_ms = {FIRST // 1000 + 1} WHERE record = 'a'": [
        "no sequence is behind its time ({a})",
        "event {a} is not what its bytes say",
    ],
    "UPDATE meta SET value = '1790000000000003' WHERE key = 'sequence'": [
        "every sequence and every turn was given out (1790000000000004)"
    ],
    f"UPDATE delivery SET turn = {FIRST * 2} WHERE sequence = {FIRST + 2} AND sink = 'a'": [
        f"every sequence and every turn was given out ({FIRST * 2})"
    ],
    "DELETE FROM event WHERE record = 'a'": [f"every delivery has its event ({FIRST})"],
    f"UPDATE delivery SET turn = 5 WHERE sequence = {FIRST + 2} AND sink = 'a'": [
        f"no turn is before the event's own ({FIRST + 2})"
    ],
    f"UPDATE delivery SET turn = {FIRST + 3} WHERE sequence = {FIRST + 2} AND sink = 'b'": [
        f"no two deliveries of a sink, or of a lane of a route, have one turn ({FIRST + 3})"
    ],
    f"""UPDATE delivery SET state = 'delivered', attempts = 1, settled_ms = 5
        WHERE sequence = {FIRST + 4} AND sink = 'a'""": [
        f"nothing is delivered before what its lane waits for ({FIRST + 4})",
        "sinks count what they delivered (a)",
    ],
    "UPDATE delivery SET settled_ms = NULL WHERE state = 'parked'": [
        f"what is settled has a time, what is pending has none ({FIRST + 1})"
    ],
    f"UPDATE delivery SET settled_ms = 5 WHERE sequence = {FIRST + 2} AND sink = 'a'": [
        f"what is settled has a time, what is pending has none ({FIRST + 2})"
    ],
    "UPDATE delivery SET attempts = 0 WHERE state = 'delivered'": [
        f"what is delivered was sent, and ended well ({FIRST})"
    ],
    "UPDATE delivery SET error = '400' WHERE state = 'delivered'": [
        f"what is delivered was sent, and ended well ({FIRST})"
    ],
    "UPDATE delivery SET error = '' WHERE state = 'parked'": [f"what is parked says why ({FIRST + 1})"],
    f"UPDATE delivery SET attempts = 99 WHERE sequence = {FIRST + 2} AND sink = 'a'": [
        f"what is pending may still be sent ({FIRST + 2})"
    ],
    f"UPDATE delivery SET shape = '5ha9e' WHERE sequence = {FIRST + 2} AND sink = 'a'": [
        f"every shape that is to be sent is there ({FIRST + 2})"
    ],
    f"INSERT INTO step (sequence, sink, route, results) VALUES ({FIRST}, 'z', 'r', x'7b7d')": [
        f"the results of steps are of deliveries that are not done ({FIRST})"
    ],
    f"UPDATE delivery SET state = 'held', settled_ms = 5 WHERE sequence = {FIRST + 2} AND sink = 'a'": [
        "routes hold what they count as held ()"
    ],
    "UPDATE sink SET delivered = 0": ["sinks count what they delivered (a)"],
    "DELETE FROM sink": ["sinks count what they delivered (a)"],
    "UPDATE mark SET digest = x'00' WHERE id = 'a'": ["the last body of record a is not what its mark says"],
    "UPDATE body SET bytes = x'00' WHERE id = 1": ["the last body of record a is not what its mark says"],
    "UPDATE event SET body = CAST('{}' AS BLOB) WHERE record = 'a'": ["event {a} is not what its bytes say"],
    "UPDATE event SET body = x'ff' WHERE record = 'a'": ["event {a} is not what its bytes say"],
    "UPDATE event SET dictionary = 0, "
    "body = CAST(replace(CAST(unpacked(dictionary, body) AS TEXT), 'evt_', 'evt-') AS BLOB) WHERE record = 'a'": [
        "event {a} is not what its bytes say"
    ],
    "UPDATE event SET trigger = 'client.updated' WHERE record = 'a'": ["event {a} is not what its bytes say"],
    "UPDATE event SET trigger = 'poller.stream.failing', resource = 'streams' WHERE record = 'a'": [
        "every event about a stream is of one that is followed ({a})",
        "event {a} is not what its bytes say",
        "the delivery of event {a} to a is in a lane of other events",
        "the delivery of event {a} to b is in a lane of other events",
    ],
    "UPDATE event SET record = 'b' WHERE record = 'a'": [
        "event {a} is not what its bytes say",
        "the delivery of event {a} to a is in a lane of other events",
        "the delivery of event {a} to b is in a lane of other events",
    ],
    f"UPDATE delivery SET lane = 7 WHERE sequence = {FIRST}": [
        "the delivery of event {a} to a is in a lane of other events",
        "the delivery of event {a} to b is in a lane of other events",
    ],
    'UPDATE sink SET breaker = \'{"failures": "many"}\'': ["the breaker of sink a cannot be read"],
    "UPDATE stream SET sweep = '{}'": ["the progress of stream o/clients cannot be read"],
    "UPDATE stream SET rhythm = '{'": ["the progress of stream o/clients cannot be read"],
    "UPDATE stream SET watermarks = 'x'": ["the progress of stream o/clients cannot be read"],
    "DROP INDEX delivery_lane": ["the database is damaged: its delivery_lane is not that of this version"],
    "ALTER TABLE sink ADD COLUMN mood": ["the database is damaged: its sink is not that of this version"],
    "CREATE TABLE guest (id)": ["the database is damaged: its guest is not that of this version"],
}


@pytest.mark.parametrize(("statement", "words"), WRONG.items())
def test_each_violation_is_named(violations, store, statement, words):
    """With what it is about; and nothing else is."""
    rows = store._all("SELECT replace(record || '_' || substr(trigger, 8), '_created', ''), id FROM event")
    found = {line.removeprefix("not true: ") for line in violations(statement)}
    assert found == {line.format(**dict(rows)) for line in words}


def test_an_id_that_is_there_twice_is_named(violations, store):
    """Though it takes another schema to get there."""
    [(name,)] = store._all("SELECT id FROM event WHERE record = 'a'")
    found = violations(
        "PRAGMA foreign_keys = OFF",
        "ALTER TABLE event RENAME TO other",
        "CREATE TABLE event AS SELECT * FROM other",
        f"UPDATE event SET id = '{name}' WHERE record = 'b'",
    )
    assert f"not true: every id is of one event ({name})" in found


def test_every_rule_can_be_violated():
    """No rule is there that no state can break: each is broken above."""
    broken = {line.rpartition(" (")[0] for words in WRONG.values() for line in words}
    assert set(_RULES) - broken == {"every id is of one event"}


def test_damage_is_named(violations, store, path):
    """An index that misses a row."""
    found = violations(
        "PRAGMA writable_schema = ON",
        "DELETE FROM sqlite_master WHERE name = 'delivery_due'",
    )
    assert any("damaged" in line for line in found)


def test_no_more_than_some_violations_of_a_rule_are_named(store, feed, make_record, violations, now_ms):
    """A thousand of one kind say no more than twenty."""
    feed.show(*(make_record(f"m{number}") for number in range(30)), now_ms=now_ms)
    found = violations("UPDATE stream SET live = 32, missing = 1, baselined_ms = 5", "DELETE FROM body")
    assert len(found) == 20
