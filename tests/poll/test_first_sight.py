"""The first listing of a stream: silent or told, whole or resumed."""

import pytest
from mirror import HOUR_MS, MINUTE_MS, plan
from polled import CLIENTS, kinds

from poller.simulator import faults
from poller.sources import Incomplete


def test_first_sight_is_silent(rig, account, org):
    """The first complete listing makes no events; what is created afterwards does."""
    account.bulk_create(org, CLIENTS, 5)
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).live == 5
    rig.now_ms.advance(MINUTE_MS)
    new = account.create(org, CLIENTS)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", new)]


def test_an_empty_listing_is_a_baseline_too(rig, account, org):
    """Never swept and empty are different states."""
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).baselined_ms is not None
    rig.now_ms.advance(MINUTE_MS)
    new = account.create(org, CLIENTS)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", new)]


def test_first_sight_can_be_told(rig_of, account, org):
    """With first_sync = "emit" every record of the first listing is created, tombstones are not."""
    rig = rig_of(plan(CLIENTS, emit_first=True))
    ids = account.bulk_create(org, CLIENTS, 5)
    account.soft_delete(org, CLIENTS, ids[2])
    del ids[2]
    assert kinds(rig.poll(org, CLIENTS)) == [("created", one) for one in ids]
    assert rig.poll(org, CLIENTS) == []


def test_an_empty_first_sight_has_to_count_nothing(rig, simulator, account, org):
    """Else every record that is there would be created when the API has come to its senses."""
    account.bulk_create(org, CLIENTS, 5)
    simulator.faults.always(faults.empty_list, path="clients$")
    with pytest.raises(Incomplete, match="the listing is empty, but the API counts 5 records"):
        rig.poll(org, CLIENTS)
    simulator.faults.clear()
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).live == 5


def test_a_change_behind_the_baseline_is_told(rig, simulator, account, org):
    """A record that changes while the first listing is under way, behind its cursor, is updated later."""
    simulator.page_cap = 2
    ids = account.bulk_create(org, CLIENTS, 5)
    rig.now_ms.advance(HOUR_MS)

    def drift(_request):
        if len(simulator.requests) == 2:
            account.update(org, CLIENTS, ids[0], {"name": "Drifted"})

    simulator.on_request = drift
    assert rig.poll(org, CLIENTS) == []
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", ids[0])]


def test_a_baseline_resumes_after_a_restart(rig, simulator, account, org):
    """What was listed before the crash is not listed again, and what changed meanwhile is told."""
    simulator.page_cap = 2
    ids = account.bulk_create(org, CLIENTS, 8)
    simulator.faults.at(3, faults.html)
    with pytest.raises(Incomplete):
        rig.poll(org, CLIENTS)
    assert rig.progress(org, CLIENTS).baselined_ms is None
    rig.now_ms.advance(HOUR_MS)
    account.update(org, CLIENTS, ids[0], {"name": "While it was down"})
    rig.reopen()
    rig.asked()
    assert rig.poll(org, CLIENTS) == []
    assert len(rig.asked()) == 3  # two pages, and the empty one that ends the listing
    assert rig.progress(org, CLIENTS).live == 8
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", ids[0])]
