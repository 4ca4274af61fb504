"""The real process and a service manager: when it is ready, how it goes, and what stops the pings."""

import signal
import time

import pytest
from manager import Manager
from process import HASTE, Site, eventually, only, webhook
from receiver import Receiver, answer
from receiver import hang as hang_receiver

from poller import control
from poller.simulator.faults import hang as hang_api

CLIENTS = only("clients")
QUICK = "from poller import deliver, pulse, service\ndeliver.IDLE_S = 0.2\npulse.LOOP_S = 2.0\nservice.ANSWER_S = 0.5\n"
"""What stands still is noticed within seconds."""

STICKS = """
import pathlib, time

def sticks(function):
    def slowly(*arguments, **options):
        while pathlib.Path("stick").exists():
            time.sleep(0.05)
        return function(*arguments, **options)
    return slowly
"""
"""What is wrapped in it stands still as long as there is a file of this name."""


@pytest.fixture
def manager(tmp_path):
    with Manager(tmp_path / "notify", watchdog_s=0.9) as manager:
        yield manager


def site(folder, api, manager, tables="", patch="", **source):
    made = Site(folder / "site", api.url, CLIENTS + tables, patch=patch, **source)
    made.env |= manager.env
    return made


@pytest.mark.parametrize(
    "access",
    [
        "from poller.stores import opening\nopening._prepare = sticks(opening._prepare)\n",
        "from poller.stores.reading import View\nView.totals = sticks(View.totals)\n",
    ],
    ids=["open", "read"],
)
def test_it_is_ready_after_the_first_access_to_the_database(tmp_path, api, manager, access):
    """Not before it was opened and read; and when it says so, commands reach it."""
    at = site(tmp_path, api, manager, patch=STICKS + access)
    (at.folder / "stick").touch()
    with at.start() as poller:
        poller.until(lambda: at.database.with_name("poller.db.lock").exists())
        time.sleep(1)
        assert manager.said == []
        (at.folder / "stick").unlink()
        poller.until(lambda: "READY=1" in manager.said)
        assert control.ask(at.database, "ping")["pid"] == poller.pid


def test_a_start_that_fails_says_nothing(tmp_path, api, manager):
    """The manager knows by the exit status."""
    at = site(tmp_path, api, manager, tables='[sinks.x]\nkind = "none"\n')
    assert at.run("run").code == 78
    assert manager.said == []


def test_an_abstract_socket_hears_it_too(tmp_path, api):
    """Some managers have no path for it."""
    with Manager(f"@{tmp_path}", watchdog_s=0.9) as manager, site(tmp_path, api, manager).start() as poller:
        poller.until(lambda: "READY=1" in manager.said)
        assert manager.is_pinged()


def test_without_a_manager_it_runs_as_ever(tmp_path, api, manager):
    """Nothing is said to anybody."""
    at = Site(tmp_path / "site", api.url, CLIENTS)
    with at.start() as poller:
        poller.until(lambda: at.baselined(1))
        assert poller.stop().code == 0
    assert manager.said == []


def test_it_says_how_it_goes_until_it_ends(tmp_path, api, manager, account):
    """Streams, what is pending, and why polls pause; the last word is that it stops."""
    with Receiver(always=answer(500)) as receiver:
        patch = HASTE + "from poller import strain\nstrain.EVERY_S = 0.1\n"
        at = site(tmp_path, api, manager, webhook("hook", receiver.url), patch)
        at.config.write_text(at.config.read_text().replace("[state]", "[state]\nmax_pending = 2"))
        with at.start() as poller:
            poller.until(lambda: at.baselined(1))
            poller.until(lambda: manager.status == "1 stream; 0 deliveries pending")
            account.bulk_create(account.organizations[0], "clients", 3)
            poller.until(lambda: manager.status.startswith("1 stream; 3 deliveries pending; polls pause: "))
            assert poller.stop().code == 0
    assert manager.said.index("READY=1") < len(manager.said) - 1
    assert manager.said[-1] == "STOPPING=1"


