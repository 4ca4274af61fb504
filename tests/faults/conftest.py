"""Polls within the test's own process."""

import pytest
from mirror import Rig, plan

from poller.service import wall_ms


@pytest.fixture
def poll_here(api, account, org):
    """Poll the clients of a site once, in this process, which is faster: at first that is the silent baseline."""

    def poll_here(site):
        rig = Rig(site.database, plan("clients"), url=api.url, token=account.token, clock=wall_ms)
        rig.poll(org, "clients")
        rig.close()

    return poll_here
