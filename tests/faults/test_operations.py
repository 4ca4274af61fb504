"""Faults of configuration and operation; docs/faults.md is the whole list."""

from process import Pipe, Site, file, lines, only

CLIENTS = only("clients")


def test_fault_65_a_log_that_nobody_reads_holds_up_nothing(tmp_path, api, account, org):
    """Polls and deliveries go on; once it is read again, it says how much of it is missing."""
    told = tmp_path / "events.jsonl"
    few = "from poller import log\nlog.MOST_WAITING = 5\n"
    site = Site(tmp_path, api.url, CLIENTS + file("file", told), patch=few, every="20ms")
    with Pipe() as pipe, site.start(stderr=pipe.write) as poller:
        poller.until(lambda: site.baselined(1))
        for number in range(1, 50):
            account.create(org, "clients")
            poller.until(lambda: len(lines(told)) == number)  # noqa: B023
        poller.until(lambda: '"event": "log.dropped", "lines": ' in pipe.text())
        assert poller.stop().code == 0
        assert '"event": "poller.stopped"' in pipe.text()


def test_fault_65_a_log_that_nobody_reads_keeps_no_process(tmp_path, api, account, org):
    """A signal ends it in time."""
    site = Site(tmp_path, api.url, CLIENTS)
    with Pipe() as pipe:
        pipe.fill()
        with site.start(stderr=pipe.write) as poller:
            poller.until(lambda: site.baselined(1))
            assert poller.stop(timeout_s=8).code == 0
