"""The write-ahead log stays small, whoever reads in it meanwhile."""

import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager

import pytest

from poller.stores import wal

MOST_BYTES = 64 << 20

READER = """
import sqlite3, sys, time
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, isolation_level=None, timeout=5)
while True:
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM event").fetchone()
    print("reads", flush=True)
    time.sleep(0.02)
    connection.execute("COMMIT")
"""


@pytest.fixture
def size_bytes(path):
    """How large the log is."""
    return lambda: path.with_name("poller.db-wal").stat().st_size


@pytest.fixture
def write(store):
    """Commit a MiB, time and again the same one."""

    def write():
        with store._writing():
            store._run("INSERT OR REPLACE INTO body VALUES (1000, 0, randomblob(1 << 20))")

    return write


@contextmanager
def readers(path, number):
    """Processes that read for 20 ms each, one after the other, so that hardly a moment is without one."""
    with ExitStack() as stack:
        command = [sys.executable, "-c", READER, path]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(number)]
        for process in started:
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout.readline() == b"reads\n"
        yield


def test_it_stays_small_without_readers(write, size_bytes):
    """SQLite sees to that."""
    most = 0
    for _ in range(100):
        write()
        most = max(most, size_bytes())
    assert most < wal.LONG_BYTES


@pytest.mark.parametrize("kept", [True, False])
def test_it_stays_small_with_readers_that_overlap(path, write, size_bytes, kept, monkeypatch):
    """Far below what is promised; where they are not waited for, it grows by all that is written."""
    if not kept:
        monkeypatch.setattr(wal, "LONG_BYTES", 1 << 40)
    most, written = 0, 0
    with readers(path, 3):
        while written < 400 and (kept or most <= MOST_BYTES):
            write()
            written += 1
            most = max(most, size_bytes())
    print(f"the log at its largest, with 3 readers and {written} MiB written: {most / (1 << 20):.1f} MiB")  # noqa: T201 - a figure to read
    assert (most < MOST_BYTES) == kept


def test_a_large_commit_leaves_no_large_log(store, size_bytes):
    """Not even until the next."""
    with store._writing():
        for number in range(20):
            store._run("INSERT INTO body VALUES (?, 0, randomblob(4 << 20))", 1000 + number)
        assert size_bytes() > MOST_BYTES
    assert size_bytes() == 0


def test_a_slow_reader_delays_no_commit_for_long_and_the_log_is_short_after_it(
    path, store, write, size_bytes, monkeypatch
):
    """It grows meanwhile: what the reader sees has to be kept. Waits in vain are few."""
    tries = []
    monkeypatch.setattr(wal, "_try", lambda connection, real=wal._try: tries.append(1) or real(connection))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchone()
        for _ in range(100):
            write()
        assert size_bytes() > MOST_BYTES
        assert len(tries) < 4 * wal.TRIES
        assert store._one("PRAGMA busy_timeout") == (5000,)
        reader.execute("COMMIT")
    store._transactions.wal._waits_until_s = 0.0
    write()
    assert size_bytes() == 0


def test_a_log_that_cannot_be_folded_in_fails_no_commit(store, write, size_bytes, monkeypatch):
    """What was committed is committed, whatever comes of the log."""

    def fail(_):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(wal, "LONG_BYTES", 0)
    monkeypatch.setattr(wal, "_try", fail)
    write()
    assert store._one("SELECT length(bytes) FROM body") == (1 << 20,)
    assert size_bytes() > 0
