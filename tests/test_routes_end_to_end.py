"""Routes over the real loop: a change in the account, and where it goes, when, and as what."""

import json

import pytest
from process import file, lines, webhook
from receiver import Receiver
from systems.scenes import DOC, SCENES, STORE
from systems.world import route, table

from poller.config import ConfigError

INVOICE = "document.created"
MAIL = {"campaign": "cam_9", "email": "${data.email}"}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "events.jsonl"


@pytest.fixture
def start(world, out):
    """Configure these routes, and two files to send to, and let the first sight pass."""

    def start(routes, *resources, **source):
        configure(routes, *resources, **source)
        assert world.round().well

    def configure(routes, *resources, **source):
        sinks = file("crm", out) + file("rest", out.with_name("rest.jsonl"))
        world.configure(sinks + routes, *(resources or ("documents",)), **source)

    start.again = configure
    return start


def told(path):
    """What came: the numbers of documents and the names of all else."""
    return [event["data"]["object"].get("number", event["data"]["object"].get("name")) for event in lines(path)]


# Conditions and cases


def test_only_what_the_condition_holds_of_goes_on(world, start, out):
    """The others make no delivery at all."""
    start(
        route(INVOICE, to=["crm"], when="data.totalWithTax > `1000` && data._documentClient.countryAlpha2Code == 'SI'")
    )
    world.create("documents", {"number": "1", "totalWithTax": 1000})
    world.create("documents", {"number": "2", "totalWithTax": 1000.5})
    world.create("documents", {"number": "3", "totalWithTax": 2000, "_documentClient": {"countryAlpha2Code": "AT"}})
    world.create("documents", {"number": "4", "totalWithTax": None})
    assert world.round().well
    assert told(out) == ["2"]
    assert world.states() == ["delivered"]


def test_the_first_case_that_holds_is_taken(world, start, out):
    """A payment that reaches 500 makes a session, once; what is below goes to a sink, and drafts nowhere."""
    cases = table(
        "route.case",
        when="data.amount >= `500` && default(previous.amount, `0`) < `500`",
        do="coupontools.create_single_use_session",
        with_={"campaign": "cam_9", "customid": "${event.id}"},
    ) + table("route.case", to=["crm"])
    start(route(["payment.created", "payment.updated"], when="data.type != 'draft'") + cases, "payments")
    small = world.create("payments", {"amount": 499.99, "name": "small"})
    large = world.create("payments", {"amount": 500, "name": "large"})
    world.create("payments", {"amount": 900, "name": "draft", "type": "draft"})
    world.round()
    assert (told(out), len(world.coupontools.sessions)) == (["small"], 1)
    world.account.update(world.org, "payments", small, {"amount": 600})
    world.account.update(world.org, "payments", large, {"amount": 700})
    world.round()
    assert (told(out), len(world.coupontools.sessions)) == (["small", "large"], 2)
    event = lines(out)[1]
    assert (event["type"].rpartition(".")[2], event["data"]["previous"]["amount"]) == ("updated", 500)


def test_names_of_connectors_are_names(world, start):
    """Of triggers and of actions."""
    start(route("New Client", "Send Coupon by Email", MAIL), "clients")
    world.create("clients")
    assert world.round().well
    assert world.coupontools.mails == [("cam_9", "billing@orbit-logistics.example")]


def test_several_routes_take_one_event(world, start, out):
    """To sinks, once each, and to actions."""
    routes = (
        route("client.*", to=["crm"])
        + route("*.created", to=["crm", "rest"])
        + route("client.created", "Send Coupon by Email", MAIL)
    )
    start(routes, "clients")
    world.create("clients", {"name": "One"})
    assert world.round().well
    assert told(out) == told(out.with_name("rest.jsonl")) == ["One"]
    assert len(world.coupontools.mails) == 1


