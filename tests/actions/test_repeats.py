"""What an unknown outcome leads to: a crash between request and settle, a deadline, a cut connection, a 500."""

import pytest
from receiver import Receiver, answer
from systems.acting import acting, delivery, settled, steps
from systems.contextual import ContextualAI
from systems.scenes import SCENES, STORE
from systems.server import after, instead, ok, reset, timeout

from poller.actions import Repeat, look, systems
from poller.actions.answer import UNKNOWN
from poller.actions.reading import system
from poller.actions.steps import unpack
from poller.model import Delivered, Gone, Later, Refused


def repeat(do):
    system, _, action = do.partition(".")
    return systems()[system].actions[action].repeat


def of(*classes):
    return pytest.mark.parametrize("do", sorted(do for do in SCENES if repeat(do) in classes))


FAULTS = {  # done all the same
    "timeout": timeout(),
    "reset": reset(),
    "500": after(500),
    "502": after(502),
    "504": after(504, b"<html>gateway</html>"),
    "login page": after(200, b"<html>log in</html>"),
}
LOST = pytest.mark.parametrize("fault", FAULTS)


def test_every_class_has_an_action():
    """So that each is tried below."""
    assert {repeat(do) for do in SCENES} == set(Repeat)


@of(Repeat.SAFE, Repeat.FLAG, Repeat.CONFLICT)
@LOST
def test_what_can_be_repeated_is(stage, do, fault):
    """Done twice, and to be seen once."""
    scene, server, actor = stage(do)
    server.faults.append(FAULTS[fault])
    outcome = actor.hurry(delivery())
    assert isinstance(outcome, Later)
    assert not outcome.unknown
    assert settled(lambda: scene.effects(server), scene.once) == scene.once
    assert actor.send(delivery(attempts=1)) == Delivered()
    assert settled(lambda: scene.effects(server), scene.once) == scene.once
    assert len(server.requests) == 2


@of(Repeat.LOOK)
@LOST
def test_what_can_be_looked_for_is_looked_for(stage, do, fault):
    """It was done: it is found, and not done again."""
    scene, server, actor = stage(do)
    server.faults.append(FAULTS[fault])
    outcome = actor.hurry(delivery())
    assert isinstance(outcome, Later)
    assert outcome.unknown
    assert actor.send(delivery(attempts=1, begun=True)) == Delivered()
    assert settled(lambda: scene.effects(server), scene.once) == scene.once
    assert [call.method for call in server.requests][:2] == ["POST", "GET"]
    assert [call.method for call in server.requests].count("POST") == 1


@of(Repeat.LOOK)
@pytest.mark.parametrize(
    "fault", [timeout(done=False), reset(done=False), instead(500)], ids=["timeout", "reset", "500"]
)
def test_what_was_not_done_is_done(stage, do, fault):
    """The look finds nothing."""
    scene, server, actor = stage(do)
    server.faults.append(fault)
    assert actor.hurry(delivery()).unknown
    assert actor.send(delivery(begun=True)) == Delivered()
    assert scene.effects(server) == scene.once


@of(Repeat.NEVER)
@LOST
def test_what_must_not_be_repeated_is_left_to_the_operator(stage, do, fault):
    """Parked at once, and the reason says what to do."""
    scene, server, actor = stage(do)
    server.faults.append(FAULTS[fault])
    outcome = actor.hurry(delivery())
    assert isinstance(outcome, Refused)
    assert outcome.final
    assert outcome.reason.endswith(UNKNOWN)
    assert settled(lambda: scene.effects(server), scene.once) == scene.once


@of(*Repeat)
def test_a_crash_between_request_and_settle(stage, do):
    """It was sent, and nothing of the answer is kept: the next send knows only that it was begun."""
    scene, server, actor = stage(do)
    actor.send(delivery())
    outcome = actor.send(delivery(begun=True))
    if repeat(do) is Repeat.NEVER:
        assert outcome.final
        assert UNKNOWN in outcome.reason
    else:
        assert outcome == Delivered()
    assert scene.effects(server) == scene.once


@of(*Repeat)
def test_a_crash_before_the_request(stage, do):
    """It was begun, but never sent: what can be told is done, and the rest is left to the operator."""
    scene, server, actor = stage(do)
    before = scene.effects(server)
    outcome = actor.send(delivery(begun=True))
    never = repeat(do) is Repeat.NEVER
    assert isinstance(outcome, Refused if never else Delivered)
    assert scene.effects(server) == (before if never else scene.once)


