"""The real process, killed between a request and the settling of it: what comes of it by what a repeat does."""

import base64

import pytest
from process import eventually
from systems.rows import ROWS, TRIGGERS, action_of, before, furnish, happen, routed
from systems.scenes import STORE
from systems.server import slow, timeout
from systems.world import World, route, table

from poller.actions import Repeat
from poller.actions.answer import UNKNOWN


@pytest.fixture
def world(tmp_path):
    with World(tmp_path) as world:
        yield world


KILLED = {
    Repeat.SAFE: ["coupontools.change_status_directory_user"],
    Repeat.FLAG: ["coupontools.send_coupon_by_email", "coupontools.create_single_use_session"],
    Repeat.CONFLICT: ["coupontools.create_subaccount", "contextual-ai.delete_document"],
    Repeat.LOOK: [
        "coupontools.create_directory_user",
        "contextual-ai.ingest_document",
        "space-invoices.create_client",
    ],
    Repeat.NEVER: ["coupontools.send_coupon_by_sms", "space-invoices.send_document_by_email"],
}


def killed(world, do, **fault):
    """Kill it once the request of this action is there and done, and not answered; the server of its system."""
    row, server = ROWS[do], world.servers[do.partition(".")[0]]
    furnish(world, do)
    world.configure(routed(do), TRIGGERS[row.on])
    record = before(world, row.on)
    server.faults.append(timeout(**fault))
    with world.site.start() as poller:
        poller.until(lambda: world.site.baselined(1))
        happen(world, row.on, record)
        poller.until(lambda: server.requests)
        if fault.get("done", True):
            poller.until(lambda: row.seen(world) == row.wanted)
        poller.kill()
    assert world.states("state, begun") == [("pending", 1)]
    return row, server


def test_each_class_is_killed():
    """By actions of that class."""
    assert {again: {action_of(do).repeat for do in KILLED[again]} for again in Repeat} == {
        again: {again} for again in Repeat
    }


@pytest.mark.parametrize("do", [do for again in (Repeat.SAFE, Repeat.FLAG, Repeat.CONFLICT) for do in KILLED[again]])
def test_what_can_be_repeated_is_done_again(world, do):
    """At the next start, by the same bytes; and it is to be seen once."""
    row, server = killed(world, do)
    with world.site.start() as poller:
        poller.until(lambda: world.states() == ["delivered"])
    first, second = server.requests
    assert (first.method, first.path, first.body) == (second.method, second.path, second.body)
    assert row.seen(world) == row.wanted


@pytest.mark.parametrize("do", KILLED[Repeat.LOOK])
def test_what_can_be_looked_for_is_found(world, do):
    """And not done a second time."""
    row, server = killed(world, do)
    with world.site.start() as poller:
        poller.until(lambda: world.states() == ["delivered"])
    assert [call.method for call in server.requests] == ["POST", "GET"]
    assert row.seen(world) == row.wanted


@pytest.mark.parametrize("do", KILLED[Repeat.LOOK])
def test_what_is_looked_for_in_vain_is_done(world, do):
    """The request came, and nothing came of it."""
    row, server = killed(world, do, done=False)
    with world.site.start() as poller:
        poller.until(lambda: world.states() == ["delivered"])
    assert [call.method for call in server.requests] == ["POST", "GET", "POST"]
    assert row.seen(world) == row.wanted


@pytest.mark.parametrize("do", KILLED[Repeat.NEVER])
def test_what_must_not_be_repeated_is_left_to_the_operator(world, do):
    """It is parked, and says why; nothing is sent until the operator has it sent once more."""
    row, server = killed(world, do)
    with world.site.start() as poller:
        poller.until(lambda: world.states() == ["parked"])
        listed = world.site.run("dead", "list").out
        assert UNKNOWN in listed
        assert row.on in listed
        assert len(server.requests) == 1
        assert world.site.run("dead", "retry", "--route", "it").code == 0
        poller.until(lambda: world.states() == ["delivered"])
    assert len(server.requests) == 2
    assert row.seen(world) == row.wanted * 2


