"""The HTTP client."""

import pytest

from poller.http import Client


@pytest.fixture
def client():
    client = Client()
    yield client
    client.close()
