"""Actions done over real HTTP, at servers that refuse what is not documented."""

import json

import pytest
from receiver import Receiver, answer, close, redirect
from systems.acting import SECRETS, acting, connection, delivery, steps
from systems.contextual import ContextualAI
from systems.scenes import PAGE, SCENES, STORE
from systems.server import instead, reset, timeout
from systems.spaceinvoices import PDF, SpaceInvoices

from poller import tls
from poller.actions import systems
from poller.actions.steps import unpack
from poller.expression import File
from poller.http import Link
from poller.model import Advanced, Delivered, Gone, Kind, Later, Refused

ALL = {f"{system.name}.{name}" for system in systems().values() for name in system.actions}
EACH = pytest.mark.parametrize("do", sorted(SCENES))


def test_every_action_is_tried():
    """The 21 of the connectors, and what they need."""
    assert set(SCENES) == ALL


@EACH
def test_an_action_is_done_once(stage, do):
    """From an event to the server that speaks the documented API, which has no complaint."""
    scene, server, actor = stage(do)
    assert actor.send(delivery()) == Delivered()
    assert server.complaints == []
    assert len(server.requests) == 1
    assert scene.effects(server) == scene.once


@EACH
def test_a_repeat_is_the_same_bytes(stage, do):
    """At every attempt: body, boundary, address."""
    _, server, actor = stage(do)
    for attempt in range(2):
        actor.send(delivery(attempts=attempt))
    first, second = server.requests
    assert first._replace(headers=None) == second._replace(headers=None)
    assert first.headers.get("content-type") == second.headers.get("content-type")


FAILURES = {  # what goes wrong, and what comes of it where no rule of the system or repeat class says more
    "401": (instead(401, {"message": "no"}), (Gone, Refused)),
    "403": (instead(403, {"message": "no"}), Refused("status 403", strange=True)),
    "404 of a proxy": (instead(404, b"<html>nothing here</html>"), Refused("status 404", final=True)),
    "409": (instead(409, {"message": "busy"}), Refused("status 409")),
    "422": (instead(422, {"message": "bad"}), Refused("status 422", final=True)),
    "429": (instead(429, {}, ("Retry-After", "7")), Later("status 429", 7.0)),
    "429 without more": (instead(429, {}), Later("status 429", 60.0)),
    "302": (instead(302, {}, ("Location", "http://127.0.0.1:1/")), (Later,)),
}


@EACH
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_has_the_outcome_of_the_rules(stage, do, failure):
    """Each action, each failure: nothing is done, and nothing is taken for done."""
    scene, server, actor = stage(do)
    before = scene.effects(server)
    fault, expected = FAILURES[failure]
    server.faults.append(fault)
    outcome = actor.send(delivery())
    if isinstance(expected, tuple):
        assert isinstance(outcome, expected)
    else:
        assert outcome.reason.startswith(expected.reason)
        assert outcome == type(expected)(outcome.reason, *_fields(expected)[1:])
    assert scene.effects(server) == before
    assert len(server.requests) == 1
    assert not any(secret in repr(outcome) for secret in SECRETS)


def _fields(value):
    return [getattr(value, name) for name in value.__dataclass_fields__]


@pytest.mark.parametrize("status", [200, 422])
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (502, Refused),
        ([604, 200], Refused),
        ("507", Refused),
        (1000, Gone),
        ([103], Gone),
        ("104", Gone),
    ],
)
def test_coupontools_says_200_and_failed(stage, status, code, expected):
    """The body decides; codes are numbers, lists, perhaps texts."""
    errors = {"error_code": code, "error_message": "HTTP/1.0 422", "error_message_description": ["no such campaign"]}
    _, server, actor = stage("coupontools.send_coupon_by_email")
    server.faults.append(instead(status, {"status": {"status": "failed", "errors": errors}}))
    outcome = actor.send(delivery())
    assert isinstance(outcome, expected)
    assert "no such campaign" in outcome.reason
    assert getattr(outcome, "final", True)


