"""The daemon under a budget: a real process, and a simulated account of several organizations."""

import json
import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from process import Site, only

from poller.config import ConfigError, load
from poller.simulator import Account, Simulator
from poller.simulator.faults import rate_limited

SWIFT = "from poller import shares\nshares.SHORTEST_S, shares.REPRICE_S = 0.1, 0.3\n"
ORGS = 6


@pytest.fixture
def load_text(tmp_path):
    """Load a text as a configuration."""

    def load_text(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return load(path)

    return load_text


def test_requests_go_where_something_happens(tmp_path):
    """One organization is at work, the others are polled too; news come, and what was learned is kept."""
    account = Account(organizations=ORGS)
    busy, *others = account.organizations
    with Simulator(account) as api:
        site = Site(tmp_path, api.url, only("clients"), patch=SWIFT, budget="10/s", max_interval="30s")
        site.env["POLLER_TEST_TOKEN"] = account.token
        with site.start() as poller:
            poller.until(lambda: site.baselined(ORGS))
            for number in range(1, 11):
                account.create(busy, "clients")
                poller.until(lambda: len(poller.events()) == number)  # noqa: B023
            api.requests.clear()
            for turn in range(1, 4):
                account.create(busy, "clients")
                poller.until(lambda: len(api.requests) > 40 * turn)  # noqa: B023
            asked = Counter(seen.path.split("/")[3] for seen in api.requests)
            assert asked[busy] > 2 * sum(asked[other] for other in others) / len(others)
            assert poller.stop().code == 0
    (history,) = site.query("SELECT history FROM stream WHERE org = ?", busy)[0]
    assert json.loads(history)[2] > 9


def test_the_status_says_what_requests_there_are(tmp_path):
    """The budget, and the rate once the API refused some; nothing where all is as allowed."""
    account = Account(organizations=1)
    with Simulator(account) as api:
        site = Site(tmp_path, api.url, only("clients"), patch=SWIFT, budget="10/s")
        site.env["POLLER_TEST_TOKEN"] = account.token
        with site.start() as poller:
            poller.until(lambda: site.baselined(1))
            assert site.status()["requests"] == {"allowed": 10.0, "rate": 10.0, "budget": 10.0}
            assert "Requests: a budget of 10 a second.\n" in site.run("status").out
            api.faults.always(rate_limited("0"))
            poller.until(lambda: site.status()["requests"]["rate"] < 10)
            assert " of 10 a second, since the API refused some (429)" in site.run("status").out
            poller.kill()
        assert site.status()["requests"] is None
        assert "Requests:" not in site.run("status").out
        site.config.write_text(site.config.read_text().replace('budget = "10/s"', ""))
        api.faults.clear()
        with site.start() as poller:
            poller.up()
            assert site.status()["requests"]["budget"] is None
            assert "Requests:" not in site.run("status").out


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_without_the_budget_the_interval_counts_from_the_last_poll(tmp_path, how):
    """A stream that waits for longer already is polled at once, also where the plan is not far off any more."""
    account = Account(organizations=1)
    with Simulator(account) as api:
        site = Site(tmp_path, api.url, only("clients"), every="10m", budget="10/s", max_interval="2h")
        site.env["POLLER_TEST_TOKEN"] = account.token
        assert site.run("once").code == 0
        with closing(sqlite3.connect(site.database)) as state, state:
            state.execute("UPDATE stream SET polled_ms = polled_ms - 3600000, next_poll_ms = polled_ms + 500000")
        api.requests.clear()
        with site.start() as poller:
            poller.until(lambda: api.requests)  # for the organizations, and then all is planned
            planned_ms = polled_ms(site)
            site.config.write_text(site.config.read_text().replace('budget = "10/s"\n', ""))
            if how == "reload":
                assert site.run("reload").code == 0
                poller.until(lambda: polled_ms(site) > planned_ms, 60)
            assert poller.stop().code == 0
        if how == "restart":
            with site.start() as poller:
                poller.until(lambda: polled_ms(site) > planned_ms, 60)
                assert poller.stop().code == 0


def polled_ms(site):
    """When its one stream was polled last."""
    return site.query("SELECT polled_ms FROM stream")[0][0]


def test_no_stream_waits_longer_than_its_interval(tmp_path):
    """Even where nothing is expected of it."""
    account = Account(organizations=3)
    with Simulator(account) as api:
        site = Site(tmp_path, api.url, only("clients"), patch=SWIFT, budget="50/s", max_interval="500ms")
        site.env["POLLER_TEST_TOKEN"] = account.token
        with site.start() as poller:
            poller.until(lambda: site.baselined(3))
            for _ in range(3):
                api.requests.clear()
                poller.until(lambda: len({seen.path for seen in api.requests if "/count" not in seen.path}) >= 3)


@pytest.mark.parametrize("budget", ["10", "ten/s", "0/s", "101/s", "10/d", 10])
def test_a_budget_is_requests_in_a_span(load_text, budget):
    """No more than the API takes; the message shows how it is written."""
    with pytest.raises(ConfigError, match=r"source\.budget"):
        load_text(f"[source]\nbudget = {json.dumps(budget)}")


@pytest.mark.parametrize(("text", "requests_s"), [("10/s", 10), ("300/m", 5), ("1800 / h", 0.5), ("0.5/s", 0.5)])
def test_a_budget_may_be_by_the_minute_or_hour(load_text, text, requests_s):
    """As one likes to think of it."""
    config = load_text(f'[source]\nbudget = "{text}"')
    assert config.plan().budget == requests_s
    shown = config.model_dump()["source"]["budget"]
    assert load_text(f'[source]\nbudget = "{shown}"').plan().budget == requests_s


def test_an_interval_of_a_resource_is_its_longest(load_text):
    """What was asked for is kept; what was not said waits for max_interval at most."""
    config = load_text('[source]\nbudget = "1/s"\nmax_interval = "5m"\n[resources]\ntaxes = "30s"\nunits = "1h"')
    watches = config.plan().watches
    assert [watches[name].longest_s for name in ("taxes", "units", "clients")] == [30, 300, 300]


def test_without_a_budget_polls_come_at_intervals(load_text):
    """Nothing changes for those who set none."""
    plan = load_text("").plan()
    assert (plan.budget, {watch.longest_s for watch in plan.watches.values()}) == (None, {0.0})