def test_a_condition_that_cannot_be_told_parks_and_goes_on_once_it_is_mended(world, start, out):
    """Never silently false; the operator sees which and why, and the mended route decides."""
    start(route(INVOICE, to=["crm"], name="big", when="lower(data.custom.channel) == 'web'"))
    web = world.create("documents", {"number": "web", "custom": {"channel": "WEB"}})
    world.create("documents", {"number": "none", "custom": {}})
    world.create("documents", {"number": "fax", "custom": {"channel": 5}})
    world.round()
    assert told(out) == ["web"]
    assert world.account.get("documents", web) is not None
    parked = json.loads(world.command("dead", "list", "--json").stdout)
    assert [(row["sink"], row["route"]) for row in parked] == [("", "big"), ("", "big")]
    assert all("lower(data.custom.channel)" in row["error"] for row in parked)
    assert "big" in world.command("status").stdout
    world.command("retry")
    world.round()
    assert world.states("state, sink") == [("delivered", "crm"), ("parked", ""), ("parked", "")]
    start.again(
        route(INVOICE, to=["crm"], name="big", when="to_string(data.custom.channel) != 'WEB' && data.custom.channel")
    )
    assert world.command("retry").stdout == "1 deliveries will be sent again\n"
    assert world.round().well
    assert told(out) == ["web", "fax"]
    assert world.states() == ["delivered", "delivered"]


def test_a_body_that_cannot_be_made_parks_and_is_made_by_the_mended_one(world, start, out):
    """The event is as it was then."""
    start(route(INVOICE, to=["crm"], name="big", body={"name": "${upper(data.custom.shop)}"}))
    world.create("documents", {"custom": {"city": "Maribor"}})
    world.round()
    [(state, error)] = world.states("state, error")
    assert (state, "upper(data.custom.shop)" in error) == ("parked", True)
    start.again(route(INVOICE, to=["crm"], name="big", body={"name": "${upper(data.custom.city)}"}))
    world.command("retry")
    assert world.round().well
    assert lines(out) == [{"name": "MARIBOR"}]


# What is sent


def test_a_body_of_the_route_s_own(world, start):
    """JSON under a name of its own, signed; numbers as written, null drops its key."""
    body = {
        "kind": "big-invoice",
        "id": "${data.id}",
        "note": "Invoice ${data.number}: ${data.totalWithTax}",
        "vip": "${data.custom.vip}",
        "total": "${data.totalWithTax}",
        "price": "$${5}",
    }
    with Receiver() as receiver:
        start(webhook("hook", receiver.url) + route(INVOICE, to=["hook"], name="big", body=body))
        document = world.create("documents", {"number": "7"})
        assert world.round().well
    [record] = receiver.records
    [(event_id,)] = world.site.query("SELECT id FROM event")
    assert (
        record.body.decode()
        == f'{{"kind":"big-invoice","id":"{document}","note":"Invoice 7: 549.0","total":549.0,"price":"${{5}}"}}'
    )
    assert record.headers["content-type"] == "application/json"
    assert record.id == f"{event_id}_big"


def test_a_body_goes_alone_where_events_go_together(world, start):
    """Its sink may have got its batches after it was made: those are of CloudEvents, and it is none."""
    with Receiver() as receiver:
        hook = webhook("hook", receiver.url)
        start(hook + route(INVOICE, to=["hook"], name="own", body={"id": "${data.id}"}, delay="1h"))
        documents = {world.create("documents") for _ in range(3)}
        world.round()
        start.again(f"{hook}batch = {{ max = 10 }}\n" + route(INVOICE, to=["hook"], name="own", delay="1h"))
        events = {world.create("documents") for _ in range(3)}
        world.round()
        world.pass_s(3601)
        assert world.round().well
    kinds = [record.headers["content-type"].partition(";")[0] for record in receiver.records]
    assert sorted(kinds) == ["application/cloudevents-batch+json"] + ["application/json"] * 3
    [batch] = [json.loads(record.body) for record in receiver.records if record.body.startswith(b"[")]
    alone = [json.loads(record.body) for record in receiver.records if record.body.startswith(b"{")]
    assert {event["data"]["object"]["id"] for event in batch} == events
    assert {body["id"] for body in alone} == documents


def test_fields_and_drop_leave_out(world, start, out):
    """What is not wanted, in what changed and what was before, too."""
    routes = route("client.*", to=["crm"], fields=["name", "custom"], drop=["custom.secret"]) + route(
        "client.*", to=["rest"], drop=["IBAN", "email"]
    )
    start(routes, "clients")
    client = world.create("clients", {"custom": {"secret": "s", "crmId": "C-1"}})
    world.round()
    world.account.update(
        world.org,
        "clients",
        client,
        {"name": "New", "email": "new@example.com", "custom": {"secret": "t", "crmId": "C-1"}},
    )
    assert world.round().well
    created, updated = lines(out)
    assert created["data"] == {"object": {"id": client, "name": "Orbit Logistics d.o.o.", "custom": {"crmId": "C-1"}}}
    assert updated["data"]["changed"] == ["name"]
    assert updated["data"]["previous"] == {"name": "Orbit Logistics d.o.o."}
    everything = json.dumps(lines(out.with_name("rest.jsonl")))
    assert "Dunajska" in everything
    assert not any(word in everything for word in ("IBAN", "@"))


