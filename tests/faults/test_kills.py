"""Faults of the process, killed at just one point; docs/faults.md is the whole list.

A build that kills itself stands for whoever kills it: at just this point, every time.
"""

import json
import time
from collections import Counter
from signal import SIGKILL, SIGTERM

import pytest
from process import SECRET, Site, only, webhook
from receiver import Receiver, hang

CLIENTS = only("clients")

DIE = """
import os, signal

def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def dies(where, name, when):
    """Python that makes a function of poller kill the process, before or after it did its work."""
    return f"""{DIE}
from {where.rpartition(".")[0]} import {where.rpartition(".")[2]} as place
function = place.{name}

def dying(*arguments, **options):
    {"die()" if when == "before" else "pass"}
    done = function(*arguments, **options)
    {"die()" if when == "after" else "pass"}
    return done

place.{name} = dying
"""


def events(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def site(tmp_path, api, account, org, poll_here):
    """Ten clients are known; since then one is new, one has changed, and one is gone."""
    known = account.bulk_create(org, "clients", 10)
    made = Site(tmp_path, api.url, CLIENTS)
    poll_here(made)
    account.create(org, "clients")
    account.update(org, "clients", known[0], {"name": "Changed"})
    account.soft_delete(org, "clients", known[1])
    return made


KILLS = {
    "after the fetch": dies("poller.stores.sqlite", "SqliteStore.commit", "before"),
    "within the transaction": dies("poller.stores.outbox", "announce", "after"),
}


def remembered(site):
    """The whole state, but for where the API is."""
    return [line for line in site.dump() if "'address'" not in line]


@pytest.mark.parametrize("patch", KILLS.values(), ids=KILLS)
def test_fault_01_02_killed_before_the_commit(site, patch):
    """Nothing of the page is kept; the next poll finds the same changes, under the ids that they would have had."""
    expected = [event["id"] for event in events(site.run("once", "--dry-run").out)]
    before = remembered(site)
    assert site.run("once", patch=patch).code == -SIGKILL
    assert remembered(site) == before
    done = site.run("once")
    assert [event["id"] for event in events(done.out)] == expected
    assert len(set(expected)) == 3


def test_fault_03_killed_right_after_the_commit(site):
    """All events are pending, and sent after the restart; the page is not compared again."""
    killed = site.run("once", patch=dies("poller.stores.sqlite", "SqliteStore.commit", "after"))
    assert (killed.code, killed.out) == (-SIGKILL, "")
    told = [identity for (identity,) in site.query("SELECT id FROM event ORDER BY sequence")]
    assert site.query("SELECT state, count(*) FROM delivery") == [("pending", 3)]
    assert [event["id"] for event in events(site.run("once").out)] == told


def test_fault_04_killed_while_a_request_is_under_way(tmp_path, api, account, org):
    """The receiver has it already, and gets it again: the same id and bytes, signed anew."""
    with Receiver(hang()) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url))
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: receiver.records)
            poller.kill()
        time.sleep(1)  # stamps are whole seconds
        assert site.run("once").code == 0
    first, second = receiver.records
    assert (first.id, first.body) == (second.id, second.body)
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])
    second.verify(SECRET)


def test_fault_05_killed_between_the_yes_and_the_mark(tmp_path, api, account, org, poll_here):
    """What was being sent comes exactly once more, and nothing else comes twice."""
    with Receiver() as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url))
        poll_here(site)
        account.bulk_create(org, "clients", 20)
        killed = site.run("once", patch=dies("poller.stores.outbox", "settle", "after"))
        assert killed.code == -SIGKILL
        flying = {record.id for record in receiver.records}
        assert 1 <= len(flying) == len(receiver.records) <= 4
        assert site.run("once").code == 0
    told = {identity for (identity,) in site.query("SELECT id FROM event")}
    assert Counter(record.id for record in receiver.records) == {one: 1 + (one in flying) for one in told}
    assert len({(record.id, record.body) for record in receiver.records}) == len(told) == 20


def configured(site, line):
    """Put a line into the table of the state."""
    site.config.write_text(site.config.read_text().replace("[state]\n", f"[state]\n{line}\n"))


def test_fault_06_killed_while_old_events_are_forgotten(site):
    """What was being forgotten is still there, whole, and is forgotten after the restart."""
    site.run("once")
    configured(site, 'keep = "1ms"')
    with site.start(patch=dies("poller.stores.upkeep", "prune", "after")) as poller:
        assert poller.wait().code == -SIGKILL
    assert site.query("SELECT count(*) FROM event") == [(3,)]
    assert site.run("verify").code == 0
    with site.start() as poller:
        poller.until(lambda: site.query("SELECT count(*) FROM event") == [(0,)])


MIGRATES = """
from poller.stores import schema, version

@schema.migrations()
def next_one(db):
    db.execute("CREATE TABLE another (id INTEGER PRIMARY KEY)")
    db.execute("CREATE INDEX another_one ON event (org)")
    {end}

version.VERSION += 1
"""


def version(site):
    (tables,), (number,) = (
        site.query("SELECT count(*) FROM sqlite_master WHERE name = 'another'")[0],
        site.query("PRAGMA user_version")[0],
    )
    return tables, number


def test_fault_06_killed_in_a_migration(site):
    """It is of the old version all through, or of the new one; an upgrade that is tried again comes to its end."""
    _, before = version(site)
    assert site.run("once", patch=DIE + MIGRATES.format(end="die()")).code == -SIGKILL
    assert version(site) == (0, before)
    assert site.run("once", patch=MIGRATES.format(end="pass")).code == 0
    assert version(site) == (1, before + 1)


def test_fault_06_killed_in_the_first_migration(tmp_path, api):
    """Then the next start is the first one."""
    site = Site(tmp_path, api.url, CLIENTS)
    first = "from poller.stores import schema\nstep = schema.migrations._migrations[0]\n"
    whole = "make = step.fn\nstep.fn = lambda db: (make(db), die())\n"
    assert site.run("once", patch=DIE + first + whole).code == -SIGKILL
    assert site.run("once").code == 0


def test_fault_06_killed_in_a_backup(tmp_path, site):
    """The backup before it is whole; the next one leaves nothing of the one that was cut off."""
    target = tmp_path / "backups" / "poller.db"
    target.parent.mkdir()
    target.write_text("the one before")
    assert site.run("backup", str(target), patch=dies("poller.stores.upkeep", "_sync", "before")).code == -SIGKILL
    assert target.read_text() == "the one before"
    assert sorted(path.name for path in target.parent.iterdir()) == ["poller.db", "poller.db.part"]
    assert site.run("backup", str(target)).code == 0
    assert [path.name for path in target.parent.iterdir()] == ["poller.db"]
    assert target.read_bytes().startswith(b"SQLite format 3")


def test_fault_09_a_signal_in_a_migration(site):
    """It ends at once, and what the migration did is undone."""
    _, before = version(site)
    with site.start(patch="import time, sys\n" + MIGRATES.format(end="print(flush=True), time.sleep(60)")) as poller:
        poller.until(lambda: poller.out)
        assert poller.stop(SIGTERM, timeout_s=2).code == -SIGTERM
    assert version(site) == (0, before)
    assert site.run("once").code == 0