def test_bad_credentials_pause_the_sink(stage):
    """Each system's own server refuses them; the reason names none of them."""
    for do in ("coupontools.send_coupon_by_email", "contextual-ai.list_agents", "space-invoices.create_client"):
        system = systems()[do.partition(".")[0]]
        wrong = dict.fromkeys(system.connection, "not-the-secret-at-all")
        _, server, actor = stage(do, values=wrong)
        outcome = actor.send(delivery())
        assert isinstance(outcome, Gone)
        assert "not-the-secret-at-all" not in outcome.reason
        assert len(server.complaints) == 1


def test_an_organization_that_the_token_may_not_see_pauses_nothing(stage):
    """Space Invoices says 401 to that, too."""
    _, _, actor = stage("space-invoices.create_client", {"name": "A", "organization_id": "f" * 24})
    outcome = actor.send(delivery())
    assert outcome == Refused("status 401: Authorization Required", strange=True)


def test_an_error_that_quotes_a_secret_is_masked(stage):
    """Whatever an API says in its answer."""
    _, server, actor = stage("contextual-ai.list_agents")
    server.faults.append(instead(422, {"message": f"bad\nkey {SECRETS[2]}, sorry"}))
    outcome = actor.send(delivery())
    assert outcome.reason == "status 422: bad key ***, sorry"


def test_a_login_page_is_no_success(stage):
    """A proxy that answers 200 with a page of its own."""
    for do, expected in {
        "contextual-ai.list_agents": Later,
        "space-invoices.get_document_pdf": Later,
        "coupontools.send_coupon_by_sms": Refused,
    }.items():
        _, server, actor = stage(do)
        server.faults.append(instead(200, b"<html>log in</html>"))
        outcome = actor.send(delivery())
        assert isinstance(outcome, expected)
        assert "not what it should be" in outcome.reason


@EACH
def test_nobody_there_is_for_later(do):
    """No connection: nothing was sent, so nothing was done, whatever a repeat would do."""
    name = do.partition(".")[0]
    with acting((name, "http://127.0.0.1:1"), definition=steps((do, SCENES[do].given))) as actor:
        outcome = actor.send(delivery())
    assert isinstance(outcome, Later)
    assert not outcome.unknown


@pytest.mark.parametrize("do", sorted(SCENES))
def test_a_stop_before_it_is_sent_leaves_nothing_open(stage, do):
    """It is simply done later."""
    _, server, actor = stage(do)
    actor.sink.close()
    assert actor.send(delivery()) == Later(f"http://127.0.0.1:{server.port}: abandoned, for the process stops")
    assert server.requests == []


def test_what_is_missing_in_a_record_parks_the_delivery(stage):
    """By the name of the input, never silently."""
    _, server, actor = stage("coupontools.send_coupon_by_email", {"campaign": "cam_9", "email": "${data.nothing}"})
    assert actor.send(delivery()) == Refused("email: is missing, or null", final=True, unsent=True)
    assert server.requests == []


def test_an_expression_that_fails_parks_the_delivery(stage):
    """By the expression."""
    _, _, actor = stage("coupontools.send_coupon_by_email", {"campaign": "${lower(data.total)}", "email": "a@b.si"})
    outcome = actor.send(delivery())
    assert outcome.final
    assert "lower(data.total)" in outcome.reason


def test_a_connection_that_is_gone_parks_the_delivery():
    """A delivery may outlive the configuration that it was made under."""
    with acting(definition=steps(("coupontools.send_coupon_by_sms", {}))) as actor:
        words = "there is no connection coupontools any more"
        assert actor.send(delivery()) == Refused(words, final=True, unsent=True)
        assert actor.send(delivery(begun=True)) == Refused(words, final=True, unsent=True, unknown=True)


# Steps


def test_steps_use_what_earlier_ones_gave():
    """A PDF of Space Invoices goes into a datastore: two sends, and what is stored in between is JSON."""
    with SpaceInvoices() as invoices, ContextualAI() as store:
        store.datastores[STORE] = {"id": STORE, "name": "x", "created_at": "2025-01-01T00:00:00Z"}
        definition = steps(
            ("space-invoices.get_document_pdf", {"id": "${data.id}"}),
            (
                "contextual-ai.ingest_document",
                {"datastore_id": STORE, "file": "${steps.s1}", "filename": "si-${data.id}.pdf"},
            ),
        )
        servers = [("space-invoices", invoices.url), ("contextual-ai", store.url)]
        with acting(*servers, definition=definition) as actor:
            first = actor.send(delivery())
            assert isinstance(first, Advanced)
            assert unpack(first.steps) == {"s1": File("2025-00017.pdf", "application/pdf", PDF)}
            json.loads(first.steps)
            assert actor.send(delivery(steps=first.steps)) == Delivered()
        [upload] = store.uploads.values()
    assert (upload.filename, upload.content_type, upload.data) == (
        "si-67a0b35be4f5a60013b7d00c.pdf",
        "application/pdf",
        PDF,
    )
    assert (len(invoices.requests), len(store.requests)) == (1, 1)
    assert store.complaints == []


