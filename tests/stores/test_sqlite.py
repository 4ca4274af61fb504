"""The store in a file: whole or not at all, in order, and as it was."""

import errno
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unpacked import unpacking

from poller.diff import Finding, digest
from poller.locate import Ranks
from poller.model import Mark, Quarantined, State, Stream
from poller.stores import (
    Decision,
    Keep,
    Pass,
    Progress,
    Settlement,
    Standing,
    Step,
    StoreError,
    Sweeping,
    Verdict,
    loops,
)
from poller.stores.selection import Selection

DAY_MS = 86_400_000
FULL = Progress(
    baselined_ms=1,
    watermarks={"": 2, "ž": 3},
    sweep=Sweeping(Pass.IDS, 4, "p", "a", {"": 5, "p": 6}, tainted=True),
    polls=7,
    sweeps=8,
    next_sweep_ms=9,
    live=10,
    missing=11,
    held_ms=12,
    count_gap=-13,
    late=(14, 15),
)


def everything(store):
    """Every row of every table."""
    tables = [name for (name,) in store._all("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: sorted(store._all(f"SELECT * FROM {name}"), key=repr) for name in tables}


def events(store):
    return (
        unpacking(store._connection)
        .execute("SELECT id, sequence, trigger, unpacked(dictionary, body) FROM event ORDER BY sequence")
        .fetchall()
    )


def due(store, now_ms, sink="a", limit=100):
    return [delivery.sequence for delivery in store.due(sink, now_ms, limit)]


def reopened(store, opened):
    store.close()
    return opened()


# Streams


def test_a_new_stream_is_entered_once(store):
    """As never polled; and shown from then on."""
    stream = Stream("o", "clients")
    assert store.standing(stream) == store.standing(stream) == Standing(stream)
    assert store.streams() == [Standing(stream)]


@pytest.mark.parametrize("progress", [FULL, Progress(), replace(FULL, sweep=None, held_ms=None)])
def test_progress_survives_a_restart(store, opened, progress):
    """All of it, the sweep under way too."""
    stream = Stream("o", "clients")
    store.commit(stream, Step(progress), 0)
    assert reopened(store, opened).standing(stream).progress == progress


def test_a_schedule_survives_a_restart_and_leaves_progress_alone(store, opened):
    """Each has its own writer."""
    stream = Stream("o", "clients")
    store.commit(stream, Step(FULL), 0)
    standing = Standing(stream, Progress(), None, 5, 6, 7, "no", suspended=True)
    store.schedule(standing)
    assert reopened(store, opened).standing(stream) == replace(standing, progress=FULL)


def test_a_commit_leaves_the_schedule_alone(store):
    """The other way round."""
    stream = Stream("o", "clients")
    store.schedule(Standing(stream, next_poll_ms=5, failures=2))
    store.commit(stream, Step(FULL), 0)
    assert (store.standing(stream).next_poll_ms, store.standing(stream).failures) == (5, 2)


def test_many_streams_are_entered_at_once(store):
    """The new ones beside those that are known, which stay as they are; each is answered once."""
    known, new = Stream("o", "clients"), Stream("p", "items")
    store.schedule(replace(store.standing(known), next_poll_ms=7))
    found = {standing.stream: standing.next_poll_ms for standing in store.enter([new, known, new])}
    assert found == {known: 7, new: 0}
    assert [standing.stream for standing in store.enter([new])] == [new]
    assert len(store.streams()) == 2


def test_streams_do_not_touch_each_other(store, make_feed, make_record):
    """Neither their progress, nor the body of a record of the same name."""
    clients, items = (make_feed(store, Stream("o", resource)) for resource in ("clients", "items"))
    for feed in (clients, items):
        feed.show(make_record("a", feed.stream.resource))
    items.show(make_record("a", updated_ms=2000, deleted=True))
    assert [store.standing(feed.stream).progress.polls for feed in (clients, items)] == [1, 2]
    assert store.bodies(store.marks(clients.stream, "a").values()) == {"a": make_record("a", "clients").body}


def test_a_sweep_can_be_asked_for(store):
    """It begins with the next poll."""
    stream = Stream("o", "clients")
    store.commit(stream, Step(FULL), 0)
    store.sweep_soon(stream)
    assert store.standing(stream).progress == replace(FULL, next_sweep_ms=0)


def test_a_decision_is_kept_until_it_is_carried_out(store):
    """Through other commits, and the next poll is at once."""
    stream = Stream("o", "clients")
    store.commit(stream, Step(FULL), 0)
    store.schedule(Standing(stream, next_poll_ms=5))
    assert store.decide("o/clients", Decision.APPROVE) is True
    assert (store.standing(stream).decision, store.standing(stream).next_poll_ms) == (Decision.APPROVE, 0)
    store.commit(stream, Step(FULL), 0)
    assert store.standing(stream).decision == Decision.APPROVE
    store.commit(stream, Step(replace(FULL, held_ms=None), decided=True), 0)
    assert store.standing(stream).decision is None


@pytest.mark.parametrize("name", ["o/clients", "o/items", "clients", ""])
def test_where_nothing_is_held_nothing_is_decided(store, name):
    """An unknown stream is not entered either."""
    store.standing(Stream("o", "clients"))
    assert store.decide(name, Decision.REJECT) is False
    assert [standing.decision for standing in store.streams()] == [None]


def test_a_stream_can_be_paused(store, opened):
    """And resumed: it is polled at once then. One that is not known cannot, and no other is touched."""
    streams = [Stream("o", "clients"), Stream("o", "items")]
    for stream in streams:
        store.schedule(Standing(stream, next_poll_ms=5))
    assert store.pause_stream("o/clients", paused=True) is True
    assert store.pause_stream("o/orders", paused=True) is False
    store = reopened(store, opened)
    assert store.streams() == [Standing(streams[0], paused=True), Standing(streams[1], next_poll_ms=5)]
    assert store.pause_stream("o/clients", paused=False) is True
    assert store.standing(streams[0]) == Standing(streams[0])


# Marks and bodies


def test_marks_are_those_asked_for(store, feed, make_record):
    """By id; unknown ones are left out, other streams too."""
    feed.show(*(make_record(one) for one in "abc"))
    assert set(store.marks(feed.stream, ["a", "c", "x"])) == {"a", "c"}
    assert store.marks(feed.stream, []) == {}
    assert store.marks(Stream("o", "items"), ["a"]) == {}


@pytest.mark.parametrize("chunk", [1, 3, 10_000])
def test_ranks_are_of_live_marks_by_listing(store, feed, make_record, monkeypatch, chunk):
    """Every so many-th id of each, in order; what is deleted or missing has none. They are read by chunks."""
    monkeypatch.setattr(loops, "CHUNK_MARKS", chunk)
    assert store.ranks(feed.stream, 2) == {}
    feed.show(*(make_record(one) for one in "gcabfde"), make_record("aa", deleted=True))
    feed.set_states(State.MISSING, "d")
    assert store.ranks(feed.stream, 2) == {"": Ranks(6, 2, ("b", "e", "g"))}
    assert store.ranks(feed.stream, 7) == {"": Ranks(6, 7, ())}
    marks = store.marks(feed.stream, "bcf").values()
    moved = [Finding(State.LIVE, mark._replace(parent="p")) for mark in marks]
    store.commit(feed.stream, Step(feed.progress, moved), 0)
    assert store.ranks(feed.stream, 2) == {"": Ranks(3, 2, ("e",)), "p": Ranks(3, 2, ("c",))}


@pytest.mark.parametrize(
    ("after", "upto", "limit", "ids"),
    [
        ("", None, -1, "abcdž"),
        ("", "d", -1, "abcd"),
        ("a", "c", -1, "bc"),
        ("b", None, 2, "cd"),
        ("bb", "cc", -1, "c"),
        ("d", "e", -1, ""),
        ("d", "ž", -1, "ž"),
        ("ž", None, -1, ""),
        ("c", "b", -1, ""),
    ],
)
def test_marks_between_ids(store, feed, make_record, after, upto, limit, ids):
    """Above the first, up to the second and with it, in order: as Python orders them."""
    feed.show(*(make_record(one) for one in "džcab"))
    assert list(store.marks_between(feed.stream, after, upto, limit)) == list(ids)


def test_the_digests_of_live_records(store, feed, make_record):
    """Of this listing alone, so many above an id, in the order of ids."""
    records = {one: make_record(one, deleted=one == "e") for one in "gedcba"}
    feed.show(*records.values())
    feed.set_states(State.MISSING, "c")
    marks = store.marks(feed.stream, "d")
    store.commit(feed.stream, Step(feed.progress, [Finding(State.LIVE, marks["d"]._replace(parent="p"))]), 1)
    assert list(store.known(feed.stream, "", "a", 2).items()) == [(records[one].digest, one) for one in "bg"]
    assert list(store.known(feed.stream, "", "", 2).values()) == ["a", "b"]
    assert store.known(feed.stream, "p", "", 9) == {records["d"].digest: "d"}
    assert [store.live_between(feed.stream, "", *ends) for ends in [("", "z"), ("a", "g"), ("b", "f")]] == [3, 2, 0]
    assert store.live_between(feed.stream, "p", "", "z") == 1


def test_missing_marks_are_listed_in_order(store, feed, make_record):
    """They alone, page by page."""
    feed.show(*(make_record(one) for one in "abcdef"))
    feed.set_states(State.MISSING, *"fdb")
    feed.set_states(State.DISMISSED, "c")
    assert [mark.id for mark in store.missing(feed.stream, "", 2)] == ["b", "d"]
    assert [mark.id for mark in store.missing(feed.stream, "d", 2)] == ["f"]


def test_a_mark_comes_back_as_it_was(store, opened, feed, make_record):
    """With its place in the bodies."""
    feed.show(make_record("a"), make_record("b", updated_ms=None))
    marks = reopened(store, opened).marks(feed.stream, "ab")
    assert marks["a"] == Mark("a", 1000, digest(make_record("a").body), State.LIVE, "", 1)
    assert (marks["b"].updated_ms, marks["b"].body) == (None, 2)
    assert marks["a"].state is State.LIVE


def test_a_mark_is_replaced_whole(store, feed, make_record):
    """All of it may have changed."""
    feed.show(make_record("a"))
    mark = Mark("a", 2000, b"another digest", State.DELETED, "another parent", 0)
    store.commit(feed.stream, Step(Progress(), [Finding(State.LIVE, mark, b"")]), 5)
    assert store.marks(feed.stream, "a") == {"a": mark}


def test_bodies_come_back_as_they_were(store, opened, feed, make_record):
    """The newest of each, through restarts."""
    records = [make_record(f"{n}", f"Žiga {n} " * 50) for n in range(50)]
    feed.show(*records)
    changed = make_record("7", "another", updated_ms=2000)
    feed.show(changed)
    store = reopened(store, opened)
    marks = store.marks(feed.stream, [record.id for record in records])
    expected = {record.id: record.body for record in records} | {"7": changed.body}
    assert store.bodies(marks.values()) == expected
    assert store._one("SELECT count(*) FROM body") == (50,)


def test_resources_have_dictionaries_of_their_own(store, opened, make_feed, make_record):
    """Made of the first bodies and events; all of an organization's and of others' share it."""
    feeds = [make_feed(store, Stream(org, resource)) for org in "op" for resource in ("clients", "items")]
    for number, feed in enumerate(feeds):
        feed.show(make_record("a", f"text {number}"))
    assert [name for (name,) in store._all("SELECT resource FROM dictionary ORDER BY id")] == [
        "clients",
        "clients events",
        "items",
        "items events",
    ]
    store = reopened(store, opened)
    for number, feed in enumerate(feeds):
        [body] = store.bodies(store.marks(feed.stream, "a").values()).values()
        assert body == make_record("a", f"text {number}").body


def test_a_commit_without_bodies_makes_no_dictionary(store):
    """Else it would be made of nothing, for good."""
    store.commit(Stream("o", "clients"), Step(Progress(), [Finding(None, Mark("a", 1, b"digest"))]), 5)
    assert store._all("SELECT * FROM dictionary") == []


@given(st.lists(st.binary(min_size=1, max_size=20_000), min_size=1, max_size=3), st.binary(min_size=1))
def test_any_bytes_are_unpacked_as_they_were_packed(sample, body):
    """Whatever the dictionary was made of."""
    from sqlite_utils import Database

    from poller.stores.bodies import Codec
    from poller.stores.schema import migrations

    database = Database(memory=True)
    migrations.apply(database)
    with closing(database):
        codec = Codec(database)
        codec.packed("clients", sample)
        number, packed = codec.packed("clients", [body, *sample])
        assert [Codec(database).unpack(one, number) for one in packed] == [body, *sample]


def test_a_dictionary_of_a_failed_commit_is_forgotten(store, opened, feed, make_record):
    """Else bodies would be packed against one that nobody can read after a restart."""
    break_off(store, "event")
    with pytest.raises(StoreError):
        feed.show(make_record("a", "what was in the page that failed"))
    store._run("DROP TRIGGER temp.breaks")
    shown = make_record("b", "something else altogether, and longer than before")
    feed.show(shown)
    store = reopened(store, opened)
    assert store.bodies(store.marks(feed.stream, "b").values()) == {"b": shown.body}


def test_a_deleted_record_s_body_is_forgotten(store, feed, make_record):
    """And one that is created again gets a new one."""
    feed.show(make_record("a"), make_record("b"))
    feed.show(make_record("a", updated_ms=2000, deleted=True))
    assert store.bodies(store.marks(feed.stream, "ab").values()) == {"b": make_record("b").body}
    assert store._one("SELECT count(*) FROM body") == (1,)
    again = make_record("a", "again", updated_ms=3000)
    feed.show(again)
    assert store.bodies(store.marks(feed.stream, "ab").values()) == {"a": again.body, "b": make_record("b").body}


# Commits


TABLES = ("mark", "body", "dictionary", "event", "delivery", "quarantine", "meta", "stream")


def break_off(store, table):
    """Make the next write to a table fail, in the middle of a transaction."""
    act = "UPDATE ON" if table in ("meta", "stream") else "INSERT ON"
    store._run(f"CREATE TEMP TRIGGER breaks BEFORE {act} {table} BEGIN SELECT RAISE(ABORT, 'broken'); END")


@pytest.mark.parametrize("table", TABLES)
def test_a_commit_that_fails_anywhere_did_not_happen(store, feed, make_record, table):
    """Marks, bodies, events, deliveries, watermark: none of it; and then it can be done again."""
    feed.store.standing(feed.stream)
    step = feed.step(make_record("a"), make_record("b"), quarantined=[Quarantined("x", "bad")])
    before = everything(store)
    break_off(store, table)
    with pytest.raises(StoreError, match="the state cannot be used now: broken"):
        store.commit(feed.stream, step, 5)
    assert everything(store) == before
    store._run("DROP TRIGGER temp.breaks")
    assert store.commit(feed.stream, step, 5) == 2
    assert len(events(store)) == 2


def test_an_interrupt_in_a_transaction_undoes_it(store, feed, make_record):
    """Also what is no error at all; and the next one begins anew."""
    feed.show(make_record("a"))
    before = everything(store)

    def judge(_):
        store._run("DELETE FROM delivery")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.settle("a", judge, 5)
    assert everything(store) == before
    feed.show(make_record("b"))


def test_a_state_keeps_its_name(store, feed, make_record, opened):
    """By which its lock file knows it; commits and restarts leave it alone."""
    sql = "SELECT value FROM meta WHERE key = 'state'"
    before = store._one(sql)
    feed.show(make_record("a"))
    store.again(Selection(), ["delivered"], 5)
    assert reopened(store, opened)._one(sql) == before


def test_a_stream_of_a_failed_commit_is_entered_again(store, make_feed, make_record):
    """Its number went with the transaction."""
    feed = make_feed(store)
    step = Step(Progress(polls=1), quarantined=[Quarantined("x", "bad")])
    break_off(store, "quarantine")
    with pytest.raises(StoreError):
        store.commit(feed.stream, step, 5)
    store._run("DROP TRIGGER temp.breaks")
    store.standing(Stream("another", "clients"))
    store.commit(feed.stream, step, 5)
    assert store.standing(feed.stream) == Standing(feed.stream, Progress(polls=1))
    assert store.quarantined(feed.stream) == 1


def test_fault_13_every_write_locks_from_its_first_statement_on(store, feed, make_record, keep):
    """A transaction that begins by reading can fail when it comes to write, whatever the busy timeout."""
    step = feed.step(make_record("a"))
    statements = []
    store._connection.set_trace_callback(statements.append)
    for act in (
        lambda: store.commit(feed.stream, step, 5),
        lambda: keep(store, "a"),
        lambda: store.schedule(Standing(feed.stream)),
        lambda: store.sweep_soon(feed.stream),
        lambda: store.decide("o/clients", Decision.APPROVE),
        lambda: store.clear_quarantine(feed.stream, 5),
        lambda: store.pause("a", "", 5),
        lambda: store.pause_stream("o/clients", paused=True),
        lambda: store.again(Selection(), ["parked"], 5),
        lambda: store.drop(Selection()),
        lambda: store.tidy(Keep(), 5),
    ):
        statements.clear()
        act()
        said = [one for one in statements if not one.startswith("PRAGMA")]
        assert (said[0], said[-1]) == ("BEGIN IMMEDIATE", "COMMIT")
        assert len([one for one in said if one.startswith(("BEGIN", "COMMIT"))]) == 2


def test_fault_14_a_full_disk_loses_nothing(store, feed, make_record, keep):
    """Commits fail whole; deliveries go on to be settled; with space again all is as before."""
    feed.show(make_record("a"))
    (pages,) = store._one("PRAGMA page_count")
    store._run(f"PRAGMA max_page_count = {pages + 3}")
    before = everything(store)
    step = feed.step(*(make_record(f"{n}", "x" * 500) for n in range(300)))
    with pytest.raises(StoreError, match="full"):
        store.commit(feed.stream, step, 5)
    assert everything(store) == before
    [sequence] = due(store, 2**60)
    keep(store, "a", Settlement(sequence, "delivered", 1, 0, 0))
    store._run(f"PRAGMA max_page_count = {2**30}")
    assert store.commit(feed.stream, step, 7) == 300


def test_fault_12_a_foreign_writer_delays_and_loses_nothing(store, feed, make_record, path, keep):
    """Somebody has the database open in a shell and holds its lock."""
    feed.show(make_record("a"))
    store._run("PRAGMA busy_timeout = 20")
    before = everything(store)
    step = feed.step(make_record("b"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for act in (
            lambda: store.commit(feed.stream, step, 5),
            lambda: keep(store, "a"),
            lambda: store.schedule(Standing(feed.stream)),
            lambda: store.again(Selection(), ["parked"], 5),
        ):
            with pytest.raises(StoreError, match="database is locked"):
                act()
        assert len(store.due("a", 2**60, 10)) == 1
        other.execute("ROLLBACK")
    assert everything(store) == before
    assert store.commit(feed.stream, step, 5) == 1


def test_nothing_can_be_done_after_closing(store, feed, make_record):
    """It is an error as any other, so that a poll under way ends by it."""
    step = feed.step(make_record("a"))
    store.close()
    for act in (lambda: store.commit(feed.stream, step, 5), lambda: store.due("a", 5, 5)):
        with pytest.raises(StoreError):
            act()


def test_a_write_waits_for_the_one_under_way(store, feed):
    """There is one connection, so one transaction at a time; none fails for that."""
    with ThreadPoolExecutor(1) as pool:
        waiting = []

        def judge(before):
            waiting.append(pool.submit(store.schedule, Standing(feed.stream, next_poll_ms=7)))
            wait(waiting, timeout=0.2)
            return Verdict([], before, before)

        store.settle("a", judge, 5)
        waiting[0].result()
    assert store.standing(feed.stream).next_poll_ms == 7


def test_threads_take_turns(store, make_feed, make_record):
    """Each commit is whole, and no sequence is given twice."""
    feeds = [make_feed(store, Stream(f"{n}", "clients")) for n in range(8)]

    def fill(feed):
        for n in range(20):
            feed.show(make_record(f"{n}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, feeds))
    sequences = [sequence for _, sequence, _, _ in events(store)]
    assert len(set(sequences)) == 160
    assert store._one("SELECT value FROM meta WHERE key = 'sequence'") == (str(max(sequences)),)


# Events


def test_sequences_rise_by_the_clock_and_without_it(store, opened, feed, make_feed, make_record, now_ms):
    """Through restarts, and with a clock that was set back."""
    feed.show(make_record("a"), make_record("b"), now_ms=now_ms)
    feed.show(make_record("c"), now_ms=now_ms - DAY_MS)
    store = reopened(store, opened)
    again = make_feed(store)
    again.show(make_record("d"), now_ms=0)
    again.show(make_record("e"), now_ms=now_ms + 1)
    start = now_ms * 1000
    sequences = [sequence for _, sequence, _, _ in events(store)]
    assert sequences == [start, start + 1, start + 2, start + 3, start + 1000]


def test_stored_bytes_say_what_the_columns_say(store, feed, make_record):
    """They are what every attempt sends."""
    feed.show(make_record("a"))
    [(identity, sequence, trigger, body)] = events(store)
    wire = json.loads(body)
    assert (wire["id"], wire["sequence"]) == (identity, f"{sequence:020d}")
    assert (trigger, wire["type"]) == ("client.created", "com.spaceinvoices.client.created")


def test_fault_43_equal_changes_have_ordinals(store, feed, make_record):
    """From A to B, back, and again, under one stamp: four events, four ids."""
    for text in "ABABA":
        feed.show(make_record("a", text))
    ids = [identity for identity, *_ in events(store)]
    assert len(set(ids)) == 5
    assert ids[3] == f"{ids[1]}_2"
    assert ids[4] == f"{ids[2]}_2"


def test_only_what_was_told_already_gets_an_ordinal(store, feed, make_record):
    """Not what else is new on the page."""
    for text in "aba":
        feed.show(make_record("x", text))
    feed.show(make_record("x", "b"), make_record("y", "b"), make_record("z", "b"))
    told = [(json.loads(body)["data"]["object"]["id"], identity) for identity, _, _, body in events(store)]
    assert [(name, identity.count("_")) for name, identity in told[3:]] == [("x", 2), ("y", 1), ("z", 1)]


def test_a_lost_state_gives_the_same_ids(tmp_path, opened, make_feed, make_record, now_ms):
    """The same changes seen again, at another time, in another file."""
    both = []
    for number in range(2):
        store = opened(tmp_path / f"{number}" / "poller.db")
        feed = make_feed(store)
        feed.show(make_record("a"), now_ms=now_ms + number)
        feed.show(make_record("a", "new", updated_ms=2000), now_ms=now_ms + 10 * number)
        both.append([identity for identity, *_ in events(store)])
    assert both[0] == both[1]


def test_deliveries_are_for_the_sinks_that_want_the_event(store, feed, make_record):
    """An event that none wants is kept without any."""
    feed.show(make_record("a"), sinks=("a",))
    feed.show(make_record("b"), sinks=())
    feed.show(make_record("c"), sinks=("b", "a"))
    wanted = [(sink, identity) for sink in "abc" for identity in due(store, 2**60, sink)]
    sequences = [sequence for _, sequence, _, _ in events(store)]
    assert wanted == [("a", sequences[0]), ("a", sequences[2]), ("b", sequences[2])]


# Quarantine


def test_quarantine_is_counted_and_cleared(store, feed, now_ms):
    """Each record once, by when it was last seen; of one stream."""
    bad = [Quarantined("x", "bad"), Quarantined("y", "bad")]
    feed.show(quarantined=bad, now_ms=now_ms)
    feed.show(quarantined=bad[:1], now_ms=now_ms + 10)
    store.standing(Stream("o", "items"))
    assert store.quarantined(feed.stream) == 2
    assert store.quarantined(Stream("o", "items")) == 0
    store.clear_quarantine(feed.stream, now_ms + 10)
    assert store.quarantined(feed.stream) == 1
    store.clear_quarantine(feed.stream, now_ms + 11)
    assert store.quarantined(feed.stream) == 0


def test_a_disk_that_is_gone_is_trouble_of_the_state(store, monkeypatch):
    """As all that it cannot do now."""

    def gone(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.statvfs", gone)
    with pytest.raises(StoreError, match="Input/output error"):
        store.load()


@pytest.mark.parametrize("damage", ["body = x'00'", "dictionary = 99"])
def test_an_event_that_cannot_be_unpacked_is_damage(store, feed, make_record, damage):
    """It is told as trouble of the state, and not sent in some other shape."""
    feed.show(make_record("a"))
    store._run(f"UPDATE event SET {damage}")
    with pytest.raises(StoreError, match=r"the state is damaged.*see poller verify"):
        store.due("a", 2**60, 9)
