"""A state that cannot be used: what each command says, its exit code, and what it leaves alone."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from process import NOWHERE, TOKEN, Site, contents, only

from poller.simulator import Account, Simulator

CLIENTS = only("clients")


def foreign(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE note (text); INSERT INTO note VALUES ('mine')")


def newer(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def flipped(path):
    """A page in the middle is garbage, and the poller was killed."""
    data = bytearray(path.read_bytes())
    for start in range(8192, len(data) - 4096, 4096):
        data[start : start + 512] = b"\xa5" * 512
    path.write_bytes(data)
    lock = path.with_name(path.name + ".lock")
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"clean": False}))


WRONG = {
    "foreign": (foreign, 78, "another program's database", True),
    "newer": (newer, 78, "newer poller", False),
    "missing": (Path.unlink, 70, "is missing, but there was state", False),
    "empty": (lambda path: path.write_bytes(b""), 70, "is empty, but there was state", False),
    "garbage": (lambda path: path.write_bytes(b"\xa5" * 50_000), 70, "damaged", False),
    "cut short": (lambda path: os.truncate(path, 5000), 70, "damaged", False),
    "with bad pages": (flipped, 70, "damaged", False),
}


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """A state that was used and left clean."""
    account = Account(token=TOKEN, organizations=1, seed=1)
    account.bulk_create(account.organizations[0], "clients", 30)
    folder = tmp_path_factory.mktemp("used")
    with Simulator(account) as api:
        assert Site(folder, api.url, CLIENTS).run("once").code == 0
    return {name: (folder / name).read_bytes() for name in ("poller.db", "poller.db.lock")}


@pytest.mark.parametrize(("spoil", "code", "words", "first"), WRONG.values(), ids=WRONG)
def test_a_state_that_cannot_be_used(tmp_path, used, spoil, code, words, first):
    """Never taken for a first start: it is told, and left as it is."""
    site = Site(tmp_path, NOWHERE, CLIENTS)
    if not first:
        for name, data in used.items():
            (tmp_path / name).write_bytes(data)
    spoil(site.database)
    before = contents(tmp_path)
    done = site.run("run")
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert str(site.database) in done.err
    assert "Traceback" not in done.err
    after = contents(tmp_path)
    assert {path: after.get(path) for path in before} == before
    assert site.database.exists() == (Path("poller.db") in before)


def mounted(folder, kind):
    """What makes a process see a mount of this kind at the folder."""
    listed = folder / "mountinfo"
    listed.write_text(f"22 1 8:1 / / rw - ext4 sda rw\n23 22 0:9 / {folder.resolve()} rw - {kind} nas:/x rw\n")
    return f"from pathlib import Path\nfrom poller.stores import place\nplace.MOUNTINFO = Path({str(listed)!r})\n"


@pytest.mark.parametrize("command", ["run", "once"])
def test_a_state_on_a_network_is_refused(tmp_path, command):
    """By name and type, and nothing is made there."""
    site = Site(tmp_path, NOWHERE, CLIENTS, patch=mounted(tmp_path, "nfs4"))
    done = site.run(command)
    assert (done.code, done.out) == (78, "")
    assert f"on {tmp_path.resolve()}, a network file system (nfs4)" in done.err
    assert "[state] allow_network = true" in done.err
    assert not site.database.exists()
    assert not site.database.with_name("poller.db.lock").exists()


@pytest.mark.parametrize(("kind", "more"), [("nfs4", "allow_network = true\n"), ("fuse.unheard-of", "")])
def test_a_network_that_is_insisted_on_and_what_is_not_known(tmp_path, api, kind, more):
    """Detection can be wrong: both are let through."""
    site = Site(tmp_path, api.url, CLIENTS, patch=mounted(tmp_path, kind))
    site.config.write_text(site.config.read_text().replace("[state]\n", f"[state]\n{more}"))
    assert site.run("once").code == 0


def test_where_no_mounts_can_be_read(tmp_path, api):
    """It is not to be told, and let through."""
    blind = mounted(tmp_path, "nfs4")
    (tmp_path / "mountinfo").unlink()
    assert Site(tmp_path, api.url, CLIENTS, patch=blind).run("once").code == 0


def test_fault_18_a_lost_state_can_be_begun_anew(tmp_path, used, api):
    """By an option; what was left of it is kept aside, and the first poll is silent again."""
    site = Site(tmp_path, api.url, CLIENTS)
    (tmp_path / "poller.db.lock").write_bytes(used["poller.db.lock"])
    site.database.write_bytes(b"\xa5" * 5000)
    assert site.run("once").code == 70
    done = site.run("once", "--accept-state-loss")
    assert (done.code, done.out) == (0, "")
    assert [path.read_bytes() for path in tmp_path.glob("poller.db.lost-*")] == [b"\xa5" * 5000]
    assert site.run("once").code == 0


@pytest.mark.parametrize(("arguments"), [["status"], ["retry"]])
@pytest.mark.parametrize(("spoil", "code"), [(foreign, 78), (lambda path: path.write_bytes(b"\xa5" * 50_000), 70)])
def test_commands_that_look_say_so_too(tmp_path, spoil, code, arguments):
    """Nothing is written to it."""
    site = Site(tmp_path, NOWHERE, CLIENTS)
    spoil(site.database)
    before = contents(tmp_path)
    done = site.run(*arguments)
    assert (done.code, done.out, contents(tmp_path)) == (code, "", before)
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["status"], ["events"], ["retry"], ["approve", "o/clients"]])
def test_without_a_state_there_is_nothing_to_show(tmp_path, arguments):
    """It is told where it was looked for, and none is made."""
    site = Site(tmp_path, NOWHERE, CLIENTS)
    done = site.run(*arguments)
    assert (done.code, done.out) == (1, "")
    assert f"no state at {site.database}" in done.err
    assert contents(tmp_path) == {}


def test_fault_10_a_second_daemon_is_refused(site):
    """Exit 75, naming the process that holds the state, which goes on."""
    with site.start() as poller:
        poller.up()
        done = site.run("run")
        assert (done.code, done.out) == (75, "")
        assert f"in use by process {poller.pid}, running since 20" in done.err
        assert poller.stop().code == 0


COMMANDS = [
    "status",
    "events",
    "sinks",
    "verify",
    "pause stdout",
    "retry",
    "dead list",
    "replay --dry-run",
    "backup copy.db",
    "once --dry-run",
]


@pytest.mark.parametrize(
    ("command", "closed"),
    [("health", "folder"), *((command, closed) for command in COMMANDS for closed in ("folder", "file"))],
)
def test_a_state_that_is_another_user_s(site, command, closed):
    """It is told who may read it; neither is it damaged, nor is that a defect."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and setpriv is not there to take that away")
    site.config.write_text(site.config.read_text().replace("poller.db", "kept/poller.db"))
    database = site.folder / "kept" / "poller.db"
    assert site.run("once").code == 0
    others = database.parent if closed == "folder" else database
    weak = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    if os.geteuid() == 0:
        os.chown(others, 65534, 65534)
    else:
        weak = []
    others.chmod(0)
    line = [*weak, sys.executable, "-m", "poller", "--config", str(site.config), *command.split()]
    try:
        done = subprocess.run(line, cwd=site.folder, env=site.env, capture_output=True, text=True, check=False)
    finally:
        others.chmod(0o700)
    told = done.stdout + done.stderr
    assert done.returncode in (1, 74)
    assert str(database) in told
    assert "the one that poller runs as" in told or "the user that poller runs as" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("command", ["status", "events", "verify", "run", "once", "once --dry-run"])
def test_a_folder_in_the_place_of_the_state(site, command):
    """It is said what the path should be; nothing is damaged."""
    site.database.mkdir()
    done = site.run(*command.split())
    assert (done.code, done.out) == (74, "")
    assert done.err == f"poller: {site.database} is a folder; [state] path names a file in one\n"
