"""An account of one organization and its API, which a process polls."""

import pytest
from process import TOKEN

from poller.simulator import Account, Simulator


@pytest.fixture
def account():
    return Account(token=TOKEN, organizations=1, seed=1)


@pytest.fixture
def org(account):
    return account.organizations[0]


@pytest.fixture
def api(account):
    with Simulator(account) as simulator:
        yield simulator
