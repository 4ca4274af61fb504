"""Faults of the state and of the process; docs/faults.md is the whole list.

A build that kills itself stands for whoever kills it: at just this point, every time.
"""

import ast
import json
import re
import resource
import sqlite3
import time
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest
from process import SECRET, Site, file, lines, only, webhook
from receiver import Receiver, answer, delay, hang

import poller
from poller import control
from poller.simulator import faults

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
from poller.stores import schema

@schema.migrations()
def next_one(db):
    db.execute("CREATE TABLE another (id INTEGER PRIMARY KEY)")
    db.execute("CREATE INDEX another_one ON event (org)")
    {end}

schema.VERSION += 1
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


QUICK = """
from poller import generation, strain
from poller.stores import opening
generation.STORE_RETRY_S = generation.LOOK_UP_RETRY_S = 0.2
strain.EVERY_S = 0.1
opening._PRAGMAS += ("busy_timeout = 300",)
"""
"""It gives up on a lock after 0.3 s in place of 5, and tries again after 0.2 s in place of 30."""


@contextmanager
def locked(site):
    """Somebody holds the write lock, as in a shell."""
    with closing(sqlite3.connect(site.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_fault_12_somebody_else_holds_the_write_lock(tmp_path, api, account, org):
    """Each try waits its time, and the warning says for how long; then the poll is made again, and nothing is lost."""
    site = Site(tmp_path, api.url, CLIENTS, patch=QUICK)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        with locked(site):
            account.create(org, "clients")
            poller.until(lambda: len(poller.log("stream.stalled")) > 1)
        poller.until(poller.events)
        assert poller.stop().code == 0
    stalled = poller.log("stream.stalled")[0]
    waited = re.fullmatch(r"the state cannot be used now: database is locked \(waited (\d\.\d) s\)", stalled["reason"])
    assert float(waited[1]) >= 0.3


def test_fault_12_a_lock_makes_no_organization_forgotten(tmp_path, api, account):
    """One that is new while the state is locked is followed once it is not."""
    site = Site(tmp_path, api.url, CLIENTS, patch=QUICK, organizations_every="100ms")
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        with locked(site):
            account.add_organization("Other")
            poller.until(lambda: len(poller.log("organizations.failed")) > 1)
        poller.until(lambda: site.baselined(2))


def pressed(site):
    """Why the polls of the poller that runs pause, as ``poller status`` asks it."""
    return control.ask(site.database, "ping")["pressed"]


def delivered(site):
    return site.query("SELECT count(*) FROM delivery WHERE state = 'delivered'")[0][0]


@contextmanager
def no_room(site, poller):
    """As with a disk that is full: no file of the process can grow, and its log of the database is long already."""
    most_bytes = 64 << 10
    assert site.database.with_name("poller.db-wal").stat().st_size > most_bytes
    before = resource.prlimit(poller.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(poller.pid, resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    yield
    resource.prlimit(poller.pid, resource.RLIMIT_FSIZE, before)


def test_fault_14_15_16_a_disk_without_room(tmp_path, api, account, org):
    """Polls pause and say why, nothing is sent whose answer could not be kept; with room, all goes on by itself."""
    patch = QUICK.replace("STORE_RETRY_S = daemon", "STORE_RETRY_S = 1.0\ndaemon")
    with Receiver(always=delay(0.5)) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url), patch=patch)
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.bulk_create(org, "clients", 12)
            poller.until(lambda: receiver.records)
            with no_room(site, poller):
                account.create(org, "clients")
                poller.until(lambda: poller.log("sink.stalled") and poller.log("stream.stalled"))
                sent = len(receiver.records)
                poller.until(lambda: "the state cannot be used now: disk I/O error" in pressed(site))
                assert len(receiver.records) == sent <= delivered(site) + 4
            poller.until(lambda: delivered(site) == 13)
            assert poller.stop().code == 0
    assert len(receiver.records) == len({record.id for record in receiver.records}) == 13


NO_RIGHTS = """
import ctypes
# Root is above the modes of files by its capabilities only: give them all up.
assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()) == 0
"""


@pytest.mark.parametrize("left", [None, ("", "-wal", "-shm"), ("",)], ids=["nothing", "state and log", "state"])
def test_fault_16_a_folder_that_cannot_be_written(tmp_path, api, left, poll_here):
    """It does not start, and names the folder; the state that is there is whole."""
    site = Site(tmp_path / "state", api.url, CLIENTS)
    if left:
        poll_here(site)
        site.query("SELECT 1 FROM stream")  # leaves an empty log
        for path in site.folder.glob("poller.db-*"):
            if path.name.removeprefix("poller.db") not in left:
                path.unlink()
    site.folder.chmod(0o500)
    done = site.run("run", patch=NO_RIGHTS)
    site.folder.chmod(0o700)
    assert (done.code, done.out) == (74, "")
    assert f"{site.folder}" in done.err
    assert "Traceback" not in done.err
    assert site.run("once").code == 0


def test_fault_19_the_log_of_the_database_is_deleted_after_a_kill(tmp_path, api, account, org, poll_here):
    """What was committed last was in it: that is told, not passed over; going on from it tells the same ids again."""
    told = tmp_path / "events.jsonl"
    site = Site(tmp_path, api.url, CLIENTS + file("file", told))
    poll_here(site)
    with site.start() as poller:
        account.create(org, "clients")
        poller.until(lambda: lines(told))
        poller.kill()
    for end in ("-wal", "-shm"):
        site.database.with_name(f"poller.db{end}").unlink()
    refused = site.run("run")
    assert refused.code == 70
    assert f"{site.database} is older than it was" in refused.err
    assert site.run("once", "--accept-state-loss").code == 0
    first, second = lines(told)
    assert first["id"] == second["id"]
    assert first["sequence"] < second["sequence"]


CLOCK = """
import datetime, time
from pathlib import Path
from apscheduler.schedulers import base
from poller import daemon, retry, strain

true_ns, moved = time.time_ns, Path("clock")
time.time_ns = lambda: true_ns() + int(moved.read_text()) * 10**9

class Moved(datetime.datetime):
    @classmethod
    def now(cls, zone=None):
        return datetime.datetime.fromtimestamp(time.time_ns() / 1e9, zone)

base.datetime = Moved
daemon.CLOCK_LOOK_S = strain.EVERY_S = 0.1
retry.SINK_WAITS_S = (1.0,)
"""
"""The clock of the process is off by as many seconds as the file says; that one is looked at all the time."""


def moved(site, by_s):
    new = site.folder / "clock.new"
    new.write_text(str(by_s))
    new.rename(site.folder / "clock")


@pytest.mark.parametrize("by_s", [-3600, 86_400], ids=["an hour back", "a day forward"])
def test_fault_23_the_clock_jumps(tmp_path, api, account, org, by_s):
    """Polls go on at their intervals, what was put off comes when it would have come, and nothing comes twice."""
    with Receiver(answer(500)) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url), patch=CLOCK, every="300ms")
        moved(site, 0)
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: poller.log("delivery.failed"))
            moved(site, by_s)
            poller.until(lambda: delivered(site) == 1)
            account.create(org, "clients")
            poller.until(lambda: delivered(site) == 2)
            assert poller.stop().code == 0
    first, again, second = (record.id for record in receiver.records)
    assert first == again != second
    assert [line["by_s"] for line in poller.log("clock.set_back")] == ([3600] if by_s < 0 else [])


