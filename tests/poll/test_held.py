"""Many deletions at once are held until a person decides, or the records are back."""

import json
from dataclasses import replace

import pytest
from mirror import MINUTE_MS
from polled import CLIENTS, baselined, hidden, kinds, states

from poller.model import State, Stream
from poller.stores import Decision


@pytest.fixture
def held(rig, account, org):
    """A rig that holds the deletion of 15 of 40 clients; their ids."""
    ids = account.bulk_create(org, CLIENTS, 40)
    baselined(rig, org)
    gone = ids[:15]
    for one in gone:
        account.hard_delete(org, CLIENTS, one)
    assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.progress(org, CLIENTS).held_ms is not None
    return gone


def test_fault_28_a_mass_deletion_is_held(rig, held, account, org):
    """Nothing is told however often it is polled or swept; other changes are."""
    one = account.create(org, CLIENTS)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", one)]
    for full in (False, True):
        assert rig.poll(org, CLIENTS, full=full) == []
    assert rig.progress(org, CLIENTS).missing == 15


def test_a_few_deletions_are_not_held(rig, account, org):
    """Ten of eleven may go at once, and so may eleven of sixty."""
    ids = account.bulk_create(org, CLIENTS, 11)
    baselined(rig, org)
    for one in ids[:10]:
        account.hard_delete(org, CLIENTS, one)
    assert len(rig.poll(org, CLIENTS, full=True)) == 10


def test_held_deletions_are_told_once_approved(rig, held, org):
    """Each once, at the next poll; afterwards the guard stands again."""
    assert rig.decide(org, CLIENTS, Decision.APPROVE)
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", one) for one in held]
    assert rig.progress(org, CLIENTS).held_ms is None
    assert not rig.decide(org, CLIENTS, Decision.APPROVE)
    assert rig.poll(org, CLIENTS, full=True) == []


def test_held_deletions_are_dismissed_once_rejected(rig, held, account, org):
    """Never told, not by later sweeps either; if one is back it is not created again, only followed on."""
    kept = rig.store.bodies(rig.store.missing(Stream(org, CLIENTS), "", 100))
    assert rig.decide(org, CLIENTS, Decision.REJECT)
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).held_ms is None
    assert rig.poll(org, CLIENTS, full=True) == []
    account.put_raw(org, CLIENTS, held[3], kept[held[3]])
    assert rig.poll(org, CLIENTS, full=True) == []
    assert states(rig, org)[held[3]] == State.LIVE
    rig.now_ms.advance(MINUTE_MS)
    account.update(org, CLIENTS, held[3], {"name": "Back"})
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", held[3])]


def test_held_deletions_are_let_go_when_the_records_are_back(rig, held, account, org):
    """By itself, without an event."""
    for one, body in rig.store.bodies(rig.store.missing(Stream(org, CLIENTS), "", 100)).items():
        account.put_raw(org, CLIENTS, one, body)
    rig.follow(count_every=1)
    assert rig.poll(org, CLIENTS) == []
    progress = rig.progress(org, CLIENTS)
    assert (progress.held_ms, progress.missing, progress.live) == (None, 0, 40)


def test_an_operator_outvotes_a_count_that_stays_too_high(rig, simulator, account, org):
    """A record that neither the listing nor its id shows is told as deleted when a person says so, and not before."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    account.hard_delete(org, CLIENTS, ids[2])
    simulator.faults.always(_counts_one_more)
    for _ in range(3):
        assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.progress(org, CLIENTS).missing == 1
    assert rig.decide(org, CLIENTS, Decision.APPROVE)
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", ids[2])]
    assert not rig.decide(org, CLIENTS, Decision.APPROVE)


def _counts_one_more(request, proper):
    found = proper(request)
    if not request.path.endswith("/count"):
        return found
    return replace(found, body=json.dumps({"count": json.loads(found.body)["count"] + 1}).encode())


def test_approval_still_asks_for_each(rig, held, account, org):
    """A record that came back before the approval was carried out is not deleted."""
    body = rig.store.bodies(rig.store.missing(Stream(org, CLIENTS), "", 1))[held[0]]
    account.put_raw(org, CLIENTS, held[0], body)
    rig.decide(org, CLIENTS, Decision.APPROVE)
    events = rig.poll(org, CLIENTS) + rig.poll(org, CLIENTS)
    assert held[0] not in {event.record_id for event in events}
    assert states(rig, org)[held[0]] == State.LIVE


def test_what_vanishes_after_a_rejection_is_told(rig, held, account, org):
    """The sweep that brings the rejected ones back finds one that is gone: nobody has rejected that."""
    for one, body in rig.store.bodies(rig.store.missing(Stream(org, CLIENTS), "", 100)).items():
        account.put_raw(org, CLIENTS, one, body)
    gone = max(account.live(org, CLIENTS))
    rig.decide(org, CLIENTS, Decision.REJECT)
    account.hard_delete(org, CLIENTS, gone)
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("deleted", gone)]


def test_an_approval_is_not_of_what_vanishes_after_it(rig, held, simulator, account, org):
    """At the next sweep the API shows only one of the others, but counts them all: they wait."""
    others = set(account.live(org, CLIENTS)).difference(held)
    rig.decide(org, CLIENTS, Decision.APPROVE)
    simulator.faults.always(hidden(*sorted(others)[1:]), path="clients$")
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("deleted", one) for one in held]
    simulator.faults.clear()
    assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.progress(org, CLIENTS).live == len(others)


def test_a_decision_is_void_once_a_sweep_under_way_finds_more(rig, held, simulator, account, org):
    """It was made of fewer: what vanished since is neither told nor dismissed before it is decided about."""
    gone = max(account.live(org, CLIENTS))
    simulator.page_cap = 10

    def drift(request):
        if (request.filter or {}).get("order") == ["id ASC"]:
            simulator.on_request = None
            rig.decide(org, CLIENTS, Decision.REJECT)
            account.hard_delete(org, CLIENTS, gone)

    simulator.on_request = drift
    assert rig.poll(org, CLIENTS, full=True) == rig.poll(org, CLIENTS) == []
    assert states(rig, org)[gone] == State.MISSING
    assert rig.decide(org, CLIENTS, Decision.APPROVE)
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", one) for one in [*held, gone]]