def test_a_retry_resumes_at_the_step_that_failed():
    """Finished steps are not done again."""
    with ContextualAI() as server:
        definition = steps(
            ("contextual-ai.create_datastore", {"name": "one"}),
            ("contextual-ai.create_agent", {"name": "two", "datastore_ids": ["${steps.s1.id}"]}),
            ("contextual-ai.get_agent_metadata", {"agent_id": "${steps.s2.id}"}),
        )
        with acting(("contextual-ai", server.url), definition=definition) as actor:
            first = actor.send(delivery())
            server.faults.append(instead(429, {}, ("Retry-After", "0")))
            assert isinstance(actor.send(delivery(steps=first.steps)), Later)
            assert actor.run(delivery(steps=first.steps)) == Delivered()
    assert [call.method for call in server.requests] == ["POST", "POST", "POST", "GET"]
    [agent] = server.agents.values()
    assert agent["datastore_ids"] == list(server.datastores)


def test_two_steps_of_one_event_have_two_keys():
    """So that the second session is not taken for the first."""
    from systems.coupontools import Coupontools

    with Coupontools() as server:
        given = {"campaign": "cam_9"}
        definition = steps(*[("coupontools.create_single_use_session", given)] * 2)
        with acting(("coupontools", server.url), definition=definition) as actor:
            assert actor.run(delivery()) == Delivered()
    assert len({session["customid"] for session in server.sessions}) == 2


def test_a_document_is_read_later(stage):
    """Ingestion is asynchronous: its metadata tells how far it is."""
    _, server, actor = stage("contextual-ai.ingest_document")
    actor.send(delivery())
    made = list(server.documents)[-1]
    assert server.uploads[made].data == PAGE.encode()
    assert server.documents[made]["custom_metadata"] == {"number": "2025-00017", "total": 549.0, "paid": False}
    assert server.documents[made]["status"] == "pending"
    server.ingest()
    asked = steps(("contextual-ai.get_document_metadata", {"datastore_id": STORE, "document_id": made}), ("x.y", {}))
    with acting(("contextual-ai", server.url), definition=asked) as reader:
        assert unpack(reader.send(delivery()).steps)["s1"]["status"] == "completed"


def test_decimals_are_sent_as_written(stage):
    """549.10 stays 549.10."""
    _, server, actor = stage(
        "contextual-ai.set_document_metadata",
        {"datastore_id": STORE, "document_id": "doc-1", "custom_metadata": {"total": "${data.total}"}},
    )
    one = delivery()
    actor.send(one._replace(body=one.body.replace(b'"total":450.0,"totalDiscount"', b'"total":450.10,"totalDiscount"')))
    assert server.requests[0].body == b'{"custom_metadata":{"total":450.10}}'


def test_what_it_made_is_stamped(stage):
    """Over what is said of it, so that the poller knows its own."""
    _, server, actor = stage("space-invoices.create_client", {"name": "A", "custom": {"origin": "me", "crmId": "C-1"}})
    actor.send(delivery())
    [client] = server.clients
    assert client["custom"]["crmId"] == "C-1"
    assert client["custom"]["origin"] == "poller"
    assert client["custom"]["sourceId"].startswith(delivery().event_id)


def test_deletions_can_be_acted_on(stage):
    """Of a deleted record there is the last that was known."""
    scene, server, actor = stage("contextual-ai.delete_document")
    assert actor.send(delivery(kind=Kind.DELETED)) == Delivered()
    assert scene.effects(server) == scene.once


# The way there


