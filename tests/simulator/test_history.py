import random

import pytest

from poller.simulator import Account, History
from poller.simulator.history import KINDS, Turn
from poller.simulator.resources import RESOURCES


def ticking():
    """A clock that moves a millisecond whenever it is read."""
    now_ms = 1_750_000_000_000
    while True:
        yield now_ms
        now_ms += 1


def grown(seed, steps=400, late_ms=0):
    account = Account(ticking().__next__, organizations=2, seed=1)
    history = History(account, random.Random(seed), late_ms=late_ms)
    history.populate(5)
    history.run(steps)
    return account, history


def state(account):
    return {(org, name): account.live(org, name) for org in account.organizations for name in RESOURCES}


def test_same_seed():
    """The same seed and clock make the same steps and the same records."""
    one, two = grown(7), grown(7)
    assert one[1].steps == two[1].steps
    assert state(one[0]) == state(two[0])


def test_other_seed():
    """Another seed makes another history."""
    assert grown(7)[1].steps != grown(8)[1].steps


def test_everything_happens():
    """A long history has every kind of step, on every resource."""
    _, history = grown(1, steps=1500, late_ms=50)
    assert {step.kind for step in history.steps} == set(KINDS)
    assert {step.resource for step in history.steps} == set(RESOURCES)


def test_populate():
    """Every organization gets records of every resource."""
    account, _ = grown(1, steps=0)
    for org in account.organizations:
        assert {name: len(account.live(org, name)) for name in RESOURCES} == dict.fromkeys(RESOURCES, 5) | {
            "price_lists": 1
        }


@pytest.mark.parametrize("kind", ["flip_back", "touch"])
def test_nothing_changes(kind):
    """A no-op save and a change that is taken back move the stamp only."""
    account, _ = grown(3, steps=0)
    for resource in RESOURCES:
        org = account.organizations[0]
        before = account.live(org, resource)
        turn = Turn(account, random.Random(1), org, resource)
        (written,) = KINDS[kind](turn)
        after = account.live(org, resource)
        assert after[written]["updatedAt"] > before[written]["updatedAt"]
        assert after[written] | {"updatedAt": ""} == before[written] | {"updatedAt": ""}


def test_late_records_show_in_the_end():
    """Whatever is written late shows once its time has come."""
    now_ms = [1_750_000_000_000]
    account = Account(lambda: now_ms[0])
    history = History(account, random.Random(1), late_ms=1_000)
    history.run(300)
    before = sum(len(records) for records in state(account).values())
    now_ms[0] += 1_000
    assert sum(len(records) for records in state(account).values()) > before
