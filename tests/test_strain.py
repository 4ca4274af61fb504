"""Whether polls have to pause, and what is said of it."""

import pytest
from structlog.testing import capture_logs

from poller import strain
from poller.pressure import Limits, Load
from poller.stores import StoreError
from poller.strain import Strain


@pytest.fixture
def load(monkeypatch):
    """How much there is, which is looked at each time anew."""
    monkeypatch.setattr(strain, "EVERY_S", -1.0)
    return {"pending": {}, "size_bytes": 0, "free_bytes": 1 << 40, "disk_bytes": 1 << 40}


def events(logs):
    return [line["event"] for line in logs]


def test_a_pause_and_its_end_are_said_once(load):
    """However often it is looked."""
    under = Strain(lambda: Load(**load), Limits())
    with capture_logs() as logs:
        for pending in (0, 100_000, 100_000, 0, 0):
            load["pending"] = {"crm": pending}
            assert under.now() == bool(pending)
    assert events(logs) == ["polls.paused", "polls.resumed"]


def test_a_pause_that_begins_while_nothing_can_be_kept_is_said_too(load):
    """It outlasts that: the one is told by the stream that stalled, the other is not known yet."""
    under = Strain(lambda: Load(**load), Limits())
    with capture_logs() as logs:
        under.stall(StoreError("database is locked"), 30.0)
        assert under.now()
        assert under.why == "database is locked"
        load["pending"] = {"crm": 100_000}
        assert under.now()
        under.stall(StoreError("over"), -1.0)
        load["pending"] = {}
        assert not under.now()
    assert events(logs) == ["polls.paused", "polls.resumed"]