def test_a_redirect_is_not_followed():
    """The credentials go to no other machine."""
    with Receiver() as other, Receiver(redirect(other.url, 307)) as receiver:
        url = f"http://127.0.0.1:{receiver.port}"
        definition = steps(("coupontools.send_coupon_by_sms", SCENES["coupontools.send_coupon_by_sms"].given))
        with acting(("coupontools", url), definition=definition) as actor:
            assert isinstance(actor.send(delivery()), Later)
    assert other.records == []


def test_a_private_address_is_not_connected_to():
    """The guard is that of webhooks."""
    definition = steps(("coupontools.send_coupon_by_sms", SCENES["coupontools.send_coupon_by_sms"].given))
    with acting(("coupontools", "http://10.1.2.3:1"), definition=definition) as actor:
        outcome = actor.send(delivery())
    assert isinstance(outcome, Later)
    assert "allow_private" in outcome.reason
    metadata = Link(allow_private=True, tls=tls.context())
    with acting(("coupontools", "http://169.254.169.254:1"), definition=definition, link=metadata) as actor:
        assert "never connected to" in actor.send(delivery()).reason


def test_a_large_file_passes_and_a_larger_one_is_refused(monkeypatch):
    """Asking again would give the same."""
    from poller.actions import clients

    monkeypatch.setattr(clients, "ANSWER_BYTES", 1000)
    pdf = [("Content-Type", "application/pdf")]
    with Receiver(answer(headers=pdf, body=b"x" * 1000), answer(headers=pdf, body=b"x" * 1001)) as receiver:
        definition = steps(("space-invoices.get_document_pdf", {"id": "1"}))
        with acting(("space-invoices", f"http://127.0.0.1:{receiver.port}"), definition=definition) as actor:
            assert actor.send(delivery()) == Delivered()
            outcome = actor.send(delivery())
    assert outcome.final
    assert "larger than 1000 bytes" in outcome.reason


@pytest.mark.parametrize(
    ("do", "connections"), [("contextual-ai.list_agents", [1, 1]), ("coupontools.send_coupon_by_sms", [1, 2])]
)
def test_connections_are_kept_but_for_what_must_not_be_done_twice(do, connections):
    """A kept connection's end would leave it open whether the request arrived."""
    with Receiver(always=answer(headers=[("Content-Type", "application/json")], body=b"{}")) as receiver:
        url, definition = f"http://127.0.0.1:{receiver.port}", steps((do, SCENES[do].given))
        with acting((do.partition(".")[0], url), definition=definition) as actor:
            for _ in range(2):
                assert actor.send(delivery()) == Delivered()
    assert [record.connection for record in receiver.records] == connections


def test_a_kept_connection_that_ended_is_replaced_at_once():
    """For what may be repeated."""
    json_answer = answer(headers=[("Content-Type", "application/json")], body=b"{}")
    with Receiver(json_answer, close(), always=json_answer) as receiver:
        url, definition = f"http://127.0.0.1:{receiver.port}", steps(("contextual-ai.list_agents", {}))
        with acting(("contextual-ai", url), definition=definition) as actor:
            for _ in range(2):
                assert actor.send(delivery()) == Delivered()
    assert [record.connection for record in receiver.records] == [1, 1, 2]


def test_a_pause_that_was_asked_for_is_for_all_who_use_the_connection(stage):
    """Not only for the sink that was told."""
    _, server, actor = stage("contextual-ai.list_agents")
    server.faults.append(instead(429, {}, ("Retry-After", "3000")))
    actor.send(delivery())
    outcome = actor.send(delivery())
    assert isinstance(outcome, Later)
    assert 2900 < outcome.after_s <= 3000
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [timeout, reset], ids=lambda fault: fault.__name__)
def test_one_deadline_and_every_end_is_told_without_paths(stage, fault):
    """Reasons name the host, never a path or a header."""
    _, server, actor = stage("contextual-ai.list_agents")
    server.faults.append(fault())
    outcome = actor.hurry(delivery())
    assert outcome.reason.startswith(f"http://127.0.0.1:{server.port}: ")
    assert "agents" not in outcome.reason


def test_a_connection_does_not_print_its_secrets():
    """Nor does what is made of it."""
    made = connection(systems()["coupontools"], "http://127.0.0.1:1")
    assert not any(secret in repr(made) for secret in SECRETS)
