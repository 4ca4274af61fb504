"""The daemon as a process: signals, the schedule, trouble of streams and organizations, what it logs."""

import json
import signal
import time

import pytest
from process import HASTE, SECRET, STDOUT, Site, only, webhook
from receiver import Receiver, answer, delay, hang, reset

from poller.simulator.faults import hang as hang_api
from poller.simulator.faults import organization_gone, server_error, truncated, unauthorized

CLIENTS = only("clients")
NO_BACKOFF = "from poller.sources import spaceinvoices\nspaceinvoices.BACKOFF_S = 0.01\n"


def clean(site):
    """Whether the state was left as it should be."""
    return json.loads(site.database.with_name("poller.db.lock").read_text())["clean"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(tmp_path, api, number):
    """Exit 0, a clean state, and no socket left."""
    site = Site(tmp_path, api.url, CLIENTS)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        done = poller.stop(number)
    assert (done.code, done.log()[-1]["event"], clean(site)) == (0, "poller.stopped", True)
    assert sorted(path.name for path in tmp_path.glob("poller.db*")) == ["poller.db", "poller.db.lock"]


BREAKS_ONCE = """
from poller import daemon, generation
from poller.service import Service
from poller.shares import Shares

generation.LOOK_UP_RETRY_S = generation.REPRICE_S = 0.2
daemon.TIDY_EVERY_MS = 200
whole, broken = {where}, []

def breaks(*arguments, **more):
    if not broken:
        broken.append(True)
        raise ZeroDivisionError
    open("went-on", "w").close()
    return whole(*arguments, **more)

{where} = breaks
"""


@pytest.mark.parametrize("where", ["Service.adopt", "Service.suspend_unseen", "Service.tidy", "Shares.reprice"])
def test_a_defect_ends_nothing_that_recurs(tmp_path, api, where):
    """It is told, and the next time comes."""
    site = Site(tmp_path, api.url, CLIENTS, **({"budget": "5/s"} if "Shares" in where else {}))
    with site.start(patch=BREAKS_ONCE.format(where=where)) as poller:
        poller.until((tmp_path / "went-on").exists)
        poller.until(lambda: site.baselined(1))
        assert poller.log("agenda.broken")


def test_fault_08_a_hanging_receiver_does_not_keep_it(tmp_path, api, account, org):
    """It gives what is being sent its time, ends within 8 s in all, and sends the event again at the next start."""
    with Receiver(hang()) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url, timeout="30s"))
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: receiver.records)
            began = time.monotonic()
            assert (poller.stop().code, clean(site)) == (0, True)
            assert time.monotonic() - began < 8
        with site.start() as poller:
            poller.until(lambda: len(receiver.records) == 2)
            poller.until(lambda: site.query("SELECT state FROM delivery") == [("delivered",)])
    first, second = receiver.records
    assert (first.id, first.body) == (second.id, second.body)


def test_a_signal_may_come_at_any_moment(tmp_path, api):
    """Also while the main thread holds the lock of the very event that ends everything."""
    slow = """
import threading, time
wait = threading.Event.wait

def slowly(self, timeout=None):
    with self._cond:
        if threading.current_thread() is threading.main_thread():
            time.sleep(1)
    return wait(self, timeout)

threading.Event.wait = slowly
"""
    site = Site(tmp_path, api.url, CLIENTS, patch=slow)
    with site.start() as poller:
        assert poller.up().stop(timeout_s=5).code == 0


def test_what_is_being_sent_is_finished(tmp_path, api, account, org):
    """An answer that comes within the time of a stop counts."""
    with Receiver(delay(0.7)) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url))
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: receiver.records)
            assert poller.stop().code == 0
    assert site.query("SELECT state FROM delivery") == [("delivered",)]


def test_fault_07_a_hanging_api_does_not_keep_it(tmp_path, api):
    """A poll that waits for the network is abandoned at once."""
    api.faults.always(hang_api(), path="/Organizations/")
    site = Site(tmp_path, api.url)
    with site.start() as poller:
        poller.until(lambda: any("/Organizations/" in seen.path for seen in api.requests))
        began = time.monotonic()
        assert (poller.stop().code, clean(site)) == (0, True)
        assert time.monotonic() - began < 2
    assert site.query("SELECT (SELECT count(*) FROM mark), count(baselined_ms) FROM stream") == [(0, 0)]


def test_fault_09_a_second_signal_ends_it_at_once(tmp_path, api, account, org):
    """Whatever is under way; the state survives it as it survives a kill."""
    with Receiver(hang()) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url, timeout="30s"))
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: receiver.records)
            poller.signal(signal.SIGTERM)
            time.sleep(0.3)
            assert not poller.ended()
            assert poller.stop(timeout_s=1).code == 128 + signal.SIGTERM
    assert site.query("SELECT state FROM delivery") == [("pending",)]


