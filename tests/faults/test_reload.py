"""Faults of a configuration that is read anew while poller runs; docs/faults.md is the whole list."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest
from process import Poller, Site, file, lines, only, webhook
from receiver import Receiver, answer, delay, hang

from poller.simulator.faults import hang as hang_api

CLIENTS = only("clients")


@pytest.fixture
def told(tmp_path):
    return tmp_path / "events.jsonl"


@pytest.fixture
def site(tmp_path, api, told):
    return Site(tmp_path, api.url, CLIENTS + file("file", told))


def answers(poller):
    """How the reloads went so far."""
    names = {"configuration.reloaded": True, "configuration.refused": False}
    return [names[line["event"]] for line in poller.log() if line["event"] in names]


def hang_up(poller, timeout_s=60.0):
    """Send the signal and wait until the reload is over; how it went."""
    before = len(answers(poller))
    poller.signal(signal.SIGHUP)
    poller.until(lambda: len(answers(poller)) > before, timeout_s)
    return answers(poller)[-1]


def edit(site, old, new):
    text = site.config.read_text()
    assert old in text
    site.config.write_text(text.replace(old, new, 1))


BAD = {
    "syntax": ("[resources]\n", "[resources\n", "config.toml: is not TOML: ", "line"),
    "unknown key": ("overlap =", "overlapp =", "config.toml: source.overlapp: ", "overlap"),
    "missing secret": (
        'token = { env = "POLLER_TEST_TOKEN" }',
        'token = { file = "/no/such/token" }',
        "config.toml: source.token: /no/such/token cannot be read",
        "",
    ),
    "bad url": ('base_url = "http://', 'base_url = "ftp://', "config.toml: source.base_url: ", "https://"),
    "sink that cannot be made": (
        'kind = "file"\npath = "',
        'kind = "file"\npath = "/no/such/folder',
        "/no/such/folder",
        "",
    ),
    "another state": ('poller.db"', 'other.db"', "state.path: cannot become ", "restart"),
}


@pytest.mark.parametrize("wrong", BAD)
def test_fault_61_a_wrong_configuration_changes_nothing(site, account, org, told, wrong):
    """The old one goes on whole, log and status say which key is wrong; a good one afterwards is taken."""
    old, new, *words = BAD[wrong]
    good = site.config.read_text()
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        edit(site, old, new)
        assert hang_up(poller) is False
        reason = poller.log("configuration.refused")[0]["reason"]
        assert [word for word in words if word not in reason] == []
        found = site.status() if wrong != "another state" else None
        if found:
            assert (found["reloaded"]["ok"], found["reloaded"]["error"], found["running"]) == (
                False,
                reason,
                poller.pid,
            )
            assert "NOT RELOADED" in site.run("status").out
            assert [site.run(command).code for command in ("sinks", "events")] == [0, 0]
        account.create(org, "clients")
        poller.until(lambda: len(lines(told)) == 1)
        site.config.write_text(good)
        assert hang_up(poller) is True
        assert site.status()["reloaded"]["ok"] is True
        account.create(org, "clients")
        poller.until(lambda: len(lines(told)) == 2)
        assert poller.stop().code == 0


def test_fault_61_the_command_tells_how_it_went(site):
    """``poller reload`` waits: 0 and 1, with the reason; 1 where no poller runs."""
    assert (site.run("reload").code, "no poller runs" in site.run("reload").err) == (1, True)
    with site.start() as poller:
        poller.up()
        done = site.run("reload")
        assert (done.code, done.out) == (0, "the configuration is in force\n"), done.err
        edit(site, "overlap =", "overlapp =")
        done = site.run("reload")
        assert (done.code, "source.overlapp" in done.err) == (1, True)
        assert answers(poller) == [True, False]


def test_fault_61_a_file_that_is_gone_changes_nothing(site):
    """Found where it is by default; the token in the environment would be enough for another start, without it."""
    env = site.env | {"SPACE_INVOICES_TOKEN": "not-this-one"}

    def begin(out, err):
        command = [sys.executable, "-m", "poller", "run"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=site.folder, env=env)

    with Poller(begin, site.folder / "out", site.folder / "err") as poller:
        poller.up()
        site.config.unlink()
        assert hang_up(poller) is False
        assert "config.toml: cannot be read: No such file" in poller.log("configuration.refused")[0]["reason"]
        assert poller.stop().code == 0


def test_fault_62_a_reload_in_the_middle_of_a_poll_waits_for_it(site, api, account, org, told):
    """The poll ends under the old settings and is not lost; only then the new ones are in force."""
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        api.faults.next(hang_api(1.5), path="/clients")
        account.create(org, "clients")
        asked = len(api.requests)
        poller.until(lambda: len(api.requests) > asked)
        edit(site, file("file", told), file("new", told.with_name("new.jsonl")))
        assert hang_up(poller) is True
        account.create(org, "clients")
        poller.until(lambda: len(lines(told.with_name("new.jsonl"))) + len(lines(told)) == 2)
        assert poller.stop().code == 0
    assert site.query("SELECT count(*) FROM delivery WHERE state <> 'delivered'") == [(0,)]


def test_fault_62_a_poll_that_does_not_end_is_abandoned(tmp_path, api, account, org, told):
    """Nothing of it was committed, nor is it a failure of its stream; the new configuration makes it again."""
    hasty = "from poller import daemon\ndaemon.RELOAD_POLLS_S = 0.3\n"
    site = Site(tmp_path, api.url, CLIENTS + file("file", told), patch=hasty)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        account.create(org, "clients")
        api.faults.next(hang_api(20), path="/clients")
        asked = len(api.requests)
        poller.until(lambda: len(api.requests) > asked)
        began = time.monotonic()
        assert hang_up(poller) is True
        assert time.monotonic() - began < 10
        poller.until(lambda: len(lines(told)) == 1)
        assert poller.log("stream.failed") == []
        assert poller.stop().code == 0


def test_fault_62_a_reload_in_the_middle_of_a_delivery_waits_for_it(tmp_path, api, account, org):
    """What is being sent ends and is settled under the old settings, and is not sent again."""
    with Receiver(delay(1.5)) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url))
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: receiver.records)
            edit(site, "[sinks.hook]", "[sinks.hook]\nconcurrency = 2")
            assert hang_up(poller) is True
            assert site.query("SELECT state FROM delivery") == [("delivered",)]
            account.create(org, "clients")
            poller.until(lambda: len(receiver.records) == 2)
            assert poller.stop().code == 0


def test_fault_62_a_send_that_does_not_end_stays_due(tmp_path, api, account, org):
    """It is abandoned after a while, and sent again with the same id."""
    hasty = "from poller import daemon\ndaemon.RELOAD_SENDS_S = 0.3\n"
    with Receiver(hang()) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url, timeout="50s"), patch=hasty)
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: receiver.records)
            assert hang_up(poller, 20) is True
            poller.until(lambda: site.query("SELECT state, troubles FROM delivery") == [("delivered", 0)])
            assert poller.stop().code == 0
    assert len({record.id for record in receiver.records}) == 1


def test_fault_62_a_stop_in_the_middle_of_a_reload_ends_well(tmp_path, api, account, org):
    """It waits no longer for the poll, and leaves the state clean."""
    site = Site(tmp_path, api.url, CLIENTS)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        api.faults.always(hang_api(), path="/clients")
        asked = len(api.requests)
        poller.until(lambda: len(api.requests) > asked)
        poller.signal(signal.SIGHUP)
        time.sleep(0.5)
        assert answers(poller) == []
        assert poller.stop(timeout_s=8).code == 0
    assert json.loads(site.database.with_name("poller.db.lock").read_text())["clean"]


SLOW = """
import time
from poller import reload
renew = reload.renew

