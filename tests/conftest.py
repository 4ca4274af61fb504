"""How tests share the machine, how Hypothesis runs everywhere (a slow or busy machine is no failure), and fixtures.

With workers (``pytest -n auto``, as ``make test`` has it) each takes one file after the other. Files that take long
come first, the worst of them test by test, so that in the end no worker is left alone with one.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from xdist.scheduler import LoadScopeScheduling

LONG_TESTS = (
    "tests/test_kill_loop.py",
    "tests/test_machine.py",
    "tests/test_plan_agrees.py",
    "tests/test_notices_crashes.py",
    "tests/test_histories.py",
    "tests/test_nth_fault.py",
    "tests/test_crashes.py",
    "tests/test_bench.py",
)
"""Files of tests that share nothing; taken one by one."""

LONG_FILES = (
    "tests/test_loopback_end_to_end.py",
    "tests/cli/test_queue.py",
    "tests/cli/test_decisions.py",
    "tests/test_limits.py",
    "tests/test_daemon.py",
    "tests/test_actions_killed.py",
)
"""Files that come before all others."""


class _Sharing(LoadScopeScheduling):
    """Work by the file, in the order in which tests were collected; of long files by the test."""

    def __init__(self, config, log):
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid):
        file = nodeid.partition("::")[0]
        return nodeid if file in LONG_TESTS else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return _Sharing(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One for each processor; none for a single file, which a worker would only begin later."""
    named = config.option.file_or_dir
    if len(named) == 1 and ".py" in named[0]:
        return 0
    return len(os.sched_getaffinity(0))


def pytest_collection_modifyitems(config, items):
    """Long files come first where workers share the work."""
    if hasattr(config, "workerinput"):
        places = {file: place for place, file in enumerate((*LONG_TESTS, *LONG_FILES))}
        items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


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


@pytest.fixture
def figures(request):
    """Takes what a test ran, as words and values, to be shown when all tests are through; with ``-v`` at once, too."""
    return lambda *told: request.node.user_properties.append(("figures", ", ".join(str(one) for one in told)))


class Figures:
    """Shows the figures of all tests, of whichever worker."""

    def __init__(self, terminal):
        self._terminal, self._lines = terminal, []

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        if report.when != "call":
            return
        test = report.nodeid.rpartition("::")[2]
        lines = [f"{test}: {told}" for name, told in report.user_properties if name == "figures"]
        self._lines += lines
        if lines and self._terminal.verbosity > 0:
            self._terminal.ensure_newline()
        for line in lines if self._terminal.verbosity > 0 else ():
            self._terminal.write_line(line)

    def pytest_terminal_summary(self, terminalreporter):
        for line in self._lines:
            terminalreporter.write_line(line)


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    if terminal := config.pluginmanager.get_plugin("terminalreporter"):
        config.pluginmanager.register(Figures(terminal), "figures")


@pytest.fixture
def account():
    """An account of one organization, with the token that a ``Site`` has."""
    from process import TOKEN

    from poller.simulator import Account

    return Account(token=TOKEN, organizations=1, seed=1)


@pytest.fixture
def org(account):
    return account.organizations[0]


@pytest.fixture
def api(account):
    """The API of the account, for a process to poll."""
    from poller.simulator import Simulator

    with Simulator(account) as simulator:
        yield simulator


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An account and the three systems; see ``World``."""
    from systems.world import World

    with World(tmp_path) as world:
        world.hasten(monkeypatch)
        yield world
