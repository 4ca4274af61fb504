"""A running process gets another configuration: by SIGHUP, by ``poller reload``; all of it, or nothing."""

import signal
from pathlib import Path

import pytest
from process import TOKEN, Site, file, lines, only, webhook
from receiver import Receiver

from poller.simulator import Account, Simulator

CLIENTS = only("clients")


@pytest.fixture
def account():
    return Account(token=TOKEN, organizations=1, seed=1)


@pytest.fixture
def org(account):
    return account.organizations[0]


@pytest.fixture
def api(account):
    with Simulator(account) as simulator:
        yield simulator


@pytest.fixture
def told(tmp_path):
    """The file that a sink of most tests writes to."""
    return tmp_path / "events.jsonl"


def reloads(poller):
    """How the reloads went so far: True and False in their order."""
    names = {"configuration.reloaded": True, "configuration.refused": False}
    return [names[line["event"]] for line in poller.log() if line["event"] in names]


def reload(poller, *, well=True):
    """Send the signal, and wait until that reload is over."""
    before = len(reloads(poller))
    poller.signal(signal.SIGHUP)
    poller.until(lambda: len(reloads(poller)) > before, 60)
    assert reloads(poller)[-1] is well, poller.err


def edit(site, old, new):
    """Replace a part of the configuration that is there."""
    text = site.config.read_text()
    assert old in text
    site.config.write_text(text.replace(old, new))


def test_a_signal_brings_the_new_configuration(tmp_path, api, account, org, told):
    """Another sink and another resource, in the same process; what was followed before goes on, with no false event."""
    site = Site(tmp_path, api.url, CLIENTS + file("one", told))
    account.bulk_create(org, "items", 3)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        account.create(org, "clients")
        poller.until(lambda: len(lines(told)) == 1)
        edit(site, file("one", told), file("two", tmp_path / "two.jsonl"))
        edit(site, "items = false\n", "")
        reload(poller)
        poller.until(lambda: site.baselined(2))
        account.create(org, "clients")
        account.create(org, "items")
        poller.until(lambda: len(lines(tmp_path / "two.jsonl")) == 2)
        assert poller.stop().code == 0
    assert len(lines(told)) == 1
    assert {event["type"].split(".")[-2] for event in lines(tmp_path / "two.jsonl")} == {"client", "item"}


def fds(poller):
    return len([*Path(f"/proc/{poller.pid}/fd").iterdir()])


def threads(poller):
    return len([*Path(f"/proc/{poller.pid}/task").iterdir()])


def test_a_hundred_reloads_leave_nothing_behind(tmp_path, api, account, org):
    """No thread and no file stays open of what was replaced."""
    with Receiver() as receiver:
        site = Site(tmp_path, api.url, CLIENTS + webhook("hook", receiver.url) + file("file", tmp_path / "events"))
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            counts = []
            for number in range(1, 101):
                account.create(org, "clients")
                poller.until(lambda: len(receiver.records) == number)  # noqa: B023
                reload(poller)
                if number % 10 == 0:
                    poller.until(lambda: site.query("SELECT count(*) FROM delivery WHERE state = 'pending'") == [(0,)])
                    counts.append((threads(poller), fds(poller)))
            assert max(of_threads for of_threads, _ in counts) <= counts[0][0] + 8
            assert max(of_files for _, of_files in counts) <= counts[0][1] + 8
            assert poller.stop().code == 0
