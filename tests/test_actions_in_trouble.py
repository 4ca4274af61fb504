"""What an operator sees of actions that fail, and does about it; from the trigger on."""

import json

import pytest
from systems.rows import OWN, ROWS, TRIGGERS, action_of, before, furnish, happen, routed
from systems.server import Wrong, after, instead, timeout
from systems.world import route

from poller.actions import Repeat
from poller.actions.answer import UNKNOWN

DOCUMENT = "document.created"
MISTAKES = {  # a mistake, what mends it, and what the system says
    "200 with failed": (
        "coupontools.send_coupon_by_email",
        {"campaign": "cam_0", "email": "${data._documentClient.email}"},
        {"campaign": "cam_9", "email": "${data._documentClient.email}"},
        'status 200: {"code":502,"message":["campaign not found"]}',
    ),
    "422": (
        "contextual-ai.list_datastores",
        {"limit": 0},
        {"limit": 5},
        "status 422: limit is not 1 to 1000",
    ),
    "404": (
        "space-invoices.send_document_by_email",
        {"id": "${data.clientId}", "recipients": "a@example.com"},
        {"id": "${data.id}", "recipients": "a@example.com"},
        'status 404: Unknown "Document" id "67a0b1c2e4f5a60013b7d001".',
    ),
}
ONE_OF_EACH = {do: mended for do, _, mended, _ in MISTAKES.values()}
EACH = pytest.mark.parametrize("do", ONE_OF_EACH)


def server_of(world, do):
    return world.servers[do.partition(".")[0]]


def triggered(world, tables, *, many=1):
    """A document came after the baseline."""
    world.configure(tables, "documents")
    world.round()
    for _ in range(many):
        world.create("documents")
    return world.round()


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_parked_mended_and_sent_again(world, what):
    """The reason is in the list of parked ones; by the mended definition it goes through."""
    do, mistake, mended, reason = MISTAKES[what]
    triggered(world, route(DOCUMENT, do, mistake, name="it"))
    assert world.states("state, attempts, error") == [("parked", 1, reason)]
    [row] = json.loads(world.command("dead", "list", "--json").stdout)
    assert (row["sink"], row["trigger"], row["error"]) == ("it", DOCUMENT, reason)
    assert len(server_of(world, do).requests) == 1
    world.configure(route(DOCUMENT, do, mended, name="it"), "documents")
    assert world.round().well
    assert len(server_of(world, do).requests) == 1
    assert world.command("retry").stdout == "1 deliveries will be sent again\n"
    assert world.round().well
    assert world.states() == ["delivered"]
    assert len(server_of(world, do).requests) == 2


def test_without_a_mended_definition_it_is_parked_once_more(world):
    """And the others that come meanwhile are not held up."""
    do, mistake, *_ = MISTAKES["200 with failed"]
    triggered(world, route(DOCUMENT, do, mistake | {"campaign": "${data.custom.campaign}"}, name="it"))
    world.create("documents", {"custom": {"campaign": "cam_9"}})
    world.round()
    assert world.command("retry").exit_code == 0
    world.round()
    assert world.states() == ["parked", "delivered"]


def refuse(do):
    """What the system says to a key that was revoked."""

    def authorize(_):
        raise Wrong(
            401, "revoked", code={"coupontools": 1000, "space-invoices": "INVALID_TOKEN"}.get(do.partition(".")[0])
        )

    return authorize


@EACH
def test_bad_credentials_pause_the_queue_until_it_is_resumed(world, monkeypatch, do):
    """It says so, and keeps what came; another queue goes on."""
    other = "coupontools.create_subaccount" if not do.startswith("coupontools") else "contextual-ai.list_agents"
    given = {"email": "a@example.com"} if other.startswith("coupontools") else {}
    tables = route(DOCUMENT, do, ONE_OF_EACH[do], name="it") + route(DOCUMENT, other, given, name="other")
    server = server_of(world, do)
    with monkeypatch.context() as revoked:
        revoked.setattr(server, "authorize", refuse(do))
        assert not triggered(world, tables).well
    assert world.states("sink, state") == [("it", "pending"), ("other", "delivered")]
    found = {row["sink"]: (row["state"], row["pending"]) for row in json.loads(world.command("sinks", "--json").stdout)}
    assert found == {"it": ("paused", 1), "other": ("ok", 0)}
    world.round()
    assert len(server.requests) == 1
    assert world.command("resume", "it").stdout == "it goes on\n"
    assert world.round().well
    assert world.states() == ["delivered", "delivered"]
    assert len(server.requests) == 2


