"""What the routes make of one event: the reasons, the messages, the requests, and how they are shown."""

import json
import re

import msgspec
import pytest

from poller import explanation
from poller.config import load
from poller.connections import veiled_connections
from poller.explain import Making, event_in, explain
from poller.expression import read
from poller.model import CLOUDEVENT, Advanced, Delivered, Gone, Kind, Later, Refused
from poller.notices import NOTICES
from poller.plan import Gate
from poller.route import anew, scope_of, targets
from poller.samples import example, sample
from poller.sources.spaceinvoices import RESOURCES
from poller.triggers import TRIGGERS

TABLES = """
[sinks.crm]
kind = "stdout"
[sinks.audit]
kind = "stdout"
[connections.coupontools]
client_id = { env = "NOWHERE_ID" }
client_secret = { env = "NOWHERE_SECRET" }
[connections.contextual-ai]
api_key = { env = "NOWHERE_KEY" }
"""
ROUTES = """
[[route]]
name = "big"
on = ["document.created"]
when = "data.totalWithTax > `500`"
to = ["crm"]
body = { id = "${data.id}", total = "${data.totalWithTax}" }
delay = "2d"
rate = "30/m"
flood = { max = 100, per = "1m" }

[[route]]
name = "cases"
on = ["document.*"]
[[route.case]]
when = "data.totalWithTax > `1000`"
to = ["crm"]
[[route.case]]
when = "event.kind == 'created'"
do = "Create a Single Use Session"
with = { campaign = "cam_9", email = "${data._documentClient.email}" }

[[route]]
name = "chain"
on = ["document.created"]
[[route.step]]
id = "pdf"
do = "Get Document PDF"
with = { id = "${data.id}" }
[[route.step]]
do = "Ingest Document"
with = { datastore_id = "0f1e", file = "${steps.pdf}", filename = "si-${data.id}.pdf", configuration = "${data.no}" }

[[route]]
name = "clients"
on = ["client.*"]
to = ["audit"]

[[route]]
name = "wrong"
on = ["document.*"]
when = "lower(data.totalWithTax) == 'x'"
to = ["crm"]

[[route]]
name = "never"
on = ["*.created"]
when = "data.id == 'x'"
to = ["crm"]

[[route]]
name = "all"
on = ["*"]
to = ["crm", "audit"]

[[route]]
name = "part"
on = ["document.created"]
to = ["crm"]
fields = ["number"]

[[route]]
name = "broken"
on = ["document.created"]
to = ["crm"]
body = "${lower(data.totalWithTax)}"

[[route]]
name = "missing"
on = ["document.created"]
do = "Send Coupon by Email"
with = { campaign = "cam_9", email = "${data.nothing}" }

[[route]]
name = "maker"
on = ["item.*"]
do = "Create Client"
with = { name = "${data.name}" }
"""


def event(trigger, **record):
    row, kind = RESOURCES[TRIGGERS[trigger]], Kind(trigger.rpartition(".")[2])
    body = sample("spaceinvoices", row, kind).body
    if not record:
        return body
    told = json.loads(body)
    told["data"]["object"] |= record
    return json.dumps(told).encode()


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("explain") / "config.toml"
    path.write_text(TABLES + ROUTES)
    return load(path)


@pytest.fixture(scope="module")
def making(config):
    """Without the variables that the secrets are kept in: none is read."""
    ways = veiled_connections(config.connections, config.known_systems(), config.own_connection())
    return Making(config.ways().shapes, ways, "poller")


@pytest.fixture
def verdicts(config, making):
    """What each route makes of an event, by its name."""
    return lambda body: {verdict.route: verdict for verdict in explain(config.plan(), making, body)}


# Which routes take it


@pytest.mark.parametrize(
    ("trigger", "record", "name", "why"),
    [
        ("client.created", {}, "big", "it is not on client.created"),
        ("document.created", {"totalWithTax": 5}, "big", "its when does not hold"),
        ("document.updated", {}, "cases", "none of its cases holds"),
        ("client.created", {}, "never", "its when does not hold"),
        (
            "item.created",
            {"custom": {"origin": "poller"}},
            "all",
            'poller made the record itself, by its custom.origin, and own is "skip"',
        ),
    ],
)
def test_why_not(verdicts, trigger, record, name, why):
    """In words."""
    verdict = verdicts(event(trigger, **record))[name]
    assert (verdict.why, verdict.taken, verdict.makes, verdict.sendings) == (why, False, False, ())


