"""Answers that fail, lie or cannot be followed: nothing is lost, told twice or taken for a deletion."""

from contextlib import suppress

import pytest
from mirror import HOUR_MS, MINUTE_MS, plan
from polled import CLIENTS, baselined, hidden, kinds, states

from poller.model import State, Stream
from poller.simulator import faults
from poller.sources import Denied, Incomplete, SourceError, Unreachable

# Pages


def test_fault_31_a_failed_page_leaves_the_watermark(rig, simulator, account, org):
    """What earlier pages showed stands, the rest is read again, and nothing is told twice."""
    ids = account.bulk_create(org, CLIENTS, 6)
    baselined(rig, org)
    simulator.page_cap = 2
    watermarks = rig.progress(org, CLIENTS).watermarks
    account.bulk_update(org, CLIENTS, ids, {"name": "New"})
    simulator.faults.at(2, faults.truncated)
    with pytest.raises(Incomplete, match="cut short"):
        rig.poll(org, CLIENTS)
    assert kinds(rig.news()) == [("updated", one) for one in ids[:2]]
    assert rig.progress(org, CLIENTS).watermarks == watermarks
    rig.now_ms.advance(HOUR_MS)
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", one) for one in ids[2:]]


def test_passing_trouble_is_tried_again(rig, simulator, account, org):
    """A reset, a 500 and a 429 in a row cost requests, not the poll; a fourth ends it."""
    baselined(rig, org)
    new = account.create(org, CLIENTS)
    troubles = [faults.reset, faults.server_error, faults.rate_limited("0")]
    for nth, fault in enumerate(troubles, 1):
        simulator.faults.at(nth, fault)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", new)]
    simulator.faults.next(faults.maintenance, times=4)
    with pytest.raises(Unreachable, match="503"):
        rig.poll(org, CLIENTS)


def test_a_lowered_page_limit_costs_pages_not_records(rig, simulator, account, org):
    """A server that gives three records where a hundred were asked for."""
    baselined(rig, org)
    simulator.faults.always(faults.page_cap(3))
    ids = account.bulk_create(org, CLIENTS, 10)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", one) for one in ids]
    assert len(rig.asked()) == 5
    for one in ids[::2]:
        account.hard_delete(org, CLIENTS, one)
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("deleted", one) for one in ids[::2]]


def test_a_lowered_page_limit_hides_nothing_from_a_sweep_of_stamps(rig, simulator, account, org):
    """Records that are asked for by id come in as many pages as it takes."""
    ids = account.bulk_create(org, CLIENTS, 9)
    baselined(rig, org)
    simulator.page_cap = 2
    account.bulk_update(org, CLIENTS, ids, {"name": "New"})
    rig.now_ms.advance(10 * MINUTE_MS)
    simulator.faults.next(faults.empty_list)  # nothing of that is seen in the increment
    assert rig.poll(org, CLIENTS) == []
    rig.now_ms.advance(10 * MINUTE_MS)
    rig.store.sweep_soon(Stream(org, CLIENTS))
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", one) for one in ids]


def test_a_lowered_page_limit_hides_no_tombstone(rig, simulator, account, org):
    """The same for missing records: asked for by id, each shows its tombstone."""
    ids = account.bulk_create(org, CLIENTS, 9)
    baselined(rig, org)
    simulator.page_cap = 2
    for one in ids[:5]:
        account.soft_delete(org, CLIENTS, one)
    simulator.faults.next(faults.ignores_deleted, times=4)  # the increment; the sweep's three pages
    events = rig.poll(org, CLIENTS, full=True)
    assert kinds(events) == [("deleted", one) for one in ids[:5]]
    assert all(event.object["_isDeleted"] for event in events)


@pytest.mark.parametrize("fault", [faults.repeated, faults.overlapping(), faults.shuffled()])
def test_duplicates_on_a_page_end_the_poll(rig, simulator, account, org, fault):
    """A page that is not in order is not used, and nothing is concluded from it."""
    baselined(rig, org)
    simulator.page_cap = 3
    ids = account.bulk_create(org, CLIENTS, 9)
    simulator.faults.next(fault, times=2)
    with pytest.raises(Incomplete, match="repeats or is out of order"):
        rig.poll(org, CLIENTS)
    simulator.faults.clear()
    rig.news()
    rig.poll(org, CLIENTS)
    assert {event.record_id for event in rig.outbox()} == set(ids)
    assert len(rig.outbox()) == 9


