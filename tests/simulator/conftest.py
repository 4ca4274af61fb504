from contextlib import ExitStack

import pytest
from worlds import loopback_world, simulator_world


@pytest.fixture(scope="session")
def worlds():
    """Both worlds, each started when it is first asked for."""
    started = {}
    with ExitStack() as stack:

        def start(name):
            if name not in started:
                make = {"simulator": simulator_world, "loopback": loopback_world}[name]
                started[name] = stack.enter_context(make())
            return started[name]

        yield start


@pytest.fixture(params=["simulator", "loopback"])
def world(request, worlds):
    """Each of the two worlds in turn, shared by all tests: take a new organization."""
    return worlds(request.param)