def test_what_cannot_be_told_is_neither(verdicts):
    """With the expression and the reason."""
    verdict = verdicts(event("document.created"))["wrong"]
    assert verdict.error == "lower(data.totalWithTax) == 'x': lower() takes a string, not a number"
    assert (verdict.taken, verdict.why) == (False, "")


def test_which_case(verdicts):
    """The first that holds, counted from one; a route without cases has none."""
    assert verdicts(event("document.created"))["cases"].case == 2
    assert verdicts(event("document.created", totalWithTax=1001))["cases"].case == 1
    assert verdicts(event("document.created"))["all"].case == 0


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_it_says_what_is_done(config, verdicts, trigger):
    """The sends that it names are those that the poller enters, in the same order."""
    body = event(trigger)
    told = [
        (sending.to, name, sending.delay_s, sending.gate)
        for name, verdict in verdicts(body).items()
        for sending in verdict.sendings
        if not sending.by
    ]
    done = targets(config.plan(), trigger, lambda: scope_of(body))
    assert [(to, delay_s, gate) for to, _, delay_s, gate in told] == [
        (target.sink, target.delay_s, target.gate) for target in done if not target.error
    ]
    errors = {verdict.route for verdict in verdicts(body).values() if verdict.error}
    assert errors == {target.route for target in done if target.error}


def test_without_routes_every_sink_gets_it(tmp_path, making):
    """As it is."""
    (tmp_path / "config.toml").write_text(TABLES)
    body = event("client.created")
    [verdict] = explain(load(tmp_path / "config.toml").plan(), making, body)
    assert verdict.taken
    assert [(sending.to, sending.message.body) for sending in verdict.sendings] == [("crm", body), ("audit", body)]
    assert explanation.text([verdict]).startswith("There are no routes: every event goes to every sink.\n  to crm\n")


# What they send


def test_a_message_and_when_it_goes(verdicts):
    """A body of the route's own, under an id of its own."""
    [sending] = verdicts(event("document.created"))["big"].sendings
    assert (sending.to, sending.delay_s, sending.gate) == ("crm", 172_800.0, Gate(2.0, 100, 60.0))
    assert sending.message.body == b'{"id":"67a0b35be4f5a60013b7d00c","total":549.0}'
    assert sending.message.content_type == "application/json"
    assert sending.message.event_id.endswith("_big")
    assert not sending.itself


def test_the_event_itself(verdicts):
    """Byte for byte; and who has it already gets it once."""
    body = event("document.created")
    found = verdicts(body)
    crm, audit = found["all"].sendings
    assert (crm.message.body, crm.message.content_type, crm.by) == (body, CLOUDEVENT, "")
    assert audit.itself
    [part] = found["part"].sendings
    assert (part.by, part.itself) == ("all", True)


def test_a_request_without_secrets(verdicts):
    """Method, address, headers and body, as they would be sent."""
    [sending] = verdicts(event("document.created"))["cases"].sendings
    [doing] = sending.steps
    assert (doing.do, doing.connection) == ("coupontools.create_single_use_session", "coupontools")
    assert doing.inputs == {"campaign": "cam_9", "email": "billing@orbit-logistics.example"}
    request = doing.request
    assert (request.method, request.url) == ("POST", "https://api.coupontools.com/v3/singleuse/create")
    assert (request.headers["X-Client-Id"], request.headers["X-Client-Secret"], request.secrets) == ("***", "***", ())
    assert json.loads(request.body)["campaign"] == "cam_9"


