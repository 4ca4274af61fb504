"""Faults of the state and of the machine: locks, a full disk, lost files, clocks; docs/faults.md is the whole list."""

import ast
import re
import resource
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from process import Site, file, lines, only, webhook
from receiver import Receiver, answer, delay

import poller
from poller import control
from poller.simulator import faults

CLIENTS = only("clients")

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
