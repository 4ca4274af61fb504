"""How Hypothesis runs everywhere (a slow or busy machine is no failure), and what tests of several files share."""

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile("poller", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile(
    "mutants",  # as many runs as there are mutants, the same examples in each; nobody reads what is found
    settings.get_profile("poller"),
    max_examples=30,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("poller")

_lines = pytest.StashKey[list[str]]()


@pytest.fixture
def figures(request):
    """Takes what a test ran, as words and values, to be shown when all tests are through."""
    kept = request.config.stash.setdefault(_lines, [])
    return lambda *told: kept.append(f"{request.node.name}: {', '.join(str(one) for one in told)}")


def pytest_terminal_summary(terminalreporter, config):
    """Show the figures."""
    for line in config.stash.get(_lines, []):
        terminalreporter.write_line(line)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An account and the three systems; see ``World``."""
    from systems.world import World

    with World(tmp_path) as world:
        world.hasten(monkeypatch)
        yield world