def test_a_step_that_needs_earlier_ones_is_shown_as_it_was_written(verdicts):
    """Its other inputs are filled in; what is null is left out."""
    [sending] = verdicts(event("document.created"))["chain"].sendings
    pdf, ingest = sending.steps
    assert pdf.request.url.endswith("/Documents/67a0b35be4f5a60013b7d00c/pdf")
    assert (ingest.request, ingest.waiting, ingest.error) == (None, ("file",), "")
    assert ingest.inputs == {
        "datastore_id": "0f1e",
        "file": "${steps.pdf}",
        "filename": "si-67a0b35be4f5a60013b7d00c.pdf",
    }


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("broken", "lower(data.totalWithTax): lower() takes a string, not a number"),
        ("missing", "email: is missing, or null"),
    ],
)
def test_what_cannot_be_made(verdicts, name, error):
    """The route takes it, but it would be parked."""
    verdict = verdicts(event("document.created"))[name]
    [sending] = verdict.sendings
    assert error in (sending.error, *(doing.error for doing in sending.steps))
    assert (verdict.taken, verdict.makes) == (True, False)


# Events in files


def test_an_event_in_a_file_may_be_set_on_many_lines():
    """It is taken on one, with its digits."""
    body = event("document.created")
    spread = json.dumps(json.loads(body), indent=2).encode()
    assert b"\n" not in event_in(spread)
    assert json.loads(event_in(spread)) == json.loads(body)
    assert b'"total":10.10' in event_in(body.replace(b'"total":450.0', b'"total":10.10', 1))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is not readable as JSON"),
        (b"{", "not readable as JSON"),
        (b"[]", "is not an event such as poller sample prints"),
        (b"{}", "is not an event such as poller sample prints: 'subject' is missing"),
        (event("client.created").replace(b'"subject":"clients/', b'"subject":"'), "is not an event"),
        (event("client.created").replace(b'"data":{', b'"other":{'), "'data' is missing"),
        (re.sub(rb'"object":.*', b'"object":5}}', event("client.created")), "data.object is no record"),
        (event("client.created").replace(b'"recordedtime"', b'"then"'), "'recordedtime' is missing"),
    ],
)
def test_what_is_no_event_is_said_so(raw, words):
    """And what is missing."""
    with pytest.raises(ValueError, match=re.escape(words)):
        event_in(raw)


# How it is shown


def test_the_text(config, making):
    """One route after the other, for people."""
    text = explanation.text(explain(config.plan(), making, event("document.created")))
    lines = text.splitlines()
    for line in (
        "big: yes",
        "  to crm, 2d later, one every 2s, held above 100 in 1m",
        "cases: yes, case 2",
        "      X-Client-Secret: ***",
        "      waits for earlier steps: file",
        '      file = "${steps.pdf}"',
        "clients: no, it is not on document.created",
        "  to crm: has it by route all already",
        "    the same as above",
        "    CANNOT BE MADE, so it would be parked: lower(data.totalWithTax): lower() takes a string, not a number",
        "      CANNOT BE MADE, so it would be parked: email: is missing, or null",
    ):
        assert line in lines, text
    assert any(line.startswith("wrong: CANNOT BE TOLD, so it would be parked: lower(") for line in lines)


def test_the_json(config, making):
    """The same for programs, with the event and all bodies as they are."""
    body = event("document.created").replace(b'"totalWithTax":549.0', b'"totalWithTax":549.10')
    raw = msgspec.json.encode(explanation.plain(body, explain(config.plan(), making, body)))
    assert b'"body":{"id":"67a0b35be4f5a60013b7d00c","total":549.10}' in raw
    found = json.loads(raw)
    assert found["event"]["id"].startswith("evt_")
    routes = {row["route"]: row for row in found["routes"]}
    assert list(routes) == [route.name for route in config.plan().routes]
    big, cases, chain = routes["big"], routes["cases"], routes["chain"]
    assert (big["taken"], big["case"], big["sends"][0]["to"]) == (True, None, "crm")
    assert (big["sends"][0]["delay_s"], big["sends"][0]["pace_s"]) == (172_800, 2)
    assert big["sends"][0]["flood"] == {"max": 100, "per_s": 60}
    assert cases["case"] == 2
    assert cases["sends"][0]["steps"][0]["request"]["body"]["campaign"] == "cam_9"
    assert chain["sends"][0]["steps"][1]["waits_for_steps"] == ["file"]
    assert chain["sends"][0]["steps"][1]["with"]["file"] == "${steps.pdf}"
    assert routes["wrong"]["error"]
    assert routes["clients"]["why"]


