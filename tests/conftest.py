"""How Hypothesis runs everywhere: a slow or busy machine is no failure. And a place for figures of long tests."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("poller", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
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
