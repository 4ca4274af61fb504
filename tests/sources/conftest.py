"""Sources of the v1 API, as the simulator serves it."""

from threading import Event

import pytest
from worlds import simulator_world

from poller.model import Stream
from poller.sources import spaceinvoices
from poller.sources.spaceinvoices import SpaceInvoices


@pytest.fixture(scope="module")
def shared():
    with simulator_world() as world:
        yield world


@pytest.fixture
def world(shared):
    """One simulator for all, in good order at the start of each test."""
    shared.simulator.faults.clear()
    shared.simulator.requests.clear()
    yield shared
    shared.simulator.faults.clear()
    shared.simulator.on_request = None


@pytest.fixture
def org(world):
    return world.add_organization()


@pytest.fixture
def stop():
    return Event()


@pytest.fixture
def made(world, stop):
    """Make sources, whose connections are closed at the end."""
    sources = []

    def make(token=world.token, **options):
        sources.append(SpaceInvoices(token, base_url=world.url, stop=stop, **options))
        return sources[-1]

    yield make
    for source in sources:
        source._client().close()


@pytest.fixture
def source(made, monkeypatch):
    """The source, which waits a hundredth of its time between tries."""
    monkeypatch.setattr(spaceinvoices, "BACKOFF_S", 0.005)
    return made(rate=5000)


@pytest.fixture
def clients(org):
    return Stream(org, "clients")
