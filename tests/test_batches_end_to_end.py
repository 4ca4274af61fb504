"""Batches from a real process: together when they come together, each once, and nobody pays for another."""

import pytest
from process import HASTE, SECRET, STDOUT, Site, only, webhook
from receiver import Receiver, answer, delay, judge

from poller.simulator import Simulator

COUNT = 40


@pytest.fixture
def site(tmp_path, account):
    """Make a site with a webhook that takes batches, and standard output."""

    def make(receiver, batch, **source):
        table = webhook("hook", receiver.url) + f"batch = {batch}\n"
        return Site(tmp_path, simulator.url, only("clients") + table + STDOUT, patch=HASTE, **source)

    with Simulator(account) as simulator:
        yield make


def delivered(site):
    """How many deliveries of the webhook are done."""
    return site.query("SELECT count(*) FROM delivery WHERE sink = 'hook' AND state = 'delivered'")[0][0]


def ids(records):
    return [event["id"] for record in records for event in record.events]


def test_what_comes_together_goes_together(site, account, org):
    """After the wait, signed; each event once, in the form that it has elsewhere, none twice of a record in a batch."""
    with Receiver() as receiver:
        made = site(receiver, '{ max = 30, wait = "500ms" }')
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            clients = [account.create(org, "clients") for _ in range(COUNT)]
            poller.until(lambda: len(poller.events()) == COUNT)
            for client in clients:
                account.update(org, "clients", client, {"name": "Another"})
            poller.until(lambda: delivered(made) == len(poller.events()) == 2 * COUNT)
            assert poller.stop().code == 0
    assert len(receiver.records) <= 2 * COUNT / 4
    assert sorted(ids(receiver.records)) == sorted(event["id"] for event in poller.events())
    by_id = {event["id"]: event for event in poller.events()}
    for record in receiver.records:
        record.verify(SECRET)
        assert record.headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
        assert [by_id[event["id"]] for event in record.events] == record.events
        assert len({event["partitionkey"] for event in record.events}) == len(record.events) <= 30
    for client in clients:
        mine = [event for record in receiver.records for event in record.events if client in event["subject"]]
        assert [event["type"].rpartition(".")[2] for event in mine] == ["created", "updated"]


def test_one_bad_event_pays_alone(site, account, org):
    """The others of its batch arrive at once; it is tried again by itself, and parked in the end."""
    bad = judge(lambda record: 422 if b'"Bad"' in record.body else 200)
    with Receiver(always=bad) as receiver:
        made = site(receiver, '{ max = 100, wait = "500ms" }')
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            for number in range(COUNT):
                account.create(org, "clients", {"name": "Bad" if number == 17 else "Good"})
            poller.until(lambda: delivered(made) == COUNT - 1)
            [[attempts]] = made.query("SELECT max(attempts) FROM delivery WHERE sink = 'hook' AND state = 'delivered'")
            poller.until(lambda: poller.log("delivery.parked"))
    assert attempts == 1
    [culprit] = {event["id"] for event in poller.events() if event["data"]["object"]["name"] == "Bad"}
    troubled = poller.log("delivery.failed") + poller.log("delivery.parked")
    assert {line["event_id"] for line in troubled} == {culprit}
    refused = [record for record in receiver.records if b'"Bad"' in record.body]
    assert [ids([record]) for record in refused[-3:]] == [[culprit]] * 3
    taken = ids(record for record in receiver.records if record not in refused)
    assert sorted([*taken, culprit]) == sorted(event["id"] for event in poller.events())


def test_a_kill_loses_no_batch(site, account, org):
    """One that was under way comes again, perhaps in other company; each event has the same bytes."""
    with Receiver(always=delay(0.3)) as receiver:
        made = site(receiver, '{ max = 10, wait = "100ms" }')
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            for _ in range(COUNT):
                account.create(org, "clients")
            poller.until(lambda: receiver.records and len(poller.events()) == COUNT)
            poller.kill()
        with made.start() as again:
            again.until(lambda: delivered(made) == COUNT)
    assert set(ids(receiver.records)) == {event["id"] for event in poller.events()}
    seen = {}
    for record in receiver.records:
        record.verify(SECRET)
        for event in record.events:
            assert seen.setdefault(event["id"], event) == event


def test_a_receiver_in_trouble_gets_them_later(site, account, org):
    """Nobody has paid, and those that met the trouble come alone."""
    with Receiver(answer(500)) as receiver:
        made = site(receiver, '{ max = 100, wait = "500ms" }')
        with made.start() as poller:
            poller.until(lambda: made.baselined(1))
            for _ in range(3):
                account.create(org, "clients")
            poller.until(lambda: delivered(made) == len(poller.events()) == 3)
    first, *rest = receiver.records
    assert sorted(ids(rest)) == sorted(event["id"] for event in poller.events())
    assert [len(record.events) for record in rest if set(ids([record])) <= set(ids([first]))] == [1] * len(first.events)
    assert made.query("SELECT DISTINCT attempts FROM delivery WHERE sink = 'hook'") == [(1,)]


def test_a_single_round_does_not_wait(site, account, org):
    """``poller once`` is done when all is delivered, whatever ``wait`` says."""
    with Receiver() as receiver:
        made = site(receiver, '{ wait = "1h" }')
        assert made.run("once").code == 0
        for _ in range(COUNT):
            account.create(org, "clients")
        assert made.run("once").code == 0
    assert [len(record.events) for record in receiver.records] == [COUNT]
