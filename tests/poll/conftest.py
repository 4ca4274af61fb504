"""An account whose clock only tests move, the API in front of it, and rigs that poll it."""

import pytest
from mirror import Clock, Rig, plan
from polled import CLIENTS

from poller.simulator import Account, Simulator


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def account(clock):
    return Account(clock)


@pytest.fixture
def simulator(account):
    with Simulator(account) as running:
        yield running


@pytest.fixture
def rig_of(simulator, account, clock, tmp_path):
    """Makes a rig that follows a plan."""
    made = []

    def make(follow):
        made.append(Rig(tmp_path / "poller.db", follow, url=simulator.url, token=account.token, clock=clock))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(rig_of):
    """A rig that follows clients."""
    return rig_of(plan(CLIENTS))
