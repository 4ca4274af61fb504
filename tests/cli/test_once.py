"""``poller once`` as a process, and its dry run."""

import json
import signal
import time

from process import Site, contents, file, only, webhook
from receiver import Receiver, answer

from poller.simulator.faults import hang, server_error
from poller.simulator.resources import example

CLIENTS = only("clients")
NO_BACKOFF = "from poller.sources import spaceinvoices\nspaceinvoices.BACKOFF_S = 0.01\n"


def test_once_polls_delivers_and_ends(site, account, org):
    """The first round is silent; what changes later goes out, and it exits 0."""
    gone, changed = account.bulk_create(org, "clients", 2)
    done = site.run("once")
    assert (done.code, done.out) == (0, "")
    assert "1 streams polled, 0 failed" in done.err
    account.create(org, "clients")
    account.update(org, "clients", changed, {"name": "Changed"})
    account.soft_delete(org, "clients", gone)
    done = site.run("once")
    kinds = sorted(json.loads(line)["type"].rpartition(".")[2] for line in done.out.splitlines())
    assert (done.code, kinds) == (0, ["created", "deleted", "updated"])
    assert site.run("once").out == ""


def test_once_with_a_sweep_finds_what_moved_no_stamp(site, account, org):
    """Digests included, and hard deletions too."""
    record = example("clients") | {"id": "5f0000000000000000000001", "organizationId": org}
    gone = "5f0000000000000000000002"
    account.put_raw(org, "clients", record["id"], json.dumps(record).encode())
    account.put_raw(org, "clients", gone, json.dumps(record | {"id": gone}).encode())
    site.run("once")
    account.put_raw(org, "clients", record["id"], json.dumps(record | {"note": "Silent"}).encode())
    account.hard_delete(org, "clients", gone)
    assert site.run("once").out == ""
    done = site.run("once", "--sweep")
    kinds = sorted(json.loads(line)["type"].rpartition(".")[2] for line in done.out.splitlines())
    assert (done.code, kinds) == (0, ["deleted", "updated"])


def test_once_fails_where_a_stream_does(tmp_path, api, account, org):
    """Exit 1, naming it; the others were polled."""
    site = Site(tmp_path, api.url, only("clients", "items"), patch=NO_BACKOFF)
    site.run("once")
    account.create(org, "items")
    api.faults.always(server_error, path="clients")
    done = site.run("once")
    assert done.code == 1
    assert "2 streams polled, 1 failed" in done.err
    assert f"{org}/clients: the API answered 500" in done.err
    assert len(done.out.splitlines()) == 1


def test_once_fails_where_something_is_left_to_deliver(tmp_path, api, account, org):
    """Exit 1, with how much; it does not wait for the receiver."""
    with Receiver(answer(500)) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url))
        site.run("once")
        account.create(org, "clients")
        done = site.run("once")
    assert (done.code, len(receiver.records)) == (1, 1)
    assert "1 deliveries still to be made" in done.err


def test_once_fails_where_the_token_does(site):
    """Exit 1, and why."""
    site.env["POLLER_TEST_TOKEN"] = "wrong"
    done = site.run("once")
    assert done.code == 1
    assert "the token is wrong" in done.err


def test_once_ends_at_an_interrupt(site, api):
    """At once, also while the API hangs."""
    api.faults.always(hang(), path="clients")
    with site.start("once") as poller:
        poller.until(lambda: any("clients" in seen.path for seen in api.requests))
        time.sleep(0.1)
        assert poller.stop(signal.SIGINT, 10).code != 0
    assert "Traceback" not in poller.err


def test_a_dry_run_shows_and_keeps_nothing(site, account, org):
    """The events that a round would make, with the ids that they then get; not a byte of the state is changed."""
    account.bulk_create(org, "clients", 3)
    site.run("once")
    account.create(org, "clients")
    before = contents(site.folder)
    shown = site.run("once", "--dry-run")
    assert (shown.code, contents(site.folder)) == (0, before)
    told = site.run("once")
    assert [json.loads(line)["id"] for line in shown.out.splitlines()] == [json.loads(told.out)["id"]]


def test_a_dry_run_delivers_nothing(tmp_path, api, account, org):
    """Nor does it make a sink's file."""
    with Receiver() as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url) + file("file", tmp_path / "events"))
        site.run("once")
        (tmp_path / "events").unlink()
        account.create(org, "clients")
        assert len(site.run("once", "--dry-run", "--sweep").out.splitlines()) == 1
    assert receiver.records == []
    assert not (tmp_path / "events").exists()


def test_a_dry_run_without_a_state(tmp_path, api, account, org):
    """A first round is silent, and no state is made."""
    account.create(org, "clients")
    site = Site(tmp_path / "site", api.url, CLIENTS)
    done = site.run("once", "--dry-run")
    assert (done.code, done.out, contents(site.folder)) == (0, "", {})
    emitting = Site(tmp_path / "emit", api.url, CLIENTS, first_sync="emit")
    done = emitting.run("once", "--dry-run")
    assert (len(done.out.splitlines()), contents(emitting.folder)) == (1, {})


def test_a_dry_run_beside_a_daemon(site, account, org):
    """Both may work at once."""
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        assert site.run("once", "--dry-run").code == 0
        account.create(org, "clients")
        poller.until(poller.events)
        assert poller.stop().code == 0
