"""Changes that show up late: what increments miss teaches them how far to look back."""

import json
import random

import pytest
from mirror import HOUR_MS, MINUTE_MS, SECOND_MS, Clock, Rig, plan

from poller import overlap
from poller.model import Stream
from poller.simulator import Account, Simulator

CLIENTS = "clients"
MINUTES = 240


@pytest.fixture
def account():
    return Account(Clock(), organizations=1)


@pytest.fixture
def rig(account, tmp_path):
    """A poller that sweeps every hour and looks back a minute."""
    with Simulator(account) as simulator:
        follow = plan(CLIENTS, overlap_s=60.0, sweep_every_s=3600.0)
        made = Rig(tmp_path / "poller.db", follow, simulator=simulator, clock=account.clock)
        yield made
        made.close()


def busy(rig, account, org, rng, minutes):
    """So many minutes with changes that show up 1 s to 10 min late, a poll each; the events of it."""
    made, told = set(), []
    for _ in range(minutes):
        for _ in range(5):
            late_ms = int(SECOND_MS * 600 ** rng.random())
            made.add(account.create(org, CLIENTS, late_ms=late_ms))
            rig.now_ms.advance(MINUTE_MS // 5)
        told += rig.poll(org, CLIENTS)
    return made, told


def learned_s(rig, org):
    return overlap.span_s(rig.store.standing(Stream(org, CLIENTS)).progress.late, 60.0)


def test_late_changes_are_found_by_increments_once_their_delays_are_known(rig, account, org):
    """999 of 1,000 by increments, the rest by the next sweep."""
    rng = random.Random(7)
    rig.now_ms.advance(HOUR_MS)
    rig.poll(org, CLIENTS)
    busy(rig, account, org, rng, minutes=MINUTES)
    rig.now_ms.advance(HOUR_MS)
    rig.poll(org, CLIENTS)  # calibrated, and all found
    assert 600 <= learned_s(rig, org) <= overlap.LONGEST_S
    rig.plan = plan(CLIENTS, overlap_s=60.0)  # no more sweeps
    made, told = busy(rig, account, org, rng, minutes=MINUTES)
    rig.now_ms.advance(10 * MINUTE_MS)
    told += rig.poll(org, CLIENTS)
    found = {event.record_id for event in told} & made
    assert len(found) >= 0.999 * len(made)
    told += rig.poll(org, CLIENTS, full=True)
    assert {event.record_id for event in told} & made == made


def test_changes_on_time_leave_it_as_it_was_set(rig, account, org):
    """An hour of them, sweeps included."""
    rig.now_ms.advance(HOUR_MS)
    rig.poll(org, CLIENTS)
    for _ in range(90):
        account.create(org, CLIENTS)
        rig.now_ms.advance(MINUTE_MS)
        rig.poll(org, CLIENTS)
    assert learned_s(rig, org) == 60


def test_a_record_put_there_with_an_old_stamp_is_not_late(rig, account, org):
    """As when a backup is restored: no overlap could have shown it."""
    rig.now_ms.advance(48 * HOUR_MS)
    account.create(org, CLIENTS)
    rig.poll(org, CLIENTS)
    account.create(org, CLIENTS, late_ms=24 * HOUR_MS)
    for _ in range(30):
        rig.now_ms.advance(HOUR_MS)
        rig.poll(org, CLIENTS)
    assert learned_s(rig, org) == 60


def test_what_a_sweep_finds_changed_without_a_new_stamp_is_not_late(rig, account, org):
    """Such changes are what sweeps are there for."""
    one = account.create(org, CLIENTS)
    rig.now_ms.advance(HOUR_MS)
    rig.poll(org, CLIENTS)
    rig.now_ms.advance(HOUR_MS)
    account.put_raw(org, CLIENTS, one, json.dumps(account.get(CLIENTS, one) | {"name": "Other"}).encode())
    assert rig.poll(org, CLIENTS, full=True) != []
    assert learned_s(rig, org) == 60


def test_what_was_learned_survives_a_restart(rig, account, org):
    """It is kept with how far the stream was followed."""
    rig.now_ms.advance(HOUR_MS)
    rig.poll(org, CLIENTS)
    account.create(org, CLIENTS, late_ms=20 * MINUTE_MS)
    rig.now_ms.advance(10 * MINUTE_MS)
    rig.poll(org, CLIENTS)
    rig.now_ms.advance(HOUR_MS)
    rig.poll(org, CLIENTS)
    before = learned_s(rig, org)
    assert before > 60
    rig.reopen()
    assert learned_s(rig, org) == before