@of(Repeat.LOOK, Repeat.NEVER)
def test_without_the_memory_it_would_be_done_twice(stage, do):
    """What these two classes are there for; that the servers show it."""
    scene, server, actor = stage(do)
    for _ in range(2):
        assert actor.send(delivery()) == Delivered()
    assert scene.effects(server) == scene.twice != scene.once


# Flags and conflicts


def test_who_gives_up_the_flag_gives_up_repeats(stage):
    """check_unique = false: a repeat would send a second mail."""
    given = {"campaign": "cam_9", "email": "a@example.com", "check_unique": False}
    scene, server, actor = stage("coupontools.send_coupon_by_email", given)
    server.faults.append(reset())
    assert actor.send(delivery()).final
    assert actor.send(delivery(begun=True)).final
    assert scene.effects(server) == 1


@pytest.mark.parametrize(
    ("given", "protected"),
    [({}, True), ({"duplicate_check": "email", "email": "a@b.si"}, True), ({"duplicate_check": "email"}, False)],
)
def test_a_duplicate_check_needs_what_it_checks(stage, given, protected):
    """A session that is looked for by an address that is not said would be made again."""
    _, server, actor = stage("coupontools.create_single_use_session", {"campaign": "cam_9", **given})
    server.faults.append(after(500))
    outcome = actor.send(delivery())
    assert isinstance(outcome, Later if protected else Refused)


def test_a_conflict_counts_as_done(stage):
    """Also at the first try: what was asked for is there."""
    _, server, actor = stage("coupontools.create_subaccount")
    server.subaccounts.append({"email": "shop@example.com"})
    assert actor.send(delivery()) == Delivered()
    assert len(server.subaccounts) == 1


def test_deleting_what_a_deleted_thing_was_in_counts_as_done(stage):
    """404 from the API itself, in JSON."""
    _, _, actor = stage("contextual-ai.delete_document", {"datastore_id": "gone", "document_id": "gone"})
    assert actor.send(delivery()) == Delivered()


def test_a_datastore_in_use_is_not_deleted(stage):
    """400, at once and for good: an operator frees it, and has it tried again."""
    _, _, actor = stage("contextual-ai.delete_datastore", {"datastore_id": "ds-2"})
    assert actor.send(delivery()) == Refused("status 400: an active agent uses this datastore", final=True)


# Looks


def test_a_look_reads_all_pages(stage):
    """What it looks for may be on the last."""
    _, server, actor = stage("contextual-ai.create_datastore", {"name": "the seventh"})
    for number in range(7):
        server.datastores[f"x{number}"] = {"id": f"x{number}", "name": "the seventh" if number == 6 else f"{number}"}
    assert actor.send(delivery(begun=True)) == Delivered()
    assert len(server.datastores) == 7
    assert [call.query.get("cursor") for call in server.requests] == [None, ["2"], ["4"], ["6"]]


def test_what_was_found_is_the_result():
    """A later step can use it."""
    with ContextualAI() as server:
        server.datastores["x1"] = {"id": "x1", "name": "mine"}
        definition = steps(("contextual-ai.create_datastore", {"name": "mine"}), ("contextual-ai.list_agents", {}))
        with acting(("contextual-ai", server.url), definition=definition) as actor:
            advanced = actor.send(delivery(begun=True))
    assert unpack(advanced.steps)["s1"]["id"] == "x1"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (instead(429, {}, ("Retry-After", "0")), Later("status 429", 0, unknown=True)),
        (instead(503), Later("status 503", 60, unknown=True)),
        (instead(500), Later("status 500", unknown=True)),
        (instead(403, {}), Later("status 403", unknown=True)),
        (
            instead(200, b"<html>"),
            Later("status 200: the answer is not what it should be (a login page?)", unknown=True),
        ),
        (instead(404, {}), Refused("status 404", final=True, unknown=True)),
        (instead(401, {}), Gone("status 401: nothing can be done with this connection", unknown=True)),
        (instead(200, {"datastores": "none"}), None),
        (instead(200, {}), None),
    ],
)
def test_who_cannot_look_does_not_do_it(stage, fault, expected):
    """And remembers that it may be done."""
    _, server, actor = stage("contextual-ai.create_datastore")
    server.faults.append(fault)
    outcome = actor.send(delivery(begun=True))
    if expected is None:
        assert outcome.final
        assert UNKNOWN in outcome.reason
    else:
        assert outcome == expected
    assert server.datastores == {}
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [timeout(), reset()], ids=["timeout", "reset"])
def test_a_look_that_is_not_answered_is_done_again(stage, fault):
    """Later, and still as one that was begun."""
    _, server, actor = stage("contextual-ai.create_datastore")
    server.faults.append(fault)
    assert actor.hurry(delivery(begun=True)).unknown
    assert server.datastores == {}


