"""Operator events by the real process: a receiver dies and comes back, deletions are held, a stream fails."""

import json
from functools import partial

import pytest
from process import HASTE, Site, file, lines, only, webhook
from receiver import Receiver, judge

from poller.simulator.faults import unauthorized

ROUTES = """
[[route]]
name = "records"
on = ["*"]
to = ["hook"]

[[route]]
name = "alerts"
on = ["poller.*"]
to = ["hook", "ops"]

[[route]]
name = "texts"
on = ["poller.sink.*"]
when = "event.kind == 'failing'"
to = ["texts"]
body = { text = "${data.id}: ${data.reason}" }
"""


class Health:
    """Whether a receiver answers well."""

    def __init__(self):
        self.well = True

    def __call__(self, _record):
        return 200 if self.well else 500


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def receiver(health):
    with Receiver(always=judge(health)) as receiver:
        yield receiver


@pytest.fixture
def site(tmp_path, api, receiver):
    """One sink for records, a file for operator events, and one for their texts."""
    sinks = webhook("hook", receiver.url) + file("ops", tmp_path / "ops") + file("texts", tmp_path / "texts")
    return Site(tmp_path, api.url, only("clients") + sinks + ROUTES, patch=HASTE, sweep_every="300ms")


@pytest.fixture
def told(tmp_path):
    """What came of the operator: kinds of a trigger, or all."""

    def told(trigger=""):
        found = {event["id"]: event for event in lines(tmp_path / "ops")}  # a kill may make one come again
        return [
            one["data"]["object"] for one in found.values() if one["type"].partition("poller.")[2].startswith(trigger)
        ]

    return told


def test_a_receiver_that_dies_is_told_of_once_through_kills(tmp_path, site, account, receiver, health, told):
    """And its recovery once; both by another sink, never by itself."""
    org = account.organizations[0]
    with site.start() as poller:
        poller.until(lambda: site.baselined(1) and told("baseline"))
        health.well = False
        for _ in range(12):
            account.create(org, "clients")
        poller.until(lambda: poller.log("sink.waits"), 30)
        poller.kill()
    with site.start() as poller:
        poller.until(lambda: told("sink.failing"), 30)
        poller.kill()
    with site.start() as poller:
        poller.up()
        health.well = True
        poller.until(lambda: told("sink.recovered"), 30)
        poller.kill()
    with site.start() as poller:
        poller.until(lambda: site.query("SELECT count(*) FROM delivery WHERE state = 'pending'") == [(0,)], 30)
        assert poller.stop().code == 0
    in_the_outbox = site.query("SELECT trigger FROM event WHERE trigger GLOB 'poller.sink.*' ORDER BY sequence")
    assert in_the_outbox == [("poller.sink.failing",), ("poller.sink.recovered",)]
    [failing], [recovered] = told("sink.failing"), told("sink.recovered")
    assert (failing["id"], recovered["id"]) == ("hook", "hook")
    assert "500" in failing["reason"]
    assert recovered["since"] == failing["since"]
    texts = [text["text"] for text in lines(tmp_path / "texts")]
    assert set(texts) == {f"hook: {failing['reason']}"}
    came = {event["type"] for record in receiver.records for event in record.events}
    assert "com.spaceinvoices.client.created" in came
    assert not [name for name in came if "poller.sink" in name]
    assert site.run("verify").code == 0


def test_held_deletions_and_the_first_listing_are_told(site, account, told):
    """With what an operator has to know to decide."""
    org = account.organizations[0]
    ids = account.bulk_create(org, "clients", 40)
    with site.start() as poller:
        poller.until(lambda: told("baseline"))
        for one in ids[:30]:
            account.hard_delete(org, "clients", one)
        poller.until(lambda: told("deletions"), 30)
        assert poller.stop().code == 0
    [completed], [held] = told("baseline"), told("deletions")
    assert (completed["id"], completed["records"]) == (f"{org}/clients", 40)
    assert (held["id"], held["missing"], held["records"]) == (f"{org}/clients", 30, 10)


def test_a_denied_organization_is_told_once_and_again_after_it_recovered(site, api, account, told):
    """Not at every poll that is denied."""
    denied = "from poller import schedule\nschedule.CEILING_S = 0.2\n"
    org = account.organizations[0]
    with site.start(patch=HASTE + denied) as poller:
        poller.until(lambda: told("baseline"))
        for times in (1, 2):
            api.faults.always(
                lambda request, proper: unauthorized(request, proper) if org in request.path else proper(request)
            )
            poller.until(lambda times=times: len(told("stream.failing")) == times)
            failed = len(poller.log("stream.suspended"))
            poller.until(lambda failed=failed: len(poller.log("stream.suspended")) > failed + 2)
            api.faults.clear()
            poller.until(lambda times=times: len(told("stream.recovered")) == times)
        assert len(poller.log("stream.recovered")) == 2
        assert poller.stop().code == 0
    failing, recovered = told("stream.failing"), told("stream.recovered")
    assert [(one["denied"], one["failures"]) for one in failing] == [(True, 1)] * 2
    assert [one["since"] for one in recovered] == [one["since"] for one in failing]


def test_events_and_samples_of_them(site, told):
    """The commands that show events show these as well."""
    with site.start() as poller:
        poller.until(lambda: told("baseline"))
        assert poller.stop().code == 0
    run = partial(site.run, timeout_s=60)
    assert "poller.baseline.completed" in run("events", "poller.*").out
    assert run("events", "client.*").out == ""
    sample = json.loads(run("sample", "poller.sink.failing").out)
    assert sample["data"]["object"]["id"] == "crm"
    explained = run("explain", "poller.sink.failing").out
    assert "records: no, it is not on poller.sink.failing" in explained
    assert '{"text":"crm: HTTP 503' in explained
    assert run("try", "texts", "--event", "poller.sink.recovered").code == 1
    assert run("try", "alerts", "--last").code == 0
    assert run("replay", "--trigger", "poller.*", "--dry-run").out.startswith("2 deliveries")