def test_what_a_record_says_does_not_drive_a_terminal(tmp_path, making):
    """An input in a form, say, where nothing else escapes it."""
    do = 'do = "Ingest Document"\nwith = { datastore_id = "d", file = "${data.note}", filename = "a.html" }'
    (tmp_path / "config.toml").write_text(f'{TABLES}[[route]]\non = ["*"]\n{do}')
    plan, shapes = load(tmp_path / "config.toml").plan(), load(tmp_path / "config.toml").ways().shapes
    verdicts = explain(plan, making._replace(shapes=shapes), event("document.created", note="a\x1b[2Jb\r\nc"))
    text = explanation.text(verdicts)
    assert "\x1b" not in text
    assert r"a\x1b[2Jb\r" in text


def test_bytes_that_are_no_text_are_told_by_their_number():
    """Of a multipart body with a PDF in it."""
    assert explanation._text(b"\xff" * 1234) == "(1,234 bytes that are no text)"


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (("crm", "", Delivered()), "crm: delivered"),
        (("route-1", "pdf", Advanced(b"{}")), "pdf: done"),
        (("route-1", "pdf", Delivered()), "pdf: done"),
        (("crm", "", Later("status 503")), "crm: NOT NOW: status 503"),
        (("crm", "", Refused("status 400")), "crm: REFUSED: status 400"),
        (("route-1", "pdf", Gone("bad\x1bkey")), r"pdf: NO MORE: bad\x1bkey"),
    ],
)
def test_how_a_send_ended(ended, line):
    """By the sink or the step."""
    assert explanation.outcome(*ended) == line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "0.5s"), (60, "1m"), (5400, "1h30m"), (172_800, "2d"), (90_061.25, "1d1h1m1.25s")],
)
def test_spans_are_written_as_in_a_configuration(seconds, text):
    """By their units."""
    assert explanation.span(seconds) == text


def test_the_example_of_each_trigger_is_an_event():
    """All thirty, and those of price lists."""
    assert len(TRIGGERS) == 33
    for trigger in TRIGGERS:
        assert scope_of(event_in(event(trigger)))["event"]["trigger"] == trigger


def test_no_secret_is_read(config, monkeypatch):
    """Not even whether it is there is looked at."""
    monkeypatch.delenv("NOWHERE_KEY", raising=False)
    ways = veiled_connections(config.connections, config.known_systems(), config.own_connection())
    assert {way.values.get("api_key") for way in ways.values()} == {None, "***"}


@pytest.mark.parametrize(
    ("routes", "line"),
    [
        ("", "without routes: no, what poller tells of itself goes only where a route names it"),
        ('name = "it"\non = ["*"]\nto = ["crm"]', "it: no, it is not on poller.sink.failing"),
        (
            'name = "it"\non = ["poller.*"]\nto = ["crm"]',
            "it: no, it is about crm itself, and would wait there behind what it tells",
        ),
    ],
)
def test_where_an_operator_event_does_not_go(tmp_path, routes, line):
    """And why."""
    (tmp_path / "config.toml").write_text(TABLES + (f"[[route]]\n{routes}\n" if routes else ""))
    plan = load(tmp_path / "config.toml").plan()
    body = example("spaceinvoices", "poller.sink.failing").body
    assert explanation.text(explain(plan, Making({}, {}, ""), body)) == line


@pytest.mark.parametrize("trigger", NOTICES)
def test_an_operator_event_goes_where_it_is_told_to_go(tmp_path, trigger):
    """As it is, and the same by both ways."""
    (tmp_path / "config.toml").write_text(TABLES + '[[route]]\non = ["poller.*"]\nto = ["crm", "audit"]\n')
    plan = load(tmp_path / "config.toml").plan()
    body = example("spaceinvoices", trigger).body
    [verdict] = explain(plan, Making({}, {}, ""), event_in(body))
    wanted = ["audit"] if NOTICES[trigger].about == "sinks" else ["crm", "audit"]
    assert [sending.to for sending in verdict.sendings] == wanted
    assert [target.sink for target in anew(plan, "route-1", body)] == wanted
    assert read(verdict.sendings[0].message.body) == read(body)