# Who may see


@pytest.mark.parametrize("resource", [CLIENTS, "prices"])
@pytest.mark.parametrize("fault", [faults.unauthorized, faults.forbidden, faults.organization_gone])
def test_fault_42_an_organization_out_of_reach_is_no_deletion(rig_of, simulator, account, org, fault, resource):
    """401, 403 and 404 say Denied; all is there when it is back."""
    parent = account.create(org, "price_lists") if resource == "prices" else ""
    account.bulk_create(org, resource, 20, parent=parent)
    rig = baselined(rig_of(plan(resource)), org, resource)
    before = rig.dump()
    simulator.faults.always(fault)
    for full in (False, True):
        with pytest.raises(Denied):
            rig.poll(org, resource, full=full)
    assert rig.dump() == before
    simulator.faults.clear()
    assert rig.poll(org, resource, full=True) == []


def test_a_removed_organization_is_no_deletion(rig_of, account, org):
    """The organization's own 404, prices and all."""
    parent = account.create(org, "price_lists")
    account.bulk_create(org, "prices", 3, parent=parent)
    rig = baselined(rig_of(plan("prices")), org, "prices")
    account.remove_organization(org)
    for full in (False, True):
        with pytest.raises(Denied):
            rig.poll(org, "prices", full=full)
    assert rig.news() == []


# Quarantine


@pytest.mark.parametrize("fault", [faults.no_id, faults.number_id, faults.lone_surrogate, faults.not_a_number])
def test_fault_37_39_a_record_that_cannot_be_followed_spoils_only_itself(rig, simulator, account, org, fault):
    """The rest of its page goes on, and the poll concludes no deletions; the next one does."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    account.hard_delete(org, CLIENTS, ids[0])
    account.update(org, CLIENTS, ids[1], {"name": "New"})
    simulator.faults.always(fault, path="clients$")
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("updated", ids[1])]
    assert rig.store.quarantined(Stream(org, CLIENTS)) == 1
    simulator.faults.clear()
    rig.now_ms.advance(MINUTE_MS)
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("deleted", ids[0])]
    assert rig.store.quarantined(Stream(org, CLIENTS)) == 0


def test_a_poll_with_a_bad_record_concludes_no_deletions(rig, simulator, account, org):
    """Also where the bad record came in the increment, and the missing one was found before."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    simulator.faults.always(hidden(ids[0]))
    assert rig.poll(org, CLIENTS, full=True) == []
    assert states(rig, org)[ids[0]] == State.MISSING
    simulator.faults.clear()
    account.hard_delete(org, CLIENTS, ids[0])
    simulator.faults.next(faults.no_id)
    assert rig.poll(org, CLIENTS) == []
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", ids[0])]


def test_a_failing_poll_raises_one_kind_of_error(rig, simulator, account, org):
    """Whatever the menu of faults has: a SourceError or nothing, and all is well afterwards."""
    account.bulk_create(org, CLIENTS, 3)
    baselined(rig, org)
    menu = [faults.html, faults.an_object, faults.bad_gateway, faults.cut, faults.deep, faults.bare_value]
    for fault in menu:
        simulator.faults.always(fault)
        with suppress(SourceError):
            assert rig.poll(org, CLIENTS, full=True) == []
        simulator.faults.clear()
    rig.now_ms.advance(MINUTE_MS)
    assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.poll(org, CLIENTS, full=True) == []
    assert set(states(rig, org).values()) == {State.LIVE}


def test_a_known_record_in_quarantine_makes_up_for_none_that_is_hidden(rig, simulator, account, org):
    """The API neither lists one nor shows it by its id, but counts it; another cannot be read. None is deleted."""
    ids = account.bulk_create(org, CLIENTS, 6)
    baselined(rig, org)
    simulator.page_cap = 2
    account.put_raw(org, CLIENTS, ids[4], b'{"id":"%s","total":NaN}' % ids[4].encode())
    simulator.faults.always(hidden(ids[0]), path="clients$")
    assert rig.poll(org, CLIENTS, full=True) == []
    assert states(rig, org)[ids[0]] == State.MISSING
    assert rig.poll(org, CLIENTS) == []