def test_fault_23_the_clock_is_set_back_while_a_poll_is_under_way(tmp_path, api, account, org):
    """The next one is an interval after its begin all the same."""
    site = Site(tmp_path, api.url, CLIENTS, patch=CLOCK, every="300ms")
    moved(site, 0)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        api.faults.next(faults.hang(1.5), path="/clients")
        asked = len(api.requests)
        poller.until(lambda: len(api.requests) > asked)
        moved(site, -3600)
        poller.until(lambda: poller.log("clock.set_back"))
        account.create(org, "clients")
        poller.until(poller.events)


def test_fault_23_a_clock_that_is_not_set(tmp_path, api, account, org):
    """In 1970 nothing is polled, and status says why; once the clock is right all goes on."""
    site = Site(tmp_path, api.url, CLIENTS, patch=CLOCK)
    moved(site, -int(time.time()) + 1000)
    with site.start() as poller:
        poller.up().until(lambda: "the clock of this machine is before 2025" in pressed(site))
        moved(site, 0)
        poller.until(lambda: site.baselined(1))
        account.create(org, "clients")
        poller.until(poller.events)
        assert pressed(site) == ""


FORKS = {"subprocess", "multiprocessing", "pty"}
FORKING = re.compile(r"fork|forkpty|posix_spawnp?|os\.system|popen|exec[lv]p?e?|spawn[lv]p?e?|ProcessPoolExecutor")


def forking(tree):
    """What in a module makes another process: by its import, or by the name of a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in FORKS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORKS:
            yield node.module
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (alias.name for alias in node.names if FORKING.fullmatch(f"os.{alias.name}"))
        elif isinstance(node, ast.Attribute) and FORKING.fullmatch(ast.unparse(node)):
            yield node.attr  # of os: other things have a system, too
        elif (name := getattr(node, "attr", getattr(node, "name", ""))) and FORKING.fullmatch(name):
            yield name


def test_fault_24_no_process_is_made_while_the_database_is_open():
    """A child would share its locks, and drop them: poller has threads, and no children at all."""
    modules = sorted(Path(poller.__file__).parent.rglob("*.py"))
    assert len(modules) > 50
    assert {path.name: found for path in modules if (found := [*forking(ast.parse(path.read_text()))])} == {}
    for code in (
        *("import subprocess", "from multiprocessing.pool import Pool", "import os; os.fork()", "os.execvpe()"),
        *("os.system('ls')", "from os import system"),
    ):
        assert [*forking(ast.parse(code))]