def test_a_reload_is_told_with_what_came_of_it(tmp_path, api, manager):
    """RELOADING with the time of it, then READY, well or not; that it was refused is told until it is mended."""
    at = site(tmp_path, api, manager)
    good = at.config.read_text()
    with at.start() as poller:
        poller.until(lambda: at.baselined(1))
        for text, words in ((good + "[nonsense]\n", "refused"), (good, "pending")):
            at.config.write_text(text)
            before = len(manager.said)
            poller.signal(signal.SIGHUP)
            poller.until(lambda before=before: "READY=1" in manager.said[before:])
            began = [one for one in manager.said[before:] if not one.startswith(("STATUS", "WATCHDOG"))]
            assert [one.partition("\n")[0] for one in began] == ["RELOADING=1", "READY=1"]
            assert began[0].partition("MONOTONIC_USEC=")[2].isdecimal()
            poller.until(lambda words=words: words in manager.status.rpartition("; ")[2])
        assert manager.is_pinged()


def test_a_dead_api_and_a_dead_receiver_stop_nothing(tmp_path, api, manager, account):
    """Both take what is said and never answer: loops turn, and the pings go on."""
    with Receiver(always=hang_receiver()) as receiver:
        patch = QUICK.replace("service.ANSWER_S = 0.5\n", "")
        at = site(tmp_path, api, manager, webhook("hook", receiver.url, timeout="30s"), patch)
        with at.start() as poller:
            poller.until(lambda: at.baselined(1))
            account.create(account.organizations[0], "clients")
            poller.until(lambda: receiver.records)
            api.faults.always(hang_api)
            seen = len(api.requests)
            poller.until(lambda: len(api.requests) > seen)
            assert manager.is_pinged(12)  # in more time than a loop may stand still


HANGS = {
    "the drain of stdout": "from poller.deliver import Drain\nDrain.turn = sticks(Drain.turn)\n",
    "the poll of {org}/clients": "import poller.poll\npoller.poll._follow = sticks(poller.poll._follow)\n",
    "the scheduler": "from apscheduler.schedulers.background import BackgroundScheduler as It\n"
    "It._process_jobs = sticks(It._process_jobs)\n",
    "the database": "from poller.stores.reading import View\nView.totals = sticks(View.totals)\n",
}


@pytest.mark.parametrize("what", HANGS)
def test_what_stands_still_stops_the_pings(tmp_path, api, manager, account, what):
    """It is told by name to whoever asks; when it goes on, so do the pings."""
    database = "from poller import pulse\npulse.DATABASE_S = 0.5\n"
    at = site(tmp_path, api, manager, patch=QUICK + database + STICKS + HANGS[what])
    with at.start() as poller:
        poller.until(lambda: at.baselined(1))
        assert manager.is_pinged()
        (at.folder / "stick").touch()
        assert manager.is_left_alone()
        named = what.format(org=account.organizations[0])
        eventually(lambda: named in control.ask(at.database, "ping")["trouble"])
        (at.folder / "stick").unlink()
        assert manager.is_pinged()
        eventually(lambda: control.ask(at.database, "ping")["trouble"] == "")


def test_fault_22_the_process_stands_still(tmp_path, api, manager, account):
    """The manager hears nothing, kills it, and starts it anew: what happened meanwhile is told then, once."""
    at = site(tmp_path, api, manager, patch=QUICK + STICKS + HANGS["the scheduler"])
    with at.start() as poller:
        poller.until(lambda: at.baselined(1))
        assert manager.is_pinged()
        (at.folder / "stick").touch()
        assert manager.is_left_alone()
        account.create(account.organizations[0], "clients")
        poller.signal(signal.SIGABRT)
        assert "_main_loop" in poller.wait().err
        assert poller.events() == []
    (at.folder / "stick").unlink()
    with at.start() as poller:
        poller.until(poller.events)
        assert manager.is_pinged()
        assert [event["type"] for event in poller.events()] == ["com.spaceinvoices.client.created"]