# When


def test_a_delay_is_kept_over_a_restart_and_an_edit(world, start, out):
    """It is sent when it is due, by the definition that it was made under."""
    start(route(INVOICE, to=["crm"], name="later", delay="2d", body={"said": "before"}))
    world.create("documents")
    assert world.round().well  # what is put off is no trouble
    [(recorded_ms, due_ms)] = world.site.query("SELECT recorded_ms, due_ms FROM event JOIN delivery USING (sequence)")
    assert due_ms - recorded_ms == 2 * 86_400_000
    start.again(route(INVOICE, to=["crm"], name="later", delay="1h", body={"said": "after"}))
    world.pass_s(47 * 3600)
    world.create("documents")
    world.round()
    assert world.command("resume", "crm").exit_code == 0
    world.round()
    assert lines(out) == []
    world.pass_s(3601)
    assert world.round().well
    assert sorted(line["said"] for line in lines(out)) == ["after", "before"]
    assert world.command("verify").exit_code == 0


def test_an_action_that_is_delayed_is_done_by_its_first_definition(world, start):
    """Also when that one is no longer in the configuration."""
    start(route("client.created", "Send Coupon by Email", MAIL, name="mail", delay="30d"), "clients")
    world.create("clients")
    world.round()
    start.again(route("client.created", "Create Subaccount", {"email": "${data.email}"}, name="mail"), "clients")
    world.pass_s(30 * 86_400 + 1)
    assert world.round().well
    assert (len(world.coupontools.mails), len(world.coupontools.subaccounts)) == (1, 0)


def test_a_daemon_that_is_killed_sends_what_is_delayed_when_it_is_due(world, start, out):
    """By its first definition, after a restart."""
    start(route(INVOICE, to=["crm"], name="later", delay="6s", body={"said": "before"}))
    with world.site.start() as poller:
        poller.up()
        world.create("documents")
        poller.until(lambda: world.states() == ["pending"])
        poller.kill()
    [due_ms] = world.states("due_ms")
    assert lines(out) == []
    start.again(route(INVOICE, to=["crm"], name="later", body={"said": "after"}))
    with world.site.start() as poller:
        poller.until(lambda: world.states() == ["delivered"])
    assert lines(out) == [{"said": "before"}]
    [(settled_ms,)] = world.site.query("SELECT settled_ms FROM delivery")
    assert settled_ms >= due_ms


def test_a_rate_spreads_what_comes_at_once(world, start, out):
    """One a minute, whoever is impatient."""
    start(route(INVOICE, to=["crm"], rate="1/m"))
    for _ in range(3):
        world.create("documents")
    world.round()
    for sent in (1, 2, 3):
        assert len(lines(out)) == sent
        world.command("resume", "crm")
        world.pass_s(61)
        world.round()


@pytest.mark.parametrize(("word", "sent"), [("approve", 5), ("reject", 2)])
def test_a_flood_is_held_for_the_operator(world, start, word, sent):
    """Who sends it or forgets it; afterwards the route goes on."""
    start(route("client.created", "Send Coupon by Email", MAIL, name="mail", flood={"max": 2, "per": "1m"}), "clients")
    for number in range(5):
        world.create("clients", {"email": f"c{number}@example.com"})
    world.round()
    assert len(world.coupontools.mails) == 2
    assert "HELD: 3 deliveries of route mail" in world.command("status").stdout
    world.round()
    assert world.command(word, "mail").exit_code == 0
    world.round()
    assert len(world.coupontools.mails) == sent
    assert world.command(word, "mail").exit_code == 1
    world.pass_s(61)
    world.create("clients", {"email": "next@example.com"})
    assert world.round().well
    assert len(world.coupontools.mails) == sent + 1


# First sights, and what cannot be undone