def test_a_stop_in_the_middle_of_settling_is_clean(tmp_path, api, account, org):
    """The loop that settles answers ends before the state is closed."""
    slow = """
import time
from poller.stores.sqlite import SqliteStore
settle = SqliteStore.settle

def slowly(self, *arguments):
    time.sleep(0.3)
    return settle(self, *arguments)

SqliteStore.settle = slowly
"""
    with Receiver() as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url), patch=slow)
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.bulk_create(org, "clients", 40)
            poller.until(lambda: len(receiver.records) > 4)
            done = poller.stop()
    assert (done.code, clean(site)) == (0, True), done.err
    assert "Traceback" not in done.err
    assert site.query("SELECT count(*) FROM delivery WHERE state = 'delivered'")[0][0] == len(receiver.records)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_schedule_outlives_the_process(tmp_path, api, number):
    """After a restart nothing is polled before its time; only the organizations are looked up."""
    site = Site(tmp_path, api.url, every="5m")
    with site.start() as poller:
        poller.until(lambda: site.baselined(11) and site.query("SELECT count(polled_ms) FROM stream") == [(11,)])
        poller.stop(number)
    seen = len(api.requests)
    with site.start() as poller:
        poller.up().until(lambda: len(api.requests) >= seen + 3)
        time.sleep(0.5)
        assert poller.stop().code == 0
    assert {request.path.split("/")[2] for request in api.requests[seen:]} == {"Accounts"}


def test_a_poll_longer_than_its_interval_is_followed_by_another(tmp_path, api, org):
    """A stream that is due again when its poll ends is not forgotten, however slowly that comes to its end."""
    late = """
import time
from poller.generation import Generation
poll = Generation._poll

def slowly(self, stream):
    poll(self, stream)
    time.sleep(0.05)

Generation._poll = slowly
"""
    site = Site(tmp_path, api.url, CLIENTS, every="1ms", patch=late)
    with site.start() as poller:
        poller.until(lambda: sum(f"{org}/clients" in request.path for request in api.requests) > 20)
        assert "maximum number of running instances" not in poller.stop().err


def test_a_failing_stream_backs_off_alone(tmp_path, api, account, org):
    """Its waits double; the others keep their interval; once it can, it goes on."""
    site = Site(tmp_path, api.url, only("clients", "items"), patch=NO_BACKOFF)
    with site.start() as poller:
        poller.until(lambda: site.baselined(2))
        api.faults.always(server_error, path="clients")
        poller.until(lambda: len(poller.log("stream.failed")) == 4)
        failed = poller.log("stream.failed")
        assert {line["stream"] for line in failed} == {f"{org}/clients"}
        assert [line["failures"] for line in failed] == [1, 2, 3, 4]
        assert "the API answered 500" in failed[0]["reason"]
        asked = sum("items" in request.path for request in api.requests)
        poller.until(lambda: sum("items" in request.path for request in api.requests) > asked + 3, 2)
        api.faults.clear()
        account.create(org, "clients")
        poller.until(lambda: [event["type"] for event in poller.events()] == ["com.spaceinvoices.client.created"])


def vanish(api, org):
    """Let the API know nothing of an organization, until the faults are cleared."""

    def without(request, proper):
        found = proper(request)
        rows = [row for row in json.loads(found.body) if row["id"] != org]
        return type(found)(found.status, json.dumps(rows).encode(), found.headers)

    api.faults.always(without, path="Accounts/.*/organizations")
    api.faults.always(organization_gone, path=f"Organizations/{org}")


def test_fault_42_a_vanished_organization_is_suspended_and_goes_on_when_it_is_back(tmp_path, api, account, org):
    """None of its records is announced as deleted; what changed meanwhile is announced when it is back."""
    other = account.add_organization("Other")
    changed, deleted = account.bulk_create(other, "clients", 12)[:2]
    account.create(other, "price_lists")
    site = Site(tmp_path, api.url, only("clients", "prices"), organizations_every="300ms")
    with site.start() as poller:
        poller.until(lambda: site.baselined(6))
        vanish(api, other)
        states = "SELECT count(*) FROM stream WHERE org = ? AND resource != 'price_lists' AND suspended"
        poller.until(lambda: site.query(states, other) == [(2,)])
        poller.until(lambda: not asked(api, other, 0.5))
        account.update(other, "clients", changed, {"name": "Changed meanwhile"})
        account.hard_delete(other, "clients", deleted)
        account.create(org, "clients")
        poller.until(lambda: len(poller.events()) == 1)
        api.faults.clear()
        poller.until(lambda: len(poller.events()) == 2)
        assert [event["data"].get("changed") for event in poller.events()] == [None, ["name"]]
        poller.until(lambda: site.query("SELECT sum(suspended) FROM stream") == [(0,)], 3)


def test_a_stream_of_a_vanished_organization_that_is_resumed_is_looked_for_at_once(tmp_path, api, account):
    """And not only when the organizations are looked up again."""
    other = account.add_organization("Other")
    site = Site(tmp_path, api.url, CLIENTS, organizations_every="1h")
    assert site.run("once").code == 0
    vanish(api, other)
    suspended = "SELECT suspended FROM stream WHERE org = ?"
    with site.start() as poller:
        poller.until(lambda: site.query(suspended, other) == [(1,)])
        api.faults.clear()
        assert site.run("resume", f"{other}/clients").code == 0
        poller.until(lambda: site.query(suspended, other) == [(0,)])
        assert poller.stop().code == 0


