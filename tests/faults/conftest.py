"""An account of one organization and its API, which a process polls."""

import pytest
from mirror import Rig, plan
from process import TOKEN

from poller.service import wall_ms
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


@pytest.fixture
def poll_here(api, account, org):
    """Poll the clients of a site once, in this process, which is faster: at first that is the silent baseline."""

    def poll_here(site):
        rig = Rig(site.database, plan("clients"), url=api.url, token=account.token, clock=wall_ms)
        rig.poll(org, "clients")
        rig.close()

    return poll_here
