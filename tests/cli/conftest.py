"""A poller to give commands to."""

import pytest
from process import Site, only

CLIENTS = only("clients")


@pytest.fixture
def site(tmp_path, api):
    """Only clients, to standard output."""
    return Site(tmp_path / "site", api.url, CLIENTS)