def test_a_route_may_take_the_first_sight(world, start, out):
    """The others do not, and the next change goes to all."""
    world.create("documents", {"number": "old"})
    start(route(INVOICE, to=["crm"], first_sync="emit") + route(INVOICE, to=["rest"]))
    world.create("documents", {"number": "new"})
    assert world.round().well
    assert (told(out), told(out.with_name("rest.jsonl"))) == (["old", "new"], ["new"])


def test_a_route_may_leave_the_first_sight_out(world, start, out):
    """Where the source tells it."""
    world.create("documents", {"number": "old"})
    start(route(INVOICE, to=["crm"], first_sync="silent") + route(INVOICE, to=["rest"]), first_sync="emit")
    assert (told(out), told(out.with_name("rest.jsonl"))) == ([], ["old"])


def destroying(**keys):
    given = {"datastore_id": STORE, "document_id": "${data.custom.doc}"}
    return route(INVOICE, "contextual-ai.delete_document", given, name="tidy", allow_destructive=True, **keys)


@pytest.mark.parametrize("when", [{}, {"when": "lower(data.custom.doc) == 'doc-1'"}])
def test_nothing_is_destroyed_at_a_first_sight(world, start, when):
    """Whatever the route and the source say; nor later, for what could not be decided then."""
    SCENES["contextual-ai.delete_document"].ready(world.contextual)
    world.create("documents", {"custom": {"doc": DOC}})
    world.create("documents", {"custom": {"doc": None}})
    start(destroying(first_sync="emit", **when), first_sync="emit")
    assert (world.contextual.requests, world.states()) == ([], [])
    world.create("documents", {"custom": {"doc": DOC}})
    assert world.round().well
    assert list(world.contextual.documents) == ["doc-2"]


def test_a_replay_destroys_only_where_that_is_said(world, start, out):
    """It sends the rest."""
    SCENES["contextual-ai.delete_document"].ready(world.contextual)
    start(destroying() + route(INVOICE, to=["crm"]))
    world.create("documents", {"custom": {"doc": DOC}})
    world.round()
    assert world.command("replay").stdout == "1 deliveries will be sent again\n"
    world.round()
    assert (len(lines(out)), len(world.contextual.requests)) == (2, 1)
    assert world.command("replay", "--destructive").stdout == "2 deliveries will be sent again\n"
    world.round()
    assert (len(lines(out)), len(world.contextual.requests)) == (3, 2)


# Loops


NEW_CLIENT = {"name": "${data._billingAddress.name}", "email": "${data._billingAddress.email}"}


@pytest.mark.parametrize(("own", "names"), [("skip", ["By hand"]), ("include", ["Eva Kos", "By hand"])])
def test_what_an_action_made_is_known_as_own(world, start, out, own, names):
    """It is stamped, and its events are skipped unless they are asked for."""
    routes = route("order.created", "Create Client", NEW_CLIENT, name="add") + route("client.*", to=["crm"], own=own)
    start(routes, "orders", "clients")
    world.create("orders")
    world.round()
    [client] = world.account.live(world.org, "clients").values()
    assert client["custom"]["origin"] == "poller"
    world.create("clients", {"name": "By hand"})
    assert world.round().well
    assert told(out) == names


def test_a_route_that_writes_what_it_is_on_does_not_go_round(world, start):
    """With the guard that is asked for when the configuration is read; once for each record of others."""
    looping = {"name": "Branch of ${data.name}"}
    with pytest.raises(ConfigError) as caught:
        start(route("client.created", "Create Client", looping), "clients")
    words = str(caught.value)
    assert "it would go round for ever" in words
    assert "!data.custom.origin" in words
    start(route("client.created", "Create Client", looping, when="!data.custom.origin", own="include"), "clients")
    world.create("clients", {"name": "One"})
    for _ in range(4):
        assert world.round().well
    names = sorted(client["name"] for client in world.account.live(world.org, "clients").values())
    assert names == ["Branch of One", "One"]


def test_two_pollers_may_guard_against_each_other(world, start, out):
    """Another one's origin is not one's own."""
    start(
        route("client.*", to=["crm"]) + route("order.created", "Create Client", NEW_CLIENT),
        "clients",
        "orders",
        origin="billing",
    )
    world.create("clients", {"name": "Other", "custom": {"origin": "poller"}})
    world.create("clients", {"name": "Own", "custom": {"origin": "billing"}})
    assert world.round().well
    assert told(out) == ["Other"]
