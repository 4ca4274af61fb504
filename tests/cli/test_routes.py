"""Commands on routes as processes: what they say, their exit codes, and that only ``try --send`` sends anything."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from process import SECRET, TOKEN, Site, only, webhook
from receiver import Receiver, answer
from systems.coupontools import CLIENT_ID, CLIENT_SECRET, Coupontools
from systems.server import instead

from poller import cli
from poller.simulator import Account, Simulator
from poller.triggers import TRIGGERS

ROUTES = """
[connections.coupontools]
base_url = "{coupontools}"
client_id = {{ env = "TEST_CLIENT_ID" }}
client_secret = {{ env = "TEST_CLIENT_SECRET" }}

[[route]]
name = "told"
on = ["New Client", "client.updated"]
to = ["hook"]
body = {{ id = "${{data.id}}", name = "${{data.name}}" }}
delay = "2d"

[[route]]
name = "sent"
on = ["client.*"]
when = "data.name"
[[route.step]]
id = "session"
do = "Create a Single Use Session"
with = {{ campaign = "cam_9", firstname = "${{data.name}}" }}
[[route.step]]
do = "Send Coupon by SMS"
with = {{ campaign = "cam_9", phone = "+38640111222", body = "${{steps.session.single_use_url}}" }}

[[route]]
name = "items"
on = ["item.*"]
when = "data.price > `1000000`"
to = ["hook"]

[[test]]
name = "a new client is told"
event = "client.created"
data = {{ name = "Ana" }}
route = ["told", "sent"]
to = "hook"
body = {{ id = "67a0b1c2e4f5a60013b7d001", name = "Ana" }}
do = "Create a Single Use Session"
with = {{ campaign = "cam_9", firstname = "Ana" }}

