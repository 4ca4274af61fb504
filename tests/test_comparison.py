"""Tests of the configuration: what they may say, and what they find different."""

import json

import pytest

from poller.comparison import differences, event_of
from poller.config import ConfigError, load
from poller.connections import veiled_connections
from poller.explain import Making, explain
from poller.model import Kind
from poller.samples import sample
from poller.sources.spaceinvoices import RESOURCES

TABLES = """
[sinks.crm]
kind = "stdout"
[sinks.audit]
kind = "stdout"
[connections.coupontools]
client_id = { env = "ID" }
client_secret = { env = "SECRET" }
[[route]]
name = "big"
on = ["document.created"]
when = "data.totalWithTax > `500`"
to = ["crm"]
body = { id = "${data.id}", total = "${data.totalWithTax}", lines = "${data._documentItems[].price}" }
[[route]]
name = "all"
on = ["document.*"]
to = ["audit"]
[[route]]
name = "paid"
on = ["payment.updated"]
when = "data.amount >= `500` && default(previous.amount, `0`) < `500`"
[[route.step]]
id = "session"
do = "Create a Single Use Session"
with = { campaign = "cam_9", firstname = "${data.note}", expiry_date = "${data.no}" }
[[route.step]]
do = "Send Coupon by SMS"
with = { campaign = "cam_9", phone = "+38640111222", body = "${steps.session.single_use_url}" }
[[route]]
name = "wrong"
on = ["item.*"]
when = "lower(data.price) == 'x'"
to = ["crm"]
[[route]]
name = "broken"
on = ["unit.*"]
to = ["crm"]
body = "${lower(data.no)}"
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "config.toml").write_text(f"{TABLES}{text}")
        return load(tmp_path / "config.toml")

    return read


@pytest.fixture
def found(read):
    """What a test of the configuration finds different."""

    def found(text):
        config = read(f'[[test]]\nname = "it"\n{text}')
        [table] = config.test
        ways = veiled_connections(config.connections, config.known_systems(), config.own_connection())
        singular, _, kind = table.event.rpartition(".")
        [row] = [row for row in RESOURCES.values() if row.singular == singular]
        body = event_of(table, sample("spaceinvoices", row, Kind(kind)).body)
        return differences(table, explain(config.plan(), Making(config.ways().shapes, ways, "poller"), body))

    return found


CREATED = 'event = "document.created"\n'
PAID = 'event = "payment.updated"\ndata = { amount = 500.50, note = "Ana" }\nprevious = { amount = 100 }\n'
WITH = 'with = { campaign = "cam_9", firstname = "Ana" }\n'
LAST = 'with = { campaign = "cam_9", phone = "+38640111222", body = "${steps.session.single_use_url}" }\n'

AS_EXPECTED = {
    "all routes": f'{CREATED}route = ["all", "big"]',
    "one route": f'{CREATED}data = {{ totalWithTax = 5 }}\nroute = "all"',
    "no route": 'event = "tax.created"\nroute = []',
    "the sinks": f'{CREATED}to = ["audit", "crm"]',
    "one sink": 'event = "document.deleted"\nto = "audit"',
    "no sink": f"{PAID}to = []",
    "a body": f'{CREATED}body = {{ id = "67a0b35be4f5a60013b7d00c", total = 549, lines = [45.00] }}',
    "a connector's name": 'event = "New Document"\nroute = ["big", "all"]',
    "an action": f'{PAID}do = "Create a Single Use Session"\n{WITH}',
    "an action alone": f'{PAID}do = "coupontools.send_coupon_by_sms"',
    "what waits for earlier steps": f'{PAID}do = "Send Coupon by SMS"\n{LAST}',
    "all of it": f'{PAID}route = "paid"\nto = []\ndo = "Create a Single Use Session"\n{WITH}',
}


@pytest.mark.parametrize("text", AS_EXPECTED.values(), ids=AS_EXPECTED)
def test_what_is_as_expected(found, text):
    """Numbers are equal by value; what is not expected is not looked at."""
    assert found(text) == []


DIFFERENT = {
    "a route too many": (f'{CREATED}route = ["all"]', ["route: expected all; it is all, big"]),
    "a route too few": (
        f'{CREATED}data = {{ totalWithTax = 5 }}\nroute = ["all", "big"]',
        ["route: expected all, big; it is all", "route big: its when does not hold"],
    ),
    "another trigger": (
        'event = "tax.created"\nroute = ["all"]',
        ["route: expected all; it is none", "route all: it is not on tax.created"],
    ),
    "none expected": ('event = "document.deleted"\nroute = []', ["route: expected none; it is all"]),
    "another sink": ('event = "document.deleted"\nto = ["crm"]', ["to: expected crm; it is audit"]),
    "a value": (
        f'{CREATED}body = {{ id = "67a0b35be4f5a60013b7d00c", total = 549.01, lines = [45] }}',
        ["body.total: expected 549.01; it is 549.0"],
    ),
    "another form": (
        f'{CREATED}body = {{ id = 7, total = "549", lines = [45, 46], more = true }}',
        [
            'body.id: expected 7; it is "67a0b35be4f5a60013b7d00c"',
            'body.total: expected "549"; it is 549.0',
            "body.lines: expected [45,46]; it is [45.0]",
            "body.more: expected true; it is not there",
        ],
    ),
    "an item": (
        f'{CREATED}body = {{ id = "67a0b35be4f5a60013b7d00c", total = 549, lines = [46] }}',
        ["body.lines.0: expected 46; it is 45.0"],
    ),
    "a key too many": (
        f"{CREATED}body = {{ total = 549, lines = [45] }}",
        ['body.id: not expected; it is "67a0b35be4f5a60013b7d00c"'],
    ),
    "a body of another kind": (f"{CREATED}body = 5", ["body: expected 5; it is {"]),
    "no body at all": (f"{PAID}body = 5", ["body: nothing is sent to a sink"]),
    "an action that is not done": (
        f'{CREATED}do = "Create a Single Use Session"',
        ["do: expected coupontools.create_single_use_session; it is none"],
    ),
    "another action": (
        f'{PAID}do = "Send Coupon by Email"',
        [
            "do: expected coupontools.send_coupon_by_email; it is coupontools.create_single_use_session, coupontools.s",
        ],
    ),
    "other inputs": (
        f'{PAID}do = "Create a Single Use Session"\nwith = {{ campaign = "cam_8", email = "a@b.si" }}',
        [
            'with.campaign: expected "cam_8"; it is "cam_9"',
            'with.email: expected "a@b.si"; it is not there',
            'with.firstname: not expected; it is "Ana"',
        ],
    ),
    "what cannot be told": (
        'event = "item.created"\nroute = []',
        ["route wrong cannot be told: lower(data.price) == 'x': lower() takes a string, not a number"],
    ),
    "what cannot be made": (
        'event = "unit.created"\nroute = ["broken"]',
        ["crm cannot be sent to: lower(data.no): lower() takes a string, not null"],
    ),
    "what cannot be done": (
        f'{PAID.replace("Ana", "x").replace("note =", "no = 5, note =")}route = ["paid"]',
        ["session cannot be done: expiry_date: should be a string"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "lines"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_is_different_is_told_by_its_path(found, text, lines):
    """With what was expected, what came, and why."""
    came = found(text)
    assert len(came) == len(lines)
    assert [line for line, wanted in zip(came, lines, strict=True) if not line.startswith(wanted)] == []


def test_a_long_value_is_cut(found):
    """It is looked up elsewhere."""
    [line] = found(f"{CREATED}data = {{ _documentItems = [{{ price = '{'x' * 1000}' }}] }}\nbody = 1")
    assert len(line) < 300
    assert line.endswith("...")


def test_the_record_of_an_event_is_merged(read):
    """Objects key by key; lists and all else are replaced. A path with an old value has changed."""
    [table] = read("""
        [[test]]
        name = "it"
        event = "document.updated"
        route = "all"
        data = { total = 1.10, custom = { vip = true }, _documentItems = [], note = "x" }
        previous = { total = 7, "custom.vip" = false }
    """).test
    body = sample("spaceinvoices", RESOURCES["documents"], Kind.UPDATED).body
    before, after = json.loads(body)["data"], json.loads(event_of(table, body))["data"]
    assert after["object"] == before["object"] | {
        "total": 1.1,
        "custom": {"jobId": "J-88", "vip": True},
        "_documentItems": [],
        "note": "x",
    }
    assert after["changed"] == ["custom.vip", "paidInFull", "total"]
    assert after["previous"] == {"paidInFull": True, "total": 7, "custom.vip": False}
    assert b'"total":1.1,' in event_of(table, body)


def test_an_event_of_which_nothing_is_said_is_as_it_is(read):
    """Byte for byte."""
    [table] = read('[[test]]\nname = "it"\nevent = "document.updated"\nroute = "all"').test
    assert event_of(table, b"untouched") == b"untouched"


IT = '[[test]]\nname = "it"\n'
REFUSED = [
    ('[[test]]\nevent = "tax.created"\nroute = []', "test.0.name: is missing"),
    (f"{IT}route = []", "test.0: should have one of event and file"),
    (f'{IT}event = "tax.created"\nfile = "x"\nroute = []', "test.0: should have one of event and file"),
    (f'{IT}event = "tax.created"', "test.0: expects nothing; it should have one of route, to, body and do"),
    (f'{IT}event = "tax.*"\nroute = []', 'test.0.event: "tax.*" is no trigger'),
    (f'{IT}event = "New Documnt"\nroute = []', 'test.0.event: "New Documnt" is no trigger'),
    (f'{IT}event = "documents.created"\nroute = []', 'is no trigger; did you mean "document.created"?'),
    (f'{IT}event = "tax.created"\nprevious = {{ x = 1 }}\nroute = []', "test.0: previous is of updates; tax.created"),
    (f'{IT}event = "tax.created"\nroute = ["bog"]', 'test.0.route.0: there is no route "bog"; did you mean "big"?'),
    (f'{IT}event = "tax.created"\nto = "cmr"', 'test.0.to: there is no sink "cmr"; did you mean "crm"?'),
    (f'{IT}event = "tax.created"\ndo = "x"', 'test.0.do: there is no action "x"'),
    (f'{IT}event = "tax.created"\nto = []\nwith = {{ x = 1 }}', "test.0: with holds the inputs of an action"),
    (
        f'{IT}event = "tax.created"\ndo = "Send Coupon by SMS"\nwith = {{ fone = "1" }}',
        'test.0.with.fone: unknown input; did you mean "phone"?',
    ),
    (f'{IT}event = "tax.created"\nbody = {{ x = 2025-01-01 }}', "test.0.body: has no JSON form; write it in quotes"),
    (f'{IT}event = "tax.created"\nto = []\ndata = {{ x = [inf] }}', "test.0.data: has no JSON form"),
    (f'{IT}event = "tax.created"\nto = []\nwhen = "x"', "test.0.when: unknown key"),
    (
        f'{IT}event = "tax.created"\nto = []\n{IT}event = "tax.created"\nto = []',
        'test.1.name: there is another test "it"',
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_a_test_that_is_none_is_refused(read, text, words):
    """When the configuration is read."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert any(words in problem for problem in caught.value.problems), caught.value
