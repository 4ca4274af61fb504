"""Faults of receivers; docs/faults.md is the whole list."""

from process import STDOUT, Pipe, Site, file, lines, only

CLIENTS = only("clients")


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


def test_fault_58_a_sink_is_renamed_while_events_wait_for_it(tmp_path, api, account, org):
    """They are kept under the old name, which is told at the start; the new name is a new sink."""
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    site = Site(tmp_path, api.url, CLIENTS + file("old", old))
    site.run("once")
    assert site.run("pause", "old").code == 0
    account.bulk_create(org, "clients", 3)
    site.run("once")
    before = site.config.read_text()
    site.config.write_text(before.replace(file("old", old), file("new", new)))
    account.create(org, "clients")
    with site.start() as poller:
        poller.until(lambda: lines(new))
        assert poller.stop().code == 0
    [warned] = poller.log("sink.unknown")
    assert (warned["sink"], warned["pending"]) == ("old", 3)
    assert lines(old) == []
    site.config.write_text(before)
    assert site.run("resume", "old").code == 0
    assert site.run("once").code == 0
    assert len({event["id"] for event in lines(old) + lines(new)}) == len(lines(old) + lines(new)) == 4
