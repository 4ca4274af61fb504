"""The tables of systems: what is shipped is whole, and what is wrong with one is told by key and column."""

import re
import tomllib
from importlib.resources import files

import pytest

from poller.actions import BadSystem, Repeat, UnknownAction, find, systems
from poller.actions.reading import system

FILES = sorted(file.name for file in files("poller.actions").iterdir() if file.name.endswith(".toml"))
RAW = {name.removesuffix(".toml"): tomllib.loads(files("poller.actions").joinpath(name).read_text()) for name in FILES}
ACTIONS = {f"{name}.{key}": table for name, raw in RAW.items() for key, table in raw["action"].items()}
EACH = pytest.mark.parametrize("name", sorted(ACTIONS))

CONNECTORS = {  # the names that connector platforms have for these, by system
    "coupontools": [
        "Send Coupon by Email",
        "Send Coupon by SMS",
        "Create a Single Use Session",
        "Create Subaccount",
        "Create Directory User",
        "Change Status Directory User",
    ],
    "contextual-ai": [
        "Create Datastore",
        "List Datastores",
        "Get Datastore Metadata",
        "Reset Datastore",
        "Delete Datastore",
        "List Documents",
        "Get Document Metadata",
        "Delete Document",
        "List Agents",
        "Create Agent",
        "Reset Agent",
        "Delete Agent",
        "Get Agent Metadata",
    ],
    "space-invoices": ["Create Client", "Send Document by Email"],
}
COMPANIONS = {"contextual-ai.ingest_document", "contextual-ai.set_document_metadata", "space-invoices.get_document_pdf"}
DESTRUCTIVE = {"reset_datastore", "delete_datastore", "delete_document", "delete_agent", "reset_agent"}


def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def holes(table):
    """The inputs that an action's table speaks of, wherever."""
    rest = {key: value for key, value in table.items() if key not in ("inputs", "stamps", "about", "title")}
    for text in texts(rest):
        yield from re.findall(r"\bwith\.(\w+)", text)
    for path in (table["path"], table.get("look", {}).get("path", "")):
        yield from re.findall(r"\{(\w+)\}", path)


def test_the_21_actions_of_the_connectors_and_three_companions():
    """By their titles; each found by it."""
    known = systems()
    found = {title: find(title, known) for titles in CONNECTORS.values() for title in titles}
    assert len(found) == 21
    for name, titles in CONNECTORS.items():
        assert all(found[title][0] is known[name] for title in titles)
    named = {f"{one.name}.{action.name}" for one, action in found.values()}
    assert named | COMPANIONS == set(ACTIONS)


@EACH
def test_every_input_is_used_and_every_hole_is_an_input(name):
    """Counted over the file as it is written."""
    table = ACTIONS[name]
    inputs = set(table.get("inputs", {}))
    named = {row["named_by"] for row in table.get("inputs", {}).values() if "named_by" in row}
    assert set(holes(table)) - inputs == set()
    assert inputs - set(holes(table)) - named == set()


@EACH
def test_every_action_has_a_title_a_repeat_class_and_what_it_needs(name):
    """A flag, a conflict, a look: by its class."""
    table = ACTIONS[name]
    assert table["title"]
    needs = {"flag": "flag", "conflict": "done_when", "look": "look"}
    assert Repeat(table["repeat"])
    for repeat, key in needs.items():
        assert (key in table) == (table["repeat"] == repeat)
    assert (table["method"] == "GET") <= (table["repeat"] == "safe")


def test_what_destroys_is_marked():
    """Resets and deletions, and nothing else."""
    marked = {name.partition(".")[2] for name, table in ACTIONS.items() if table.get("destructive")}
    assert marked == DESTRUCTIVE
    assert all(any(word in name for word in ("reset", "delete")) == (name in marked) for name in marked)


@EACH
def test_secrets_are_seen_by_headers_and_queries_only(name):
    """No body, path or rule can send or show one."""
    rest = {key: value for key, value in ACTIONS[name].items() if key not in ("headers", "query")}
    assert not any("connection." in text for text in texts(rest))


@EACH
def test_what_must_not_stand_empty_in_a_path_is_required(name):
    """Or has a default."""
    table = ACTIONS[name]
    for hole in re.findall(r"\{(\w+)\}", table["path"]):
        row = table["inputs"][hole]
        assert row.get("required") or "default" in row


