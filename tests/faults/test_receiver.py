"""Faults of receivers; docs/faults.md is the whole list."""

import json
from datetime import datetime
from itertools import count

from process import HASTE, STDOUT, Pipe, Site, file, lines, only, webhook
from receiver import Receiver, answer, delay, hang

CLIENTS = only("clients")


def delivered(site):
    """How many deliveries of the webhook are done."""
    return site.query("SELECT count(*) FROM delivery WHERE sink = 'hook' AND state = 'delivered'")[0][0]


def test_fault_59_standard_output_that_nobody_reads_holds_up_nothing_else(tmp_path, api, account, org):
    """Polls and other sinks go on, and a signal ends it in time; what was not taken comes at the next start."""
    told = tmp_path / "events.jsonl"
    hasty = "from poller import daemon, service\ndaemon.DRAIN_S = service.DRAIN_S = 0.5\n"
    site = Site(tmp_path, api.url, CLIENTS + file("file", told) + STDOUT, patch=hasty)
    with Pipe() as pipe:
        pipe.fill()
        with site.start(stdout=pipe.write) as poller:
            poller.until(lambda: site.baselined(1))
            for number in range(1, 6):
                account.create(org, "clients")
                poller.until(lambda: len(lines(told)) == number)  # noqa: B023
            assert poller.stop(timeout_s=5).code == 0
    with site.start() as poller:
        poller.until(lambda: len(poller.events()) == 5)
    assert [event["id"] for event in poller.events()] == [event["id"] for event in lines(told)]


def test_fault_58_a_sink_is_renamed_while_events_wait_for_it(tmp_path, api, account, org, poll_here):
    """They are kept under the old name, which is told at the start; the new name is a new sink."""
    new = tmp_path / "new.jsonl"
    site = Site(tmp_path, api.url, CLIENTS + STDOUT)
    poll_here(site)
    account.bulk_create(org, "clients", 3)
    poll_here(site)
    before = site.config.read_text()
    site.config.write_text(before.replace(STDOUT, file("new", new)))
    account.create(org, "clients")
    with site.start() as poller:
        poller.until(lambda: lines(new))
        assert poller.stop().code == 0
    [warned] = poller.log("sink.unknown")
    assert (warned["sink"], warned["pending"]) == ("stdout", 3)
    assert poller.out == ""
    site.config.write_text(before)
    done = site.run("once")
    ids = [json.loads(line)["id"] for line in done.out.splitlines()]
    assert len(set(ids)) == len(ids) == 3
    assert lines(new)[0]["id"] not in ids


def once_each(records):
    """The requests without repeats, each of which has the bytes of the first."""
    first = {}
    for record in records:
        assert first.setdefault(record.id, record).body == record.body
    return list(first.values())


def test_fault_54_every_fifth_answer_comes_too_late(tmp_path, api, account, org):
    """Its event comes again, under its id; the events of a record stay in order all the same."""
    number = count(1)

    def sometimes_late(wire):
        return (delay(1) if next(number) % 5 == 0 else answer())(wire)

    with Receiver(always=sometimes_late) as receiver:
        sinks = webhook("hook", receiver.url, timeout="300ms") + STDOUT
        site = Site(tmp_path, api.url, CLIENTS + sinks, patch=HASTE, every="50ms")
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            ids = account.bulk_create(org, "clients", 5)
            for rounds in range(1, 5):
                poller.until(lambda: len(poller.events()) == 5 * rounds)  # noqa: B023
                account.bulk_update(org, "clients", ids, {"name": f"Name {rounds}"})
            poller.until(lambda: delivered(site) == 25)
    told = [json.loads(record.body) for record in once_each(receiver.records)]
    assert len(receiver.records) > len(told) == 25
    for one in ids:
        mine = [event["sequence"] for event in told if event["subject"] == f"clients/{one}"]
        assert mine == sorted(mine)


def lateness_s(records):
    """How long after it was recorded the event arrived that took longest."""
    recorded = [datetime.fromisoformat(json.loads(record.body)["recordedtime"]).timestamp() for record in records]
    return max(record.time_s - time_s for record, time_s in zip(records, recorded, strict=True))


def test_fault_60_one_slow_sink_of_three(tmp_path, api, account, org):
    """The others get their events as fast as they did when it was not slow."""
    many = 15
    with Receiver() as one, Receiver() as other, Receiver(*[answer()] * many, always=hang()) as slow:
        sinks = "".join(webhook(name, sink.url) for name, sink in (("one", one), ("other", other), ("slow", slow)))
        site = Site(tmp_path, api.url, CLIENTS + sinks, every="50ms")
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            for number in range(1, 2 * many + 1):
                account.create(org, "clients")
                poller.until(lambda: len(one.records) == len(other.records) == number)  # noqa: B023
                poller.until(lambda: len(slow.records) >= min(number, many))  # noqa: B023
            poller.kill()
    assert many <= len(slow.records) <= many + 4
    for sink in (one, other):
        assert lateness_s(sink.records[many:]) < lateness_s(sink.records[:many]) + 1
