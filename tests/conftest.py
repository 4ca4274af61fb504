"""How Hypothesis runs everywhere (a slow or busy machine is no failure), and the world that actions are done in."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("poller", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("poller")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An account and the three systems; see ``World``."""
    from systems.world import World

    with World(tmp_path) as world:
        world.hasten(monkeypatch)
        yield world