def test_what_writes_is_stamped():
    """By the origin, at the path that routes look at; and it says what it causes."""
    writing = {name: table for name, table in ACTIONS.items() if "writes" in table}
    assert {name: table["writes"] for name, table in writing.items()} == {
        "space-invoices.create_client": ["client.created"]
    }
    assert all(table["stamps"]["custom"]["origin"] == "${event.origin}" for table in writing.values())


@pytest.mark.parametrize("name", sorted(RAW))
def test_a_system_can_be_tried(name):
    """By a request that changes nothing; and its connection holds what its headers need."""
    raw = RAW[name]
    assert raw["probe"]["method"] == "GET"
    used = {key for text in texts(raw["headers"]) for key in re.findall(r"connection\.(\w+)", text)}
    assert used == set(raw["connection"])


@pytest.mark.parametrize("name", FILES)
def test_what_is_not_verified_says_so(name):
    """In the file, for those who change it."""
    assert "UNVERIFIED" in files("poller.actions").joinpath(name).read_text()


# Names


@pytest.mark.parametrize(
    "spoken",
    [
        "coupontools.send_coupon_by_email",
        "Send Coupon by Email",
        "send coupon by email",
        "Coupontools.Send Coupon by Email",
        "coupontools.Send Coupon by Email",
    ],
)
def test_an_action_has_a_name_and_a_title(spoken):
    """Either is good, with or without its system."""
    found, action = find(spoken, systems())
    assert (found.name, action.name) == ("coupontools", "send_coupon_by_email")


@pytest.mark.parametrize(
    ("spoken", "near"),
    [
        ("coupontools.send_coupon_by_mail", 'did you mean "coupontools.send_coupon_by_email"?'),
        ("Send Cupon by SMS", 'did you mean "Send Coupon by SMS"?'),
        ("nothing at all", 'there is no action "nothing at all"'),
    ],
)
def test_an_unknown_action_names_the_nearest(spoken, near):
    """By its name or its title."""
    with pytest.raises(UnknownAction, match=re.escape(near)):
        find(spoken, systems())


def test_a_title_of_two_systems_has_to_be_told_apart():
    """A user's own may be called the same."""
    mine = system("crm", {**MINE, "action": {"add": {**ADD, "title": "Create Client"}}})
    known = {**systems(), "crm": mine}
    with pytest.raises(UnknownAction, match=re.escape('"space-invoices.create_client" or "crm.add"')):
        find("Create Client", known)
    assert find("crm.Create Client", known) == (mine, mine.actions["add"])


# A user's own

ADD = {
    "title": "Add",
    "method": "POST",
    "path": "/things/{kind}",
    "repeat": "safe",
    "body": {"name": "${with.name}"},
    "inputs": {"kind": {"type": "string", "required": True}, "name": {"type": "string"}},
}
MINE = {
    "title": "My CRM",
    "base_url": "https://crm.example.com/api",
    "headers": {"Authorization": "Bearer ${connection.key}"},
    "connection": {"key": "secret"},
    "action": {"add": ADD},
}


def test_a_user_s_own_system_needs_little():
    """What it does not say is as usual."""
    made = system("crm", MINE)
    assert (made.rate, made.timeout_s) == (5.0, 30.0)
    assert made.success.holds({"http": {"status": 204}, "with": {}})
    assert not made.success.holds({"http": {"status": 304}, "with": {}})


