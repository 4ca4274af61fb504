"""Commands that look after the state, and make secrets, as processes."""

import sqlite3
from contextlib import closing

import pytest
from process import Site, eventually, file, lines, only
from standardwebhooks import Webhook

from poller import signing

CLIENTS = only("clients")


@pytest.fixture
def site(tmp_path, api, account, org):
    """A state with ten records, and an event that is delivered."""
    folder = tmp_path / "site"
    site = Site(folder, api.url, CLIENTS + file("file", folder / "events.jsonl"))
    account.bulk_create(org, "clients", 10)
    site.run("once")
    account.create(org, "clients")
    assert site.run("once").code == 0
    return site


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_fault_67_a_backup_can_be_restored(tmp_path, site, account, org, running):
    """As the help says; what changed since is then found, and told under the same id."""
    target = tmp_path / "backup.db"
    if running:
        with site.start() as poller:
            poller.up()
            done = site.run("backup", str(target))
            assert poller.stop().code == 0
    else:
        done = site.run("backup", str(target))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{target}: ")
    assert done.out.endswith(" MiB, checked\n")
    assert target.stat().st_mode & 0o777 == 0o600
    account.create(org, "clients")
    site.run("once")
    site.database.write_bytes(target.read_bytes())
    assert site.run("once").code == 70
    assert site.run("once", "--accept-state-loss").code == 0
    told = [event["id"] for event in lines(site.folder / "events.jsonl")]
    assert len(told) == 3
    assert told[1] == told[2]
    assert site.run("verify").code == 0


def test_a_backup_of_nothing_and_over_the_state(tmp_path, site):
    """Exit 1 and 74, and nothing was written."""
    before = site.database.read_bytes()
    done = site.run("backup", str(site.database))
    assert (done.code, done.out) == (74, "")
    assert "belongs to the state itself" in done.err
    assert site.database.read_bytes() == before
    site.database.rename(tmp_path / "elsewhere.db")
    done = site.run("backup", str(tmp_path / "backup.db"))
    assert (done.code, list(tmp_path.glob("backup*"))) == (1, [])


@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_a_good_state_is_verified(site, account, org, running):
    """Also while it changes."""
    if not running:
        done = site.run("verify")
        assert (done.code, done.out, done.err) == (0, "", "the state is well\n")
        return
    with site.start() as poller:
        poller.up()
        for number in range(5):
            account.bulk_create(org, "clients", 3)
            assert site.run("verify").out == ""
            eventually(lambda: len(lines(site.folder / "events.jsonl")) >= 3 * number)  # noqa: B023
        assert poller.stop().code == 0


def test_violations_are_named(site, org):
    """Each on a line, exit 1; poller itself changes nothing."""
    with closing(sqlite3.connect(site.database)) as connection:
        connection.executescript("UPDATE stream SET live = 99; DELETE FROM event;")
    before = site.dump()
    done = site.run("verify")
    assert done.code == 1
    assert f"not true: streams count their live records ({org}/clients)\n" in done.out
    assert "not true: every delivery has its event" in done.out
    assert done.err == "2 violations\n"
    assert site.dump() == before


def test_a_damaged_state_is_named(site):
    """As damage, without a traceback."""
    data = bytearray(site.database.read_bytes())
    for start in range(8192, len(data) - 4096, 4096):
        data[start : start + 512] = b"\xa5" * 512
    site.database.write_bytes(data)
    done = site.run("verify")
    assert done.code == 1
    assert done.out.startswith("the database is damaged: ")
    assert "Traceback" not in done.err
    done = site.run("status")
    assert (done.code, done.out) == (70, "")
    assert done.err.startswith(f"poller: {site.database} is damaged: ")


def test_a_new_secret_signs(site):
    """And is another each time; nothing else is printed."""
    first, second = (site.run("secret", "new").out for _ in range(2))
    assert first != second
    assert (first.count("\n"), first[:6]) == (1, "whsec_")
    Webhook(first.strip())
    assert signing.key(first.strip())


def test_a_new_pair_has_a_public_half(site):
    """The secret on the standard output, what may be shown on the other."""
    done = site.run("secret", "new", "--ed25519")
    assert done.out.startswith("whsk_")
    assert "public, for the receiver: whpk_" in done.err
    assert done.out.strip() not in done.err
