"""Writes are whole or not at all, one after the other, whatever the disk or another program does."""

import errno
import sqlite3
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing

import pytest
from stored import break_off, due, events, everything, reopened

from poller.model import Quarantined, Stream
from poller.stores import Decision, Keep, Progress, Settlement, Standing, Step, StoreError, Verdict
from poller.stores.selection import Selection

TABLES = ("mark", "body", "dictionary", "event", "delivery", "quarantine", "meta", "stream")


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


def test_a_disk_that_is_gone_is_trouble_of_the_state(store, monkeypatch):
    """As all that it cannot do now."""

    def gone(_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.statvfs", gone)
    with pytest.raises(StoreError, match="Input/output error"):
        store.load()
