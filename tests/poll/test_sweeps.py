"""Deletions and silent changes are found by counts and sweeps, and told only when they are certain."""

import json

import pytest
from mirror import MINUTE_MS
from polled import CLIENTS, baselined, hidden, kinds, states

from poller.model import State, Stream
from poller.simulator import faults
from poller.sources import Incomplete


def test_a_hard_deletion_is_found_by_the_count(rig, account, org):
    """The count differs, also after another look at the news: sweep, ask for the missing id, count, tell."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    rig.follow(count_every=1)
    last = account.get(CLIENTS, ids[1])
    account.hard_delete(org, CLIENTS, ids[1])
    (event,) = rig.poll(org, CLIENTS)
    assert (event.kind, event.record_id, event.object) == ("deleted", ids[1], last)
    listing = f"Organizations/{org}/clients"
    count = f"{listing}/count"
    assert rig.asked() == [listing, count, listing, count, listing, listing, count, listing, count]
    assert rig.poll(org, CLIENTS) == []
    assert rig.asked() == [listing, count]


def test_a_sweep_resumes_after_a_failure(rig, simulator, account, org):
    """Pages that were listed before the failure are not listed again, restart or not."""
    simulator.page_cap = 2
    ids = account.bulk_create(org, CLIENTS, 8)
    baselined(rig, org)
    account.hard_delete(org, CLIENTS, ids[0])
    account.hard_delete(org, CLIENTS, ids[7])
    simulator.faults.at(4, faults.html)  # the increment, two pages of the sweep, then this
    with pytest.raises(Incomplete):
        rig.poll(org, CLIENTS, full=True)
    assert rig.news() == []
    rig.reopen()
    rig.asked()
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", ids[0]), ("deleted", ids[7])]
    assert len(rig.asked()) == 1 + 2 + 2  # the increment; the last page and the empty one; count and ids


def test_a_full_sweep_finds_what_moved_no_stamp(rig, account, org):
    """A sweep of stamps cannot see it, the full one compares the bytes."""
    one = account.create(org, CLIENTS)
    baselined(rig, org)
    changed = account.get(CLIENTS, one) | {"name": "Silently"}
    account.put_raw(org, CLIENTS, one, json.dumps(changed).encode())
    rig.follow(sweep_every_s=1.0, full_every=4)
    rig.store.sweep_soon(Stream(org, CLIENTS))
    seen = []
    for _ in range(5):
        rig.now_ms.advance(10 * MINUTE_MS)
        seen += kinds(rig.poll(org, CLIENTS))
        rig.asked()
    assert seen == [("updated", one)]


def test_a_forced_sweep_is_a_full_one(rig, simulator, account, org):
    """Also where a sweep of stamps was under way: digests are compared from the first record on."""
    simulator.page_cap = 2
    ids = account.bulk_create(org, CLIENTS, 6)
    baselined(rig, org)
    simulator.faults.at(3, faults.html)
    rig.follow(sweep_every_s=0.0)
    rig.store.sweep_soon(Stream(org, CLIENTS))
    with pytest.raises(Incomplete):
        rig.poll(org, CLIENTS)
    assert rig.progress(org, CLIENTS).sweep is not None
    changed = account.get(CLIENTS, ids[0]) | {"name": "Silently"}
    account.put_raw(org, CLIENTS, ids[0], json.dumps(changed).encode())
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("updated", ids[0])]


def test_fault_35_a_missing_record_that_is_there_is_a_race(rig, simulator, account, org):
    """A listing did not show it, asked by its id the API does: no event, and it is followed on."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    simulator.faults.at(2, hidden(ids[1]))  # the sweep's page
    assert rig.poll(org, CLIENTS, full=True) == []
    assert set(states(rig, org).values()) == {State.LIVE}
    assert rig.progress(org, CLIENTS).missing == 0


def test_a_missing_record_that_changed_is_updated(rig, simulator, account, org):
    """The race may have been an update, too."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    simulator.faults.next(hidden(ids[1]), times=2)  # the increment's page, and the sweep's
    account.update(org, CLIENTS, ids[1], {"name": "New"})
    account.update(org, CLIENTS, ids[2], {"name": "New"})
    assert sorted(kinds(rig.poll(org, CLIENTS, full=True))) == [("updated", ids[1]), ("updated", ids[2])]


def test_a_missing_record_may_have_left_a_tombstone(rig, simulator, account, org):
    """Where listings hide tombstones, asking by id shows it, and the event carries it."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    account.soft_delete(org, CLIENTS, ids[1])
    simulator.faults.next(faults.ignores_deleted, times=3)  # the increment; the sweep's two pages
    (event,) = rig.poll(org, CLIENTS, full=True)
    assert (event.kind, event.object) == ("deleted", account.get(CLIENTS, ids[1]))


def test_what_the_api_still_counts_is_not_deleted(rig, simulator, account, org):
    """Neither listed nor shown by id, but counted: the API is not to be believed; later it is."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    simulator.faults.always(hidden(ids[1]))
    assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.poll(org, CLIENTS) == []
    assert states(rig, org)[ids[1]] == State.MISSING
    simulator.faults.clear()
    assert rig.poll(org, CLIENTS) == []
    assert states(rig, org)[ids[1]] == State.LIVE


def test_a_wrong_count_delays_no_deletion_for_ever(rig, account, simulator, org):
    """A count was off by one when it was taken as the API's own way of counting; deletions still get told."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    rig.follow(count_every=1)
    simulator.faults.next(faults.instead(b'{"count":4}'), times=3, path="count")
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).count_gap == -1
    account.hard_delete(org, CLIENTS, ids[1])
    events = []
    for _ in range(3):
        rig.now_ms.advance(MINUTE_MS)
        events += rig.poll(org, CLIENTS, full=True)
    assert kinds(events) == [("deleted", ids[1])]