def asked(api, org, span_s):
    """How often an organization is asked for within a span from now."""
    seen = len(api.requests)
    time.sleep(span_s)
    return sum(org in request.path for request in api.requests[seen:])


def test_a_new_organization_begins_in_silence(tmp_path, api, account):
    """The organizations are looked up again; what a new one has already is no news, what changes then is."""
    site = Site(tmp_path, api.url, CLIENTS, organizations_every="200ms")
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        with account.lock:
            other = account.add_organization("Other")
            first = account.bulk_create(other, "clients", 3)[0]
        poller.until(lambda: site.baselined(2))
        account.update(other, "clients", first, {"name": "Changed"})
        poller.until(poller.events)
        assert [event["subject"] for event in poller.events()] == [f"clients/{first}"]
        assert poller.events()[0]["type"].endswith(".updated")


def test_the_organizations_are_looked_up_until_that_works(tmp_path, api):
    """An API that fails at the start is asked again; meanwhile the status does not look as if all were well."""
    api.faults.always(server_error)
    site = Site(
        tmp_path,
        api.url,
        CLIENTS,
        patch=NO_BACKOFF + "from poller import generation\ngeneration.LOOK_UP_RETRY_S = 0.2\n",
    )
    with site.start() as poller:
        poller.until(lambda: poller.log("organizations.failed"))
        told = site.run("status").out
        assert "NO STREAM is followed yet." in told
        assert "ORGANIZATIONS UNKNOWN: since " in told
        found = site.status()["organizations"]
        assert (found["error"], found["unknown_since"][:2]) == (poller.log("organizations.failed")[0]["reason"], "20")
        api.faults.clear()
        poller.until(lambda: site.baselined(1))
        assert site.status()["organizations"] is None
        assert "NO STREAM" not in site.run("status").out


def test_fault_42_a_refused_token_suspends_and_announces_nothing(tmp_path, api, account, org):
    """A 401 in the middle waits the longest and says why; a restart asks at once, and goes on."""
    gone = account.bulk_create(org, "clients", 3)[0]
    site = Site(tmp_path, api.url, CLIENTS)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        api.faults.always(unauthorized)
        poller.until(lambda: poller.log("stream.suspended"))
        assert "the token is wrong" in poller.log("stream.suspended")[0]["reason"]
        account.soft_delete(org, "clients", gone)
        assert asked(api, org, 0.5) == 0
        assert poller.stop().code == 0
        assert poller.events() == []
    api.faults.clear()
    with site.start() as poller:
        poller.until(poller.events, 5)
        assert [event["type"] for event in poller.events()] == ["com.spaceinvoices.client.deleted"]
        poller.until(lambda: site.query("SELECT suspended, error FROM stream") == [(0, "")])


def test_the_state_may_lie_in_a_long_folder(tmp_path, api):
    """A socket's name has 107 bytes at most; a folder's may be longer."""
    folder = tmp_path / ("folder-" * 12) / ("below-" * 12)
    folder.parent.mkdir()
    site = Site(folder, api.url, CLIENTS)
    assert len(str(site.database)) > 150
    with site.start() as poller:
        poller.up()
        assert site.status()["running"] == poller.pid
        assert poller.stop().code == 0
    assert site.status()["running"] is None


def test_the_log_is_json_and_keeps_the_secrets(tmp_path, api, account, org):
    """On stderr, a line an event; no token, no secret, no path or query of a URL, whatever goes wrong."""
    trouble = [answer(500, [("X", "canary")], b"canary")] * 8
    with Receiver(*trouble, reset(), answer(400, body=b"canary")) as receiver:
        url = receiver.url.replace("/hook", "/canary-path?key=canary-query")
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", url) + STDOUT, patch=NO_BACKOFF + HASTE)
        with site.start("--log-level", "debug", "run") as poller:
            poller.until(lambda: site.baselined(1))
            account.bulk_create(org, "clients", [{"name": "canary"}] * 8)
            poller.until(lambda: poller.log("sink.recovered"))
            api.faults.next(truncated, path="clients")
            poller.until(lambda: poller.log("stream.failed"))
            api.faults.next(server_error, times=4, path="clients")
            poller.until(lambda: len(poller.log("stream.failed")) > 1)
            api.faults.always(unauthorized)
            poller.until(lambda: poller.log("stream.suspended"))
            status = site.run("status").out
            done = poller.stop()
    assert [line for line in done.err.splitlines() if not line.startswith('{"timestamp": ')] == []
    assert len(done.log()) == len(done.err.splitlines())
    assert {"sink.waits", "sink.recovered", "delivery.failed"} <= {line["event"] for line in done.log()}
    for text in (done.err, status):
        assert "canary" not in text
        assert SECRET.removeprefix("whsec_") not in text
    assert [json.loads(line)["data"]["object"]["name"] for line in done.out.splitlines()] == ["canary"] * 8