def test_what_must_not_be_repeated_can_be_dropped(world):
    """Once the operator has seen that it was done."""
    _, server = killed(world, KILLED[Repeat.NEVER][0])
    with world.site.start() as poller:
        poller.until(lambda: world.states() == ["parked"])
        assert world.site.run("dead", "drop", "--yes").out == "1 parked deliveries are forgotten\n"
        assert world.states() == []
        poller.stop()
    assert world.site.run("once").code == 0
    assert len(server.requests) == 1


@pytest.mark.parametrize("do", [KILLED[Repeat.NEVER][0], KILLED[Repeat.LOOK][0]])
def test_a_stop_waits_for_the_answer(world, do):
    """SIGTERM is no crash: what is asked for is settled, and nothing is left to look for."""
    row, server = ROWS[do], world.servers[do.partition(".")[0]]
    world.configure(routed(do), TRIGGERS[row.on])
    record = before(world, row.on)
    server.faults.append(slow(1.5))
    with world.site.start() as poller:
        poller.until(lambda: world.site.baselined(1))
        happen(world, row.on, record)
        poller.until(lambda: server.requests)
        assert poller.stop().code == 0
    assert world.states("state, begun, error") == [("delivered", 0, "")]
    assert len(server.requests) == 1


# Steps

PDF_THEN_INGEST = (
    route("document.created", name="it", when="data.type == 'invoice' && !data.draft")
    + table("route.step", id="pdf", do="space-invoices.get_document_pdf", with_={"id": "${data.id}"})
    + table(
        "route.step",
        do="contextual-ai.ingest_document",
        with_={"datastore_id": STORE, "file": "${steps.pdf}", "filename": "si-${data.id}.pdf"},
    )
)
WAITS = """
import time
from poller.deliver import Drain
fly = Drain._fly

def wait(self, batch):
    time.sleep(60 if batch[0].steps else 0)
    fly(self, batch)

Drain._fly = wait
"""
"""Nothing is begun any more once a step is done."""


def between(world, poller):
    """A document was created, and its PDF is kept; the document's id."""
    poller.until(lambda: world.site.baselined(1))
    document = world.create("documents")
    poller.until(world.steps)
    [kept] = world.steps()
    assert base64.b64decode(kept["pdf"]["$file"]["data"]).startswith(b"%PDF")
    return document


def ingested(world, document):
    """The second step came to its end: the PDF is there, once, and nothing of it is left here."""
    [made] = [one for one in world.contextual.documents.values() if one["name"] == f"si-{document}.pdf"]
    assert world.contextual.uploads[made["id"]].data.startswith(b"%PDF")
    assert world.steps() == []
    assert [call.path for call in world.invoices.requests] == [f"/v1/Documents/{document}/pdf"]
    assert world.complaints == []


def test_a_kill_between_two_steps(world):
    """The first is not done again: its result is in the database, until the second is done."""
    furnish(world, "contextual-ai.ingest_document")
    world.configure(PDF_THEN_INGEST, "documents")
    with world.site.start(patch=WAITS) as poller:
        document = between(world, poller)
        poller.kill()
    assert world.states("state, begun") == [("pending", 0)]
    assert world.contextual.requests == []
    with world.site.start() as poller:
        poller.until(lambda: world.states() == ["delivered"])
    ingested(world, document)
    assert [call.method for call in world.contextual.requests] == ["POST"]


@pytest.mark.parametrize("done", [True, False])
def test_a_kill_within_the_second_step(world, done):
    """It is looked for; the first is not done again."""
    furnish(world, "contextual-ai.ingest_document")
    world.configure(PDF_THEN_INGEST, "documents")
    world.contextual.faults.append(timeout(done=done))
    with world.site.start() as poller:
        document = between(world, poller)
        poller.until(lambda: world.contextual.requests)
        eventually(lambda: len(world.contextual.documents) == 2 + done)
        poller.kill()
    with world.site.start() as poller:
        poller.until(lambda: world.states() == ["delivered"])
    ingested(world, document)
    assert [call.method for call in world.contextual.requests] == ["POST", "GET"] + ["POST"] * (not done)