def slowly(*arguments):
    time.sleep(1)
    return renew(*arguments)

reload.renew = slowly
"""


def test_fault_62_a_stop_waits_for_a_send_no_longer_than_ever(tmp_path, api, account, org):
    """In the middle of a reload that would wait half a minute for it."""
    hasty = "from poller import service\nservice.DRAIN_S = 0.5\n"
    with Receiver(hang()) as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url, timeout="50s"), patch=hasty)
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: receiver.records)
            poller.signal(signal.SIGHUP)
            time.sleep(0.5)
            assert answers(poller) == []
            assert poller.stop(timeout_s=10).code == 0
    assert site.query("SELECT state, troubles FROM delivery") == [("pending", 0)]


def test_fault_58_a_sink_is_renamed_by_a_reload_while_events_wait_for_it(tmp_path, api, account, org, told):
    """The log says that it is a new one; what waits goes out once the old name is back, and nothing goes twice."""
    with Receiver(answer(500)) as receiver:
        slow = "from poller import retry\nretry.SINK_WAITS_S = (60.0,)\n"
        site = Site(tmp_path, api.url, CLIENTS + webhook("old", receiver.url), patch=slow)
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            account.create(org, "clients")
            poller.until(lambda: poller.log("delivery.failed"))
            edit(site, "[sinks.old]", "[sinks.new]")
            assert hang_up(poller) is True
            assert poller.log("sink.renamed")[0]["before"] == "old"
            poller.until(lambda: poller.log("sink.unknown"))
            assert poller.log("sink.unknown")[0]["pending"] == 1
            account.create(org, "clients")
            poller.until(lambda: len(receiver.records) == 2)
            states = "SELECT sink, state FROM delivery ORDER BY sequence"
            poller.until(lambda: site.query(states) == [("old", "pending"), ("new", "delivered")])
            edit(site, "[sinks.new]", "[sinks.old]")
            assert hang_up(poller) is True
            assert site.run("resume", "old").code == 0
            poller.until(lambda: len(receiver.records) == 3)
            assert poller.stop().code == 0
    first, second, third = (record.id for record in receiver.records)
    assert first == third != second


def test_fault_63_signals_that_come_together_are_one_reload(site, api, account, org, told):
    """However many come while one is under way, one more is made; nothing is told twice."""
    with site.start(patch=SLOW) as poller:
        poller.until(lambda: site.baselined(1))
        poller.signal(signal.SIGHUP)
        time.sleep(0.3)
        for _ in range(5):
            poller.signal(signal.SIGHUP)
            time.sleep(0.05)
        account.create(org, "clients")
        poller.until(lambda: len(answers(poller)) == 2)
        poller.until(lambda: len(lines(told)) == 1)
        time.sleep(1.5)
        assert answers(poller) == [True, True]
        assert poller.stop().code == 0
    assert len(lines(told)) == 1


def test_fault_64_a_half_written_file_changes_nothing(site, account, org, told):
    """It is refused with line and column; the whole one is taken afterwards."""
    whole = site.config.read_text()
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        for mark in ("POLLER_TEST_TOKEN", "http://", "poller.db"):
            site.config.write_text(whole[: whole.index(mark) + 4])
            assert hang_up(poller) is False
            assert re.search(r"is not TOML: .*line \d+, column", poller.log("configuration.refused")[-1]["reason"])
        account.create(org, "clients")
        poller.until(lambda: len(lines(told)) == 1)
        site.config.write_text(whole)
        assert hang_up(poller) is True
        assert site.status()["reloaded"]["error"] == ""
        assert poller.stop().code == 0
