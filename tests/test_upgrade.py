"""A state that an older version of poller left goes on under this one: nothing is told twice, nothing is lost."""

import json
import sqlite3
import zlib
from contextlib import closing
from hashlib import blake2b

import pytest
from process import Site, only
from unpacked import unpacking

from poller.simulator import Simulator
from poller.stores.bodies import packing
from poller.stores.reading import View
from poller.stores.schema import migrations
from poller.stores.version import VERSION

ADDED = {2: ("rhythm", "failing_ms", "silent_ms"), 3: ("history", "late")}
"""The columns of a stream that came after each of these versions."""
TABLES = {5: "page"}
"""The tables that did."""


@pytest.fixture
def site(tmp_path, account, org):
    """Five clients are known, one of them through an event that was delivered; the breaker of its sink has a past."""
    with Simulator(account) as api:
        account.bulk_create(org, "clients", 4)
        found = Site(tmp_path, api.url, only("clients") + '\n[sinks.file]\nkind = "file"\npath = "events"\n')
        assert found.run("once").code == 0
        account.create(org, "clients")
        assert found.run("once").code == 0
        yield found


def as_left_by(site, version):
    """Take from the state what later versions put into it."""
    with closing(sqlite3.connect(site.database, isolation_level=None)) as connection:
        if version < 5:
            _unpack(connection)
        for column in (column for before, added in ADDED.items() if before >= version for column in added):
            connection.execute(f"ALTER TABLE stream DROP COLUMN {column}")
        for table in (table for before, table in TABLES.items() if before >= version):
            connection.execute(f"DROP TABLE {table}")
        later = [step.name for step in migrations._migrations[version:]]
        assert later
        for name in later:
            connection.execute("DELETE FROM _sqlite_migrations WHERE name = ?", [name])
        connection.execute("""UPDATE sink SET breaker = '{"failures":2,"error":"HTTP 500"}'""")
        connection.execute(f"PRAGMA user_version = {version}")


def _unpack(connection):
    """Before version 5: bodies by zlib, events as they are, lanes by a hash alone."""

    def zipped(number, packed):
        text = texts[number]
        packer = zlib.compressobj(1, zlib.DEFLATED, 14, 6, zlib.Z_DEFAULT_STRATEGY, text)
        return packer.compress(packing(text).unpack(packed)) + packer.flush()

    def hashed(org, resource, record):
        return int.from_bytes(blake2b(f"{org}/{resource}/{record}".encode(), digest_size=8).digest(), "big") >> 1

    texts = dict(connection.execute("SELECT id, bytes FROM dictionary"))
    for function in (zipped, hashed):
        connection.create_function(function.__name__, -1, function)
    unpacking(connection).execute("UPDATE event SET body = unpacked(dictionary, body)")
    connection.execute("UPDATE body SET bytes = zipped(dictionary, bytes)")
    connection.execute(
        """UPDATE delivery SET lane = (SELECT hashed(org, resource, record) FROM event
           WHERE event.sequence = delivery.sequence)"""
    )
    connection.execute("ALTER TABLE event DROP COLUMN dictionary")
    connection.execute("DELETE FROM dictionary WHERE resource LIKE '% events'")


def told(site):
    lines = (site.folder / "events").read_text().splitlines()
    return [json.loads(line)["type"].rpartition("client.")[2] for line in lines]


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_an_older_state_goes_on(site, account, org, version):
    """What changed meanwhile is told once, what did not is not, and what was told is not told again."""
    as_left_by(site, version)
    account.update(org, "clients", site.query("SELECT min(id) FROM mark")[0][0], {"name": "another"})
    with site.start() as poller:
        poller.until(lambda: told(site) == ["created", "updated"])
        account.create(org, "clients")
        poller.until(lambda: told(site) == ["created", "updated", "created"])
        assert poller.stop().code == 0
        assert not [line for line in poller.log() if line["level"] in ("error", "critical")]
    assert site.query("PRAGMA user_version") == [(VERSION,)]
    assert site.query("SELECT live, polls > 0 FROM stream") == [(6, 1)]
    assert site.run("verify").code == 0


def test_an_older_state_is_read_once_it_was_upgraded(site):
    """Until then a command says why it cannot; a backup can be made all the same."""
    as_left_by(site, 2)
    done = site.run("status")
    assert (done.code, "an older poller wrote it" in done.err) == (74, True), done.err
    assert site.run("backup", str(site.folder / "kept.db")).code == 0
    with View(site.folder / "kept.db") as view:
        assert view.rows("PRAGMA user_version", {}) == [(2,)]
    assert site.run("once").code == 0
    assert site.run("status").code == 0


def test_what_waited_before_goes_before_what_comes_after(site, account, org):
    """A record's old event and its new one wait in one lane, and the old one's bytes are as they were."""
    one = site.query("SELECT min(id) FROM mark")[0][0]
    assert site.run("pause", "file").code == 0
    account.update(org, "clients", one, {"name": "first"})
    site.run("once")
    as_left_by(site, 4)
    account.update(org, "clients", one, {"name": "second"})
    site.run("once")
    lanes = site.query("SELECT d.lane FROM delivery d JOIN event USING (sequence) WHERE trigger = 'client.updated'")
    assert (len(lanes), len(set(lanes))) == (2, 1)
    assert told(site) == ["created", "updated", "updated"]
    assert site.run("verify").code == 0