def test_a_list_without_an_end_is_left_to_the_operator(stage, monkeypatch):
    """A cursor that leads back."""
    monkeypatch.setattr(look, "MAX_PAGES", 3)
    _, server, actor = stage("contextual-ai.create_datastore")
    page = ok({"datastores": [], "next_cursor": "0"})
    server.faults.extend([lambda *_: page] * 9)
    outcome = actor.send(delivery(begun=True))
    assert outcome.final
    assert "3 pages" in outcome.reason
    assert len(server.requests) == 3


def test_an_older_document_of_the_same_name_is_not_taken_for_this_one(stage):
    """It was there before the change was seen: the new version is ingested."""
    given = {"datastore_id": STORE, "file": "<p>", "filename": "si-1.html"}
    _, server, actor = stage("contextual-ai.ingest_document", given)
    server.documents["old"] = {
        **server.documents["doc-1"],
        "id": "old",
        "name": "si-1.html",
        "created_at": "2025-01-01T00:00:00Z",
    }
    assert actor.send(delivery(begun=True)) == Delivered()
    assert [one["name"] for one in server.documents.values()].count("si-1.html") == 2


def test_a_document_whose_name_only_begins_so_is_another(stage):
    """A prefix finds more than it should."""
    given = {"datastore_id": STORE, "file": "<p>", "filename": "si-1.html"}
    _, server, actor = stage("contextual-ai.ingest_document", given)
    server.documents["b"] = {
        **server.documents["doc-1"],
        "id": "b",
        "name": "si-1.html.pdf",
        "created_at": "2026-01-01T00:00:00Z",
    }
    actor.send(delivery(begun=True))
    assert "si-1.html" in [one["name"] for one in server.documents.values()]


def test_another_event_s_client_of_the_same_name_is_another(stage):
    """Only the step's own key tells."""
    _, server, actor = stage("space-invoices.create_client", {"name": "Same"})
    server.clients.append({"id": "1", "name": "Same", "custom": {"sourceId": "evt_other"}})
    assert actor.send(delivery(begun=True)) == Delivered()
    assert len(server.clients) == 2


@pytest.mark.parametrize("shape", ["list", "object"])
def test_users_of_a_directory_are_found_in_either_shape(stage, shape):
    """It is not documented; nor how the API writes addresses."""
    _, server, actor = stage("coupontools.create_directory_user")
    users = [{"id": "reg_9", "email": "MAJA@example.com"}, {"id": "reg_8"}]
    server.faults.append(instead(200, users if shape == "list" else {"users": users}))
    assert actor.send(delivery(begun=True)) == Delivered()
    assert len(server.requests) == 1


def test_what_is_null_is_not_looked_for():
    """It would be found in everything that has no such field."""
    table = {
        "title": "Add",
        "method": "POST",
        "path": "/x",
        "repeat": "look",
        "body": {"key": "${with.key}"},
        "look": {"path": "/x", "items": "http.body", "match": {"key": "${with.key}"}},
        "inputs": {"key": {"type": "string"}},
    }
    crm = system("crm", {"title": "CRM", "base_url": "https://crm.example", "action": {"add": table}})
    with Receiver(always=answer(headers=[("Content-Type", "application/json")], body=b'[{"id":1}]')) as receiver:
        url, definition = f"http://127.0.0.1:{receiver.port}", steps(("crm.add", {}))
        with acting(("crm", url), definition=definition, known={"crm": crm}, values={"any": "thing"}) as actor:
            outcome = actor.send(delivery(begun=True))
    assert outcome.final
    assert "is null" in outcome.reason
    assert UNKNOWN in outcome.reason
