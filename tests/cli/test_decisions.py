"""``poller retry``, ``approve`` and ``reject`` as processes: the same while a poller runs and while none does."""

import pytest
from process import HASTE, Site, only, webhook
from receiver import Receiver, answer

CLIENTS = only("clients")


@pytest.fixture
def parked(tmp_path, api, account, org):
    """A site with two parked deliveries, and its receiver, which takes everything from now on."""
    with Receiver(answer(422), answer(422)) as receiver:
        patch = HASTE + "retry.EVENT_WAITS_S = (0.0,)\n"
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url), patch=patch)
        site.run("once")
        account.bulk_create(org, "clients", 2)
        assert site.run("once").code == 0
        assert len(site.status()["parked"]) == 2
        yield site, receiver


def test_retry_while_it_is_stopped(parked):
    """Under the lock; the next run sends them, with the same id and bytes."""
    site, receiver = parked
    text = site.run("status").out
    assert "Parked deliveries (poller retry sends them again)" in text
    event = receiver.records[0].id
    assert event in text
    assert site.run("retry", "--sink", "other").code == 1
    assert site.run("retry", event).out == "1 deliveries will be sent again\n"
    assert site.run("retry").out == "1 deliveries will be sent again\n"
    assert site.run("retry").code == 1
    assert site.run("once").code == 0
    assert {(one.id, one.body) for one in receiver.records[2:]} == {(one.id, one.body) for one in receiver.records[:2]}


def test_retry_while_it_runs(parked):
    """Through its socket, and at once."""
    site, receiver = parked
    with site.start() as poller:
        poller.up()
        assert site.run("retry").out == "2 deliveries will be sent again\n"
        poller.until(lambda: len(receiver.records) == 4)
        assert poller.stop().code == 0


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("raise OSError('disk full')", "could not do it: OSError: disk full"),
        ("time.sleep(1)", "does not answer: timed out"),
    ],
)
def test_a_running_poller_that_cannot(site, trouble, words):
    """Exit 1, and its own words."""
    broken = f"""
import time
from poller import control
from poller.stores.sqlite import SqliteStore

def again(*_):
    {trouble}
    return 1

SqliteStore.again = again
"""
    with site.start(patch=broken) as poller:
        poller.up()
        done = site.run("retry", patch="from poller import asking\nasking.WORK_S = 0.3")
        poller.kill()
    assert (done.code, done.out) == (1, "")
    assert words in done.err
    assert len(done.err.splitlines()) == 1


@pytest.fixture
def held(tmp_path, api, account, org):
    """A site where 30 of 40 deletions are held."""
    ids = account.bulk_create(org, "clients", 40)
    site = Site(tmp_path, api.url, CLIENTS, count_every=1)
    site.run("once")
    for record_id in ids[:30]:
        account.hard_delete(org, "clients", record_id)
    assert (site.run("once").out, site.status()["streams"][0]["state"]) == ("", "held")
    return site


def test_held_deletions_are_shown(held, org):
    """With what to do."""
    text = held.run("status").out
    assert f"HELD: 30 of 40 records of {org}/clients" in text
    assert f"poller approve {org}/clients" in text


@pytest.mark.parametrize(("command", "events"), [("approve", 30), ("reject", 0)])
def test_a_decision_while_it_is_stopped(held, org, command, events):
    """Under the lock; the next poll carries it out."""
    assert held.run(command, f"{org}/clients").code == 0
    done = held.run("once")
    assert (done.code, len(done.out.splitlines())) == (0, events)
    assert held.status()["streams"][0]["state"] == "following"
    assert held.run("once").out == ""


@pytest.mark.parametrize(("command", "events"), [("approve", 30), ("reject", 0)])
def test_a_decision_while_it_runs(held, org, command, events):
    """Through its socket; it polls at once."""
    with held.start() as poller:
        poller.up()
        assert held.run(command, f"{org}/clients").code == 0
        poller.until(lambda: held.query("SELECT held_ms FROM stream") == [(None,)])
        poller.until(lambda: len(poller.events()) == events)
        assert poller.stop().code == 0


NO_ROUTE, NO_STREAM = "nothing held by a route clients", "no deletions are held in nobody/clients"


@pytest.mark.parametrize(
    ("name", "words", "running"),
    [("clients", NO_ROUTE, False), ("nobody/clients", NO_STREAM, False), ("clients", NO_ROUTE, True)],
)
def test_a_decision_on_nothing(site, name, words, running):
    """Exit 1, with where to look; no stream comes of it."""
    site.run("once")
    if running:
        with site.start() as poller:
            done = (poller.up(), site.run("approve", name))[1]
    else:
        done = site.run("approve", name)
    assert done.code == 1
    assert words in done.err
    assert site.query("SELECT count(*) FROM stream") == [(1,)]