@EACH
def test_a_conflict_is_tried_again(world, do):
    """409, where it does not mean that it is done."""
    server_of(world, do).faults.append(instead(409, {"message": "busy"}))
    assert triggered(world, route(DOCUMENT, do, ONE_OF_EACH[do])).well
    assert world.states("state, attempts") == [("delivered", 2)]
    assert len(server_of(world, do).requests) == 2


def test_a_conflict_that_means_done_is_done(world):
    """An address that has its subaccount."""
    world.coupontools.subaccounts.append({"email": "cold@lunar-freight.example"})
    world.configure(routed("coupontools.create_subaccount"), "units")
    world.round()
    world.create("units")
    assert world.round().well
    assert world.states("state, attempts") == [("delivered", 1)]
    assert len(world.coupontools.subaccounts) == 1


@EACH
def test_a_system_that_is_busy_gets_its_rest(world, do):
    """429 with Retry-After: nothing more is asked of it before, and then all of it."""
    server = server_of(world, do)
    server.faults.append(instead(429, {}, ("Retry-After", "120")))
    triggered(world, route(DOCUMENT, do, ONE_OF_EACH[do]))
    world.create("documents")
    world.round()
    world.pass_s(60)
    assert not world.round().well
    assert (world.states(), len(server.requests)) == (["pending", "pending"], 1)
    world.pass_s(61)
    assert world.round().well
    assert (world.states(), len(server.requests)) == (["delivered", "delivered"], 3)


DOING = sorted(do for do, row in ROWS.items() if not row.told)
LOST = {"no answer": timeout(), "500": after(500)}


@pytest.mark.parametrize("do", DOING)
@pytest.mark.parametrize("lost", LOST)
def test_an_answer_that_is_lost(world, do, lost):
    """It was done: it is done again where that is harmless, looked for, or left to the operator; never done twice."""
    row, server = ROWS[do], server_of(world, do)
    furnish(world, do)
    world.configure(routed(do) + OWN.format(url=world.invoices.url), TRIGGERS[row.on], timeout="1s")
    record = before(world, row.on)
    world.round()
    server.faults.append(LOST[lost])
    happen(world, row.on, record)
    went = world.round()
    methods = [call.method for call in server.requests]
    if action_of(do).repeat is Repeat.NEVER:
        [(state, error)] = world.states("state, error")
        assert (state, error.endswith(UNKNOWN), len(methods)) == ("parked", True, 1)
    else:
        assert went.well, world.states("state, error")
        assert world.states() == ["delivered"]
    if action_of(do).repeat is Repeat.LOOK:
        assert (methods.count("POST"), methods.count("GET") >= 1) == (1, True)
    assert row.seen(world) == row.wanted
    assert bool(world.complaints) == (action_of(do).repeat is Repeat.CONFLICT)


def test_a_daemon_rests_pauses_and_is_resumed(world):
    """429, then bad credentials, then the operator's word: it is done once, by a process that went on all the time."""
    do = "coupontools.create_subaccount"
    denied = instead(200, {"status": {"status": "failed", "errors": {"error_code": 1000}}})
    world.coupontools.faults.extend([instead(429, {}, ("Retry-After", "1")), denied])
    world.configure(routed(do), "units")
    with world.site.start() as poller:
        poller.until(lambda: world.site.baselined(1))
        world.create("units")
        [paused] = poller.until(lambda: poller.log("sink.paused")).log("sink.paused")
        assert paused["hint"] == "poller resume it"
        assert len(world.coupontools.requests) == 2
        assert world.site.run("resume", "it").code == 0
        poller.until(lambda: world.states() == ["delivered"])
    assert ROWS[do].seen(world) == ROWS[do].wanted
    assert len(world.coupontools.requests) == 3
