"""A running process gets another configuration: by SIGHUP, by ``poller reload``; all of it, or nothing."""

import signal
from pathlib import Path

import pytest
from process import TOKEN, Site, file, lines, only, webhook
from receiver import Receiver

from poller.simulator import Account, Simulator

CLIENTS = only("clients")
NO_BACKOFF = "from poller.sources import spaceinvoices\nspaceinvoices.BACKOFF_S = 0.01\n"


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


def test_a_defect_in_the_main_thread_ends_the_process(tmp_path):
    """Else its polls would go on for ever, while nobody hears a signal; a manager starts it anew."""
    account = Account(token=TOKEN, organizations=8, seed=1)
    broken = "from poller import daemon\ndaemon.warn = lambda *_: 1 // 0\n"
    with Simulator(account) as api:
        site = Site(tmp_path, api.url, every="10ms", patch=broken)
        with site.start() as poller:
            poller.until(lambda: site.baselined(10))
            poller.signal(signal.SIGHUP)
            done = poller.wait()
    assert done.code == 1
    assert [line["level"] for line in done.log() if line["event"] == "poller.broken"] == ["critical"]


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


def test_a_shorter_interval_holds_at_once(tmp_path, api, account, org, told):
    """Nobody waits for the end of the long one."""
    site = Site(tmp_path, api.url, CLIENTS + file("one", told), every="1h")
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        edit(site, '"1h"', '"200ms"')
        reload(poller)
        account.create(org, "clients")
        poller.until(lambda: lines(told))
        assert poller.stop().code == 0


@pytest.mark.parametrize("named", [False, True], ids=["all organizations", "one by name"])
def test_an_address_that_does_not_answer_costs_nothing(tmp_path, api, account, org, told, named):
    """It was a mistake: once the old one is back, what happened meanwhile is told."""
    only_one = {"organizations": [org]} if named else {}
    hasty = NO_BACKOFF + "from poller import generation\ngeneration.LOOK_UP_RETRY_S = 0.1\n"
    site = Site(tmp_path, api.url, CLIENTS + file("one", told), patch=hasty, **only_one)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        good = site.config.read_text()
        edit(site, api.url, "http://127.0.0.1:9/v1")
        reload(poller)
        poller.until(lambda: poller.log("organizations.failed"))
        account.create(org, "clients")
        site.config.write_text(good)
        reload(poller)
        poller.until(lambda: lines(told))
        assert [event["type"] for event in lines(told)] == ["com.spaceinvoices.client.created"]
        assert poller.log("stream.forgotten") == []
        assert poller.stop().code == 0


def test_two_generations_keep_no_stream_to_themselves(tmp_path, api, account, org, told):
    """What is held for an operator, and paused, is so after a reload too; and his word counts then."""
    site = Site(tmp_path, api.url, CLIENTS + file("one", told), count_every=1)
    ids = account.bulk_create(org, "clients", 30)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        for one in ids[:20]:
            account.hard_delete(org, "clients", one)
        poller.until(lambda: poller.log("deletions.held"))
        reload(poller)
        assert site.run("approve", f"{org}/clients").code == 0
        poller.until(lambda: len(lines(told)) == 20)
        assert site.run("pause", f"{org}/clients").code == 0
        reload(poller)
        assert site.status()["streams"][0]["state"] == "paused"
        assert poller.stop().code == 0


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
