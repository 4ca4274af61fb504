"""Commands that look, as processes: ``check``, ``status`` and ``events``."""

import json
import random
import re
import subprocess
import sys

import pytest
from process import Site, file

from poller.simulator import History
from poller.simulator.faults import ignores, shuffled

# check


def test_check_finds_all_well(tmp_path, api, account, org):
    """Each resource's filters are tried."""
    History(account, random.Random(1)).populate(5)
    account.soft_delete(org, "clients", next(iter(account.live(org, "clients"))))
    done = Site(tmp_path, api.url).run("check")
    assert (done.code, done.err) == (0, "")
    assert "Organization 1" in done.out
    assert len(re.findall(r"^ok +\w+: id gt", done.out, re.MULTILINE)) == 10
    assert "ok       clients: id gt, updatedAt gte and deleted are honoured\n" in done.out


def test_check_with_a_wrong_token(site):
    """Exit 1, and it says that it is the token."""
    site.env["POLLER_TEST_TOKEN"] = "wrong"
    done = site.run("check")
    assert done.code == 1
    assert "FAILED   token: the API answered 401" in done.out


@pytest.mark.parametrize("fault", [ignores("where"), ignores("order"), shuffled()], ids=["where", "order", "shuffled"])
def test_check_finds_a_server_that_ignores_filters(site, api, account, org, fault):
    """Such a server would lose changes in silence."""
    ids = account.bulk_create(org, "clients", 5)
    account.put_raw(org, "clients", "000000000000000000000000", json.dumps(account.get("clients", ids[0])).encode())
    api.faults.always(fault, path="clients")
    done = site.run("check")
    assert done.code == 1
    assert "FAILED   clients: " in done.out


def test_check_of_an_empty_account(site):
    """Nothing to tell by is no failure, and says so."""
    done = site.run("check")
    assert done.code == 0
    assert "unknown  clients: too few records to tell" in done.out


def test_check_finds_a_token_that_the_status_page_would_not_start_with(tmp_path, api):
    """A start would be refused for it."""
    site = Site(tmp_path, api.url, '[http]\nlisten = "127.0.0.1:0"\ntoken = { env = "PAGE_TOKEN" }\n')
    site.env["PAGE_TOKEN"] = "0123456789"
    told = "poller: http.token: should have at least 16 characters, such as: openssl rand -hex 32\n"
    assert site.run("check") == (78, "", told)
    assert site.run("run").code == 78


def test_check_names_the_sink_that_cannot_be_made(tmp_path, api):
    """As a start does."""
    site = Site(tmp_path, api.url, file("audit", tmp_path / "nowhere" / "events.jsonl"))
    done = site.run("check")
    assert (done.code, done.out) == (78, "")
    assert done.err.startswith("poller: sinks.audit: the folder ")
    assert site.run("once").err.endswith(done.err)


# status


def test_status_of_a_running_and_a_stopped_poller(site, account, org):
    """For people and for programs."""
    account.bulk_create(org, "clients", 3)
    with site.start() as poller:
        poller.until(lambda: site.baselined(1))
        account.create(org, "clients")
        poller.until(lambda: site.query("SELECT state FROM delivery") == [("delivered",)])
        found = site.status()
        [stream] = found["streams"]
        [sink] = found["sinks"]
        assert (found["running"], stream["stream"], stream["state"]) == (poller.pid, f"{org}/clients", "following")
        assert (stream["records"], stream["failures"], stream["error"]) == (4, 0, "")
        assert all(stream[key].startswith("20") for key in ("polled", "next_poll", "watermark", "next_sweep"))
        assert (sink["sink"], sink["pending"], sink["parked"], sink["delivered"]) == ("stdout", 0, 0, 1)
        text = site.run("status").out
        assert f"poller is running (process {poller.pid})" in text
        assert f"{org}/clients" in text
        poller.kill()
    assert site.status()["running"] is None
    assert "poller is not running" in site.run("status").out


# events


def test_events_are_listed_and_followed(site, account, org):
    """The newest, by a pattern, for people or as they are sent; then new ones as they come."""
    first = account.create(org, "clients")
    site.run("once")
    account.update(org, "clients", first, {"name": "Changed"})
    sent = site.run("once").out
    account.create(org, "clients")
    sent += site.run("once").out
    assert site.run("events", "--json").out == sent
    assert site.run("events", "--json", "-n", "1").out == sent.splitlines(keepends=True)[1]
    assert site.run("events", "--json", "*.updated").out == sent.splitlines(keepends=True)[0]
    line = site.run("events", "client.updated").out
    assert line.split()[1:] == ["client.updated", f"clients/{first}", "name"]
    with site.start("events", "--json", "--follow") as follower:
        follower.until(lambda: follower.out == sent)
        account.create(org, "clients")
        sent += site.run("once").out
        follower.until(lambda: follower.out == sent, 3)


@pytest.mark.parametrize(
    "command", [("events",), ("events", "--follow"), ("replay", "--trigger"), ("dead", "list", "--trigger")]
)
def test_a_mistyped_trigger_is_no_pattern_of_nothing(site, command):
    """It is said that none matches, with the nearest one, before any wait."""
    done = site.run(*command, "clint.created")
    assert (done.code, done.out) == (2, "")
    assert '"clint.created" matches no trigger; did you mean "client.created"?' in done.err


@pytest.mark.parametrize("pattern", ["*", "client.*", "*.updated", "New Client", "poller.*", "*created"])
def test_what_names_triggers_is_a_pattern_of_events(site, pattern):
    """As routes have them, and connector platforms."""
    assert site.run("once").code == 0
    assert site.run("events", pattern)[:3] == (0, "", "")


def test_events_into_a_pipe_that_closes(site, account, org):
    """No traceback in ``poller events | head``."""
    site.run("once")
    account.bulk_create(org, "clients", 50)
    site.run("once")
    command = f"{sys.executable} -m poller --config {site.config} events --json -n 50 | head -c 10"
    done = subprocess.run(command, shell=True, env=site.env, capture_output=True, text=True, check=False)
    assert (len(done.stdout), "Traceback" in done.stderr) == (10, False)


@pytest.mark.parametrize("command", ["triggers", "sample client.created", "status", "--help", "config schema"])
def test_an_answer_onto_a_disk_that_is_full(site, command):
    """It is said that it cannot be written; that is no defect of poller."""
    site.run("once")
    line = f"{sys.executable} -m poller --config {site.config} {command} > /dev/full"
    done = subprocess.run(line, shell=True, env=site.env, capture_output=True, text=True, check=False)
    told = "poller: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)
