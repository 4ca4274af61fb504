"""Progress: a line in a real terminal, and nothing anywhere else."""

import os
import pty
import sqlite3
from contextlib import closing

import pytest
from process import TOKEN, Site, eventually, only

from poller.progress import line
from poller.simulator import Account, Simulator, faults


class Terminal:
    """A pseudo-terminal: ``write`` is for a process, ``text`` all that it wrote so far."""

    def __enter__(self):
        self._read, self.write = pty.openpty()
        os.set_blocking(self._read, False)
        self._seen = b""
        return self

    def __exit__(self, *_):
        os.close(self._read)
        os.close(self.write)

    def text(self):
        try:
            while more := os.read(self._read, 65536):
                self._seen += more
        except OSError:  # nothing more for now, or nobody there
            pass
        return self._seen.decode()


@pytest.fixture
def api():
    account = Account(token=TOKEN, organizations=1, seed=1)
    account.bulk_create(account.organizations[0], "clients", 150)
    with Simulator(account) as simulator:
        yield simulator


@pytest.fixture
def site(tmp_path, api):
    return Site(tmp_path / "site", api.url, only("clients"))


def slow(api):
    """The second page takes a while."""
    api.faults.at(2, faults.hang(3.0), "/clients$")


@pytest.mark.parametrize("arguments", [["once"], ["once", "--sweep"]])
def test_a_round_shows_how_far_it_is(site, api, arguments):
    """Records and streams, while the listing is read; at its end the line is gone."""
    slow(api)
    with Terminal() as terminal, site.start(*arguments, stderr=terminal.write) as poller:
        eventually(lambda: "100 records, 0 of 1 streams read" in terminal.text())
        assert poller.wait(30).code == 0
        text = terminal.text()
    assert "polling: " in text
    assert "1 streams polled" in text.rpartition("\x1b[K")[2]
    assert "polling" not in text.rpartition("\x1b[K")[2]


def test_a_first_reading_in_the_foreground(site, api):
    """Until all of it is read; then the line is gone, and poller goes on."""
    slow(api)
    with Terminal() as terminal, site.start("run", stderr=terminal.write) as poller:
        eventually(lambda: "first reading: 100 records, 0 of 1 streams read" in terminal.text())
        eventually(lambda: terminal.text().count("first reading") and "stream.baselined" in terminal.text())
        eventually(lambda: "first reading" not in terminal.text().rpartition("\x1b[K")[2])
        assert not poller.ended()
        assert poller.stop().code == 0


def test_a_pipe_has_none(site, api):
    """Nor has a file: no control characters, no line that is no log."""
    slow(api)
    done = site.run("once", timeout_s=60)
    assert done.code == 0
    assert "\x1b" not in done.err
    assert "\r" not in done.err
    assert "records," not in done.err


SLOW = """
import time
from poller.stores import reading, invariants, upkeep
from poller.stores.sqlite import SqliteStore

def slowly(act):
    def acted(*arguments, **named):
        time.sleep(2)
        return act(*arguments, **named)
    return acted

invariants.violations = slowly(invariants.violations)
upkeep.backup = slowly(upkeep.backup)
SqliteStore.again = slowly(SqliteStore.again)
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify"], "looking at everything: "),
        (["backup", "copy.db"], "copying: "),
        (["replay"], "choosing what is sent again: "),
    ],
)
def test_other_long_work(site, arguments, words):
    """Says that it goes on, in a terminal alone."""
    site.run("once")
    with Terminal() as terminal, site.start(*arguments, patch=SLOW, stderr=terminal.write) as poller:
        eventually(lambda: words in terminal.text())
        poller.wait(30)
        assert words not in terminal.text().rpartition("\x1b[K")[2]
    assert words not in site.run(*arguments, patch=SLOW).err


def test_short_work_shows_nothing(site):
    """No line flickers by."""
    site.run("once")
    with closing(sqlite3.connect(site.database)):
        pass
    calm = "from poller import progress\nprogress.AFTER_S = 60\n"
    with Terminal() as terminal, site.start("verify", patch=calm, stderr=terminal.write) as poller:
        poller.wait(30)
        assert "\x1b" not in terminal.text()


def test_the_line_fits_the_terminal():
    """It is cut, so that it can be taken away again."""
    assert line("polling", "5 records", 3.4, 80) == "polling: 5 records, 3 s"
    assert line("verify", "", 3.6, 80) == "verify: 4 s"
    assert line("polling", "5 records", 3.4, 10) == "polling: "
