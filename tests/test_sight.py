"""How look-ups of organizations go, for whoever asks."""

import pytest

from poller.meter import Meter
from poller.sight import Lost, Sight
from poller.sources import Denied, SourceError
from poller.stores import StoreError


@pytest.fixture
def meter():
    return Meter()


def counted(meter):
    """The look-ups by outcome."""
    return {
        outcome: number
        for row, series in meter.counters()
        if row.name == "lookups"
        for (outcome,), number in series.items()
    }


def test_it_is_lost_since_the_first_of_those_that_failed_in_a_row(meter):
    """For the reason of the last; one that succeeds ends it."""
    sight = Sight(meter)
    assert sight.lost is None
    sight.lose(SourceError("status 500"), 1000)
    sight.lose(StoreError("locked"), 2000)
    assert sight.lost == Lost(1000, "locked")
    sight.kept()
    assert sight.lost is None
    sight.lose(Denied("status 401"), 3000)
    assert sight.lost == Lost(3000, "status 401")
    assert counted(meter) == {"failed": 2, "ok": 1, "denied": 1}