def changed(path, value, table=MINE):
    """The table with another value at a dotted path; None leaves the key out."""
    key, _, rest = path.partition(".")
    inner = changed(rest, value, table.get(key, {})) if rest else value
    return {name: one for name, one in {**table, key: inner}.items() if one is not None}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("action.add.body.name", "${with.nam}", 'action.add.body.name: there is no input "nam"; did you mean "name"?'),
        ("action.add.body.name", "${wiht.name}", 'action.add.body.name: column 3: unknown variable "wiht"'),
        ("action.add.body.deep", ["x", {"y": "a ${with.name} ${"}], "action.add.body.deep.1.y: column 16: "),
        ("action.add.body.name", "${connection.key}", 'action.add.body.name: column 3: unknown variable "connection"'),
        ("action.add.body.name", "${event.id}", 'action.add.body.name: column 3: unknown variable "event"'),
        ("action.add.path", "/things/{sort}", 'action.add.path: there is no input "sort"'),
        ("action.add.path", "things/{kind}", 'action.add.path: should begin with "/"'),
        ("action.add.inputs.extra", {"type": "string"}, "action.add.inputs.extra: is used nowhere"),
        ("action.add.inputs.name.type", "text", 'action.add.inputs.name.type: should be "string", "number"'),
        ("action.add.inputs.name.pattern", "[", "action.add.inputs.name.pattern: is not a regular expression"),
        (
            "action.add.inputs.name.default",
            "${with.kind}",
            "action.add.inputs.name.default: column 3: unknown variable",
        ),
        ("action.add.inputs.name.named_by", "title", 'action.add.inputs.name.named_by: there is no input "title"'),
        ("action.add.repeat", "often", 'action.add.repeat: should be "safe", "flag"'),
        ("action.add.repeat", "flag", 'action.add.flag: is missing: repeat is "flag"'),
        ("action.add.repeat", "conflict", 'action.add.done_when: is missing: repeat is "conflict"'),
        ("action.add.repeat", "look", 'action.add.look: is missing: repeat is "look"'),
        ("action.add.flag", "with.name", 'action.add.flag: does nothing unless repeat = "flag"'),
        ("action.add.form", {"a": "b"}, "action.add: should have one of body, form and multipart"),
        ("action.add.writes", ["client.created"], "action.add.stamps: is missing"),
        ("action.add.method", "TRACE", 'action.add.method: should be "GET"'),
        ("action.add.titel", "Add", 'action.add.titel: unknown key; did you mean "title"?'),
        ("action.add.title", None, "action.add.title: is missing"),
        ("action.add.success", "http.status = `200`", "action.add.success: column 13: "),
        ("action.add.result", "http.body.", "action.add.result: column 11: "),
        ("success", "http.status == 200", "success: column 16: "),
        ("pause_when", "htp.status", 'pause_when: column 1: unknown variable "htp"; did you mean "http"?'),
        ("reason", "http.body[", "reason: column 11: "),
        ("headers.Authorization", "Bearer ${connection.", "headers.Authorization: column 8: "),
        (
            "headers.Authorization",
            "Bearer ${connection.kee}",
            'headers.Authorization: a connection holds no "kee"; did you mean "key"?',
        ),
        ("action.add.query", {"of": ["${connection.kee}"]}, 'action.add.query.of.0: a connection holds no "kee"'),
        ("probe", {"path": "/", "query": {"k": "${connection.kee}"}}, 'probe.query.k: a connection holds no "kee"'),
        ("connection.base_url", "text", "connection.base_url: every connection has a key of this name already"),
        ("connection.key", "hidden", 'connection.key: should be "secret" or "text"'),
        ("base_url", "http://crm.example.com", 'base_url: should begin with "https://"'),
        ("rate", 0, "rate: should be more than 0"),
        ("timeout", 30, 'timeout: should say its unit: "30s"'),
        ("probe", {"path": "/x", "method": "POST"}, 'probe.method: should be "GET" or "HEAD"'),
        ("action", {}, "action: "),
        ("action.Add", ADD, "action.Add: a name has small letters"),
    ],
)
def test_what_is_wrong_is_told_by_key_and_column(path, value, told):
    """Under the key that the table has."""
    with pytest.raises(BadSystem) as caught:
        system("crm", changed(path, value), "systems.crm")
    assert [line for line in caught.value.problems if line.startswith(f"systems.crm.{told}")], caught.value.problems


def test_everything_that_is_wrong_is_told():
    """Not only the first."""
    bad = changed("pause_when", "htp", changed("action.add.flag", "with.nam", changed("success", "1")))
    with pytest.raises(BadSystem) as caught:
        system("crm", bad)
    keys = [line.partition(":")[0] for line in caught.value.problems]
    assert set(keys) == {"success", "pause_when", "action.add.flag"}


def test_a_shipped_file_that_is_wrong_is_named(monkeypatch, tmp_path):
    """For those who change one."""
    from poller import actions

    (tmp_path / "bad.toml").write_text('title = "Bad"\n[action.a]\n')
    monkeypatch.setattr(actions, "files", lambda _: tmp_path)
    with pytest.raises(BadSystem, match=r"^actions/bad\.toml: base_url: is missing"):
        actions._shipped.__wrapped__("bad")


def test_shipped_systems_are_read_once():
    """They are the same at every call."""
    assert systems()["coupontools"] is systems()["coupontools"]


def test_an_own_system_stands_over_a_shipped_one():
    """The others stay, and what is not there is missed as in any mapping."""
    own = systems()["coupontools"]
    known = systems({"contextual-ai": own, "crm": own})
    assert list(known) == ["contextual-ai", "coupontools", "space-invoices", "crm"]
    assert (len(known), known["contextual-ai"], known.get("cmr")) == (4, own, None)
