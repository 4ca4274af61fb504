"""Every action from its trigger on: a change in the account, a poll, a route, the request that the system documents."""

import pytest
from systems.rows import ROWS, TRIGGERS, before, furnish, happen, routed

from poller.actions import systems
from poller.sources.spaceinvoices import RESOURCES


def test_every_action_has_its_trigger():
    """The 21 of the connectors, and what they need; on triggers of all ten resources."""
    assert set(ROWS) == {f"{system.name}.{name}" for system in systems().values() for name in system.actions}
    assert {TRIGGERS[row.on] for row in ROWS.values()} == {row.name for row in RESOURCES.values() if not row.opt_in}


@pytest.mark.parametrize("do", ROWS)
def test_an_action_is_done_when_it_is_triggered(world, do):
    """Once, by a request that the server of its system has nothing to complain about."""
    row = ROWS[do]
    furnish(world, do, *(["contextual-ai.set_document_metadata"] if row.told else []))
    world.configure(routed(do), TRIGGERS[row.on])
    record = before(world, row.on)
    assert world.round().well
    assert [server.requests for server in world.servers.values()] == [[], [], []]
    happen(world, row.on, record)
    assert world.round().well
    assert row.seen(world) == row.wanted
    assert world.complaints == []
    assert world.states("sink, route, state") == [("it", "it", "delivered")]
    assert world.steps() == []
    asked = sum(len(server.requests) for server in world.servers.values())
    assert world.round().well
    assert sum(len(server.requests) for server in world.servers.values()) == asked == 1 + bool(row.told)


SOME = ("coupontools.create_single_use_session", "contextual-ai.create_datastore", "space-invoices.create_client")


def test_a_daemon_does_one_of_each_system(world):
    """By itself, each soon after its change; and a restart does nothing more."""
    world.configure("".join(routed(do, name=f"to-{number}") for number, do in enumerate(SOME)), *RESOURCES)
    with world.site.start() as poller:
        poller.until(lambda: world.site.baselined(11))
        for do in SOME:
            happen(world, ROWS[do].on)
        poller.until(lambda: world.states() == ["delivered"] * 3)
        assert poller.stop().code == 0
    assert world.site.run("once").code == 0
    assert [ROWS[do].seen(world) for do in SOME] == [ROWS[do].wanted for do in SOME]
    assert [len(server.requests) for server in world.servers.values()] == [1, 1, 1]
    assert world.complaints == []