[[test]]
name = "items are not"
event = "item.created"
data = {{ price = 2000000 }}
route = []
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A site whose state has one event, its receiver, and Coupontools; the event is still to be sent."""
    account = Account(token=TOKEN, organizations=1, seed=1)
    org = account.organizations[0]
    with Simulator(account) as api, Receiver() as receiver, Coupontools() as coupontools:
        tables = only("clients", "items") + webhook("hook", receiver.url) + ROUTES.format(coupontools=coupontools.url)
        site = Site(tmp_path_factory.mktemp("site"), api.url, tables)
        site.env |= {"TEST_CLIENT_ID": CLIENT_ID, "TEST_CLIENT_SECRET": CLIENT_SECRET}
        quiet = "from poller import once\nonce._deliver = lambda service: None\n"
        site.run("once", patch=quiet)
        account.create(org, "clients")
        site.run("once", patch=quiet)
        [(event_id,)] = site.query("SELECT id FROM event")
        yield SimpleNamespace(site=site, receiver=receiver, coupontools=coupontools, event_id=event_id)


@pytest.fixture
def it(there):
    """The same, of which nothing was sent yet."""
    there.receiver.records.clear()
    there.coupontools.requests.clear()
    return there


def here(site, *arguments, text=None):
    """A command in this process: for what needs none of its own."""
    return CliRunner().invoke(cli.main, ["--config", str(site.config), *arguments], env=site.env, input=text)


def nothing_sent(it):
    return not it.receiver.records and not it.coupontools.requests


def hides_secrets(text):
    return not any(secret in text for secret in (CLIENT_ID, CLIENT_SECRET, SECRET, TOKEN))


# explain


def test_explain_an_event_of_the_state(it):
    """By its id: each route, why, and what it sends; for programs."""
    del it.site.env["TEST_CLIENT_SECRET"]  # which it does not ask for
    done = it.site.run("explain", it.event_id, "--json")
    it.site.env["TEST_CLIENT_SECRET"] = CLIENT_SECRET
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["event"]["id"] == it.event_id
    assert [(row["route"], row["taken"]) for row in found["routes"]] == [
        ("told", True),
        ("sent", True),
        ("items", False),
    ]
    [send] = found["routes"][0]["sends"]
    assert (send["to"], send["delay_s"]) == ("hook", 172_800)
    assert send["message"]["id"] == f"{it.event_id}_told"
    assert send["message"]["body"]["id"] == found["event"]["data"]["object"]["id"]
    assert nothing_sent(it)
    assert hides_secrets(done.out)


def test_explain_the_example_of_a_trigger(it):
    """For people."""
    done = it.site.run("explain", "New Client")
    assert done.code == 0
    assert done.out.startswith("told: yes\n  to hook, 2d later\n    application/json, id evt_")
    assert "\n      X-Client-Secret: ***\n" in done.out
    assert "\n      waits for earlier steps: body\n" in done.out
    assert "\nitems: no, it is not on client.created\n" in done.out
    assert hides_secrets(done.out)


def test_explain_the_event_of_a_file(it, tmp_path):
    """As ``poller sample`` prints it; or from the standard input."""
    path = tmp_path / "event.json"
    path.write_text(here(it.site, "sample", "item.created").output)
    assert "items: no, its when does not hold\n" in here(it.site, "explain", "--file", str(path)).output
    assert "items: no, its when" in here(it.site, "explain", "--file", "-", text=path.read_text()).output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "say which event"),
        (["client.created", "--file", "x"], 2, "say which event"),
        (
            ["client.craeted"],
            1,
            'is no trigger, and no id of an event; did you mean "client.created"?',
        ),
        (["evt_nowhere"], 1, "there is no event evt_nowhere in the state"),
        (["--file", "/nowhere"], 1, "/nowhere cannot be read: No such file"),
        (["--file", "-"], 1, "- is not readable as JSON"),
    ],
)
def test_explain_nothing(it, arguments, code, words):
    """It says what is wrong."""
    done = here(it.site, "explain", *arguments, text="{")
    assert done.exit_code == code
    assert words in done.output


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_every_trigger_can_be_explained(it, trigger):
    """And nothing is sent by that."""
    assert here(it.site, "explain", trigger).exit_code == 0
    assert nothing_sent(it)


# try


def test_try_shows_one_route_and_sends_nothing(it):
    """Of the newest event, here."""
    done = it.site.run("try", "told", "--last")
    assert done.code == 0
    assert f"id {it.event_id}_told" in done.out
    assert "sent:" not in done.out
    assert nothing_sent(it)


def test_try_sends_once(it):
    """Signed, at once, whatever the delay; the state does not know of it."""
    before = it.site.dump()
    done = it.site.run("try", "told", "--event", it.event_id, "--send")
    assert (done.code, done.out.splitlines()[-1]) == (0, "hook: delivered")
    [record] = it.receiver.records
    record.verify(SECRET)
    assert (record.id, record.headers["content-type"]) == (f"{it.event_id}_told", "application/json")
    assert it.site.dump() == before


def test_try_does_all_steps(it):
    """Each by the results of those before it."""
    done = it.site.run("try", "sent", "--last", "--send")
    assert (done.code, done.out.splitlines()[-2:]) == (0, ["session: done", "step2: done"])
    assert [call.path for call in it.coupontools.requests] == ["/v3/singleuse/create", "/v3/send/sms"]
    assert json.loads(it.coupontools.requests[1].body)["body"].startswith("https://c.example/u/")
    assert hides_secrets(done.out)


def test_try_ends_at_the_step_that_fails(it):
    """Exit 1, with its reason; the secrets that an answer quotes are hidden."""
    failure = {"error": f"no campaign for {CLIENT_SECRET}"}
    it.coupontools.faults.append(instead(422, {"status": {"status": "failed", "errors": failure}}))
    done = it.site.run("try", "sent", "--last", "--send")
    assert (done.code, done.out.splitlines()[-1].partition(": ")[0]) == (1, "session")
    assert "session: REFUSED: status 422" in done.out
    assert len(it.coupontools.requests) == 1
    assert hides_secrets(done.out + done.err)


def test_try_a_receiver_that_does_not_take_it(tmp_path, it):
    """Exit 1."""
    with Receiver(answer(503)) as receiver:
        tables = webhook("hook", receiver.url) + '[[route]]\nname = "all"\non = ["*"]\nto = ["hook"]\n'
        done = here(Site(tmp_path, "http://127.0.0.1:9/v1", tables), "try", "all", "--send")
        assert len(receiver.records) == 1
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == "hook: NOT NOW: status 503: the receiver is not available"


def test_try_without_a_secret(it):
    """Exit 78, and only where it is to be sent."""
    kept = it.site.env.pop("TEST_CLIENT_SECRET")
    shown, sent = here(it.site, "try", "sent"), here(it.site, "try", "sent", "--send")
    it.site.env["TEST_CLIENT_SECRET"] = kept
    assert (shown.exit_code, sent.exit_code) == (0, 78)
    assert "connections.coupontools.client_secret: the environment variable TEST_CLIENT_SECRET" in sent.output
    assert nothing_sent(it)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["items"], 1, "items: no, its when does not hold"),
        (["items", "--send"], 1, "items: no, its when does not hold"),
        (["told", "--event", "item.created"], 1, "told: no, it is not on item.created"),
        (["items", "--last"], 1, "there is no event yet that route items is on"),
        (["tolt"], 1, 'there is no route "tolt"; did you mean "told"?'),
        (["told", "--last", "--event", "client.created"], 2, "exclude each other"),
    ],
)
def test_try_what_is_not_sent(it, arguments, code, words):
    """Exit 1, and why."""
    done = here(it.site, "try", *arguments)
    assert done.exit_code == code
    assert words in done.output
    assert nothing_sent(it)


# test


def test_the_tests_of_a_configuration(it):
    """A line each, what is different below it; exit 1 where anything is."""
    done = it.site.run("test")
    assert done.code == 1
    assert done.out.splitlines() == [
        "ok       a new client is told",
        "FAILED   items are not",
        "         route: expected none; it is items",
    ]
    assert done.err == "2 tests, 1 failed\n"
    assert nothing_sent(it)


def test_one_test_by_its_name(it):
    """Exit 0 where it is as expected."""
    done = here(it.site, "test", "a new client is told")
    assert (done.exit_code, done.output) == (0, "ok       a new client is told\n1 tests, 0 failed\n")


def test_a_test_that_is_not_there(it):
    """Exit 1, with the nearest."""
    done = here(it.site, "test", "items are nott")
    assert (done.exit_code, 'did you mean "items are not"?' in done.output) == (1, True)


def test_a_test_of_a_file(tmp_path):
    """With what it says of the record; a file that is not there, or no event, is a failure."""
    site = Site(tmp_path, "http://127.0.0.1:9/v1")
    (tmp_path / "event.json").write_text(here(site, "sample", "item.created").output)
    tests = "".join(
        f'[[test]]\nname = "{name}"\nfile = "{tmp_path}/{name}.json"\ndata = {{ name = "x" }}\nto = []\n'
        for name in ("event", "nowhere", "config")
    )
    with site.config.open("a") as config:
        config.write(f"{tests}[[test]]\nname = 'itself'\nfile = '{site.config}'\nto = []\n")
    lines = here(site, "test").output.splitlines()
    assert lines[0] == "FAILED   event"
    assert lines[1] == "         to: expected none; it is stdout"
    assert "nowhere.json cannot be read: No such file" in lines[3]
    assert "config.toml is not readable as JSON" in lines[-2]


def test_without_tests(tmp_path):
    """Exit 1: nobody looked at anything."""
    done = here(Site(tmp_path, "http://127.0.0.1:9/v1"), "test")
    assert (done.exit_code, "the configuration has no [[test]]" in done.output) == (1, True)


# actions


def test_the_actions_without_a_configuration(tmp_path, monkeypatch):
    """Those that are shipped."""
    monkeypatch.chdir(tmp_path)
    for name in ("POLLER_CONFIG", "SPACE_INVOICES_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(cli.main, ["actions"])
    assert done.exit_code == 0
    assert 'contextual-ai.delete_agent   "Delete Agent"   CANNOT BE UNDONE' in done.output


def test_the_actions_of_a_system(tmp_path):
    """By its name or its title; those of the configuration, too."""
    own = """
        [systems.ours]
        title = "Our CRM"
        base_url = "https://ours.example.com"
        [systems.ours.action.note]
        title = "Take a Note"
        method = "POST"
        path = "/notes"
        repeat = "never"
    """
    site = Site(tmp_path, "http://127.0.0.1:9/v1", own)
    assert here(site, "actions", "our crm").output == (
        'Our CRM: [connections.ours] holds nothing\n\nours.note   "Take a Note"\n'
        "  repeat: never: what is not known to be done is parked, for you to decide\n"
    )
    assert [row["do"] for row in json.loads(here(site, "actions", "ours", "--json").output)] == ["ours.note"]
    done = here(site, "actions", "coupontool")
    assert (done.exit_code, 'did you mean "coupontools"?' in done.output) == (1, True)


# check


def test_check_asks_each_connection(tmp_path, it):
    """For what changes nothing; one that is refused is a failure."""
    tables = ROUTES.format(coupontools=it.coupontools.url).partition("[[route]]")[0]
    tables += tables.replace("[connections.coupontools]", '[connections.two]\nsystem = "coupontools"').replace(
        "TEST_CLIENT_SECRET", "TEST_CLIENT_ID"
    )
    made = '[[route]]\non = ["item.*"]\ndo = "Create Client"\nwith = { name = "x" }\n'
    account = Account(token=TOKEN, organizations=1, seed=1)
    with Simulator(account) as api:
        site = Site(tmp_path, api.url, only("items") + tables + made)
        site.env |= {"TEST_CLIENT_ID": CLIENT_ID, "TEST_CLIENT_SECRET": CLIENT_SECRET}
        done = site.run("check")
    assert done.code == 1
    assert "\nok       connections.coupontools: Coupontools answers\n" in done.out
    assert "\nok       connections.space-invoices: Space Invoices answers\n" in done.out
    assert "\nFAILED   connections.two: status 200: " in done.out
    assert {(call.method, call.path) for call in it.coupontools.requests} == {("GET", "/v4/directory")}
    assert hides_secrets(done.out + done.err)
