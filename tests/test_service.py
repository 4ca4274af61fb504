"""A service by itself; how it polls and delivers is in the tests of the loops and of the daemon."""

from dataclasses import replace
from threading import Event
from types import MappingProxyType

import pytest
from mirror import HOUR_MS, Clock, Rig, plan

from poller.model import Stream
from poller.service import Service
from poller.simulator import Account, Simulator
from poller.sources import Denied
from poller.stores.sqlite import SqliteStore


class Nothing:
    """A source that nobody asks."""

    name = "nothing"
    resources = MappingProxyType({})

    def close(self):
        pass


@pytest.fixture
def service_of(tmp_path):
    """Makes the service of a plan."""
    store = SqliteStore(tmp_path / "poller.db", "nothing")
    made = []

    def service_of(plan, source=None):
        made.append(Service(plan, source or Nothing(), store, {}, Event()))
        return made[-1]

    yield service_of
    for service in made:
        service.end(0.0)
    store.close()


@pytest.mark.parametrize(
    ("organizations", "streams"),
    [(None, ["a", "b"]), (("b", "c"), ["b"]), ((), [])],
)
def test_only_what_is_to_be_followed_is(service_of, organizations, streams):
    """An organization that the state knows may be one that the configuration leaves out by now."""
    service = service_of(replace(plan("clients"), organizations=organizations))
    assert service.streams(["a", "b"]) == [Stream(org, "clients") for org in streams]


def test_what_a_poll_costs_is_every_request_that_it_took(service_of, tmp_path):
    """Increment, counts, search, and what confirms it; so that a budget pays for all of them, each once."""
    account = Account(Clock(), organizations=1)
    (org,) = account.organizations
    ids = account.bulk_create(org, "clients", 1000)
    with Simulator(account) as simulator:
        rig = Rig(tmp_path / "other.db", plan("clients", count_every=1), simulator=simulator, clock=account.clock)
        rig.close()
        service = service_of(rig.plan, rig.source)
        costs = [service.poll(Stream(org, "clients")).history.cost]
        assert len(rig.asked()) == 11
        account.clock.advance(HOUR_MS)
        for gone in ([], [ids[700]], ids[:2], ids[100:1000:50]):
            for one in gone:
                account.hard_delete(org, "clients", one)
            before = costs[-1]
            costs.append(service.poll(Stream(org, "clients")).history.cost)
            assert costs[-1] == pytest.approx(0.8 * before + 0.2 * len(rig.asked()))


class Closed(Nothing):
    """A source that denies access."""

    def list(self, *_asked):
        raise Denied("401")


def test_what_is_polled_with_its_child_is_in_the_same_trouble(service_of):
    """Price lists that are read for the sake of prices alone have no polls of their own, which could tell."""
    service = service_of(plan("prices"), Closed())
    service.poll(Stream("a", "prices"))
    standings = [service.store.standing(Stream("a", name)) for name in ("price_lists", "prices")]
    assert [(standing.suspended, standing.error) for standing in standings] == [(True, "401")] * 2
    assert all(standing.next_poll_ms for standing in standings)
