"""The configuration of routes: what becomes of each option, and what is refused, with its key and column."""

from pathlib import Path

import pytest

from poller.actions import Repeat
from poller.config import ConfigError, load
from poller.expression import EvaluationError
from poller.gate import Traffic, admit
from poller.plan import Gate
from poller.shape import define_text

SINKS = """
[sinks.crm]
kind = "stdout"
[sinks.audit]
kind = "file"
path = "events.jsonl"
[sinks.many]
kind = "webhook"
url = "https://crm.example.com"
batch = {}
"""
COUPONTOOLS = """
[connections.coupontools]
client_id = { env = "ID" }
client_secret = { env = "SECRET" }
"""
OWN_SYSTEM = """
[systems.ours]
title = "Ours"
base_url = "https://ours.example.com"
[systems.ours.action.note]
title = "Take a Note"
method = "POST"
path = "/notes"
repeat = "never"
body = { text = "${with.text}" }
[systems.ours.action.note.inputs]
text = { type = "string", required = true }
"""
SESSION = 'do = "coupontools.create_single_use_session"\nwith = { campaign = "cam_9" }\n'
ON = 'on = ["client.created"]\n'


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Load a text, with sinks, as ``config.toml``."""
    monkeypatch.chdir(tmp_path)

    def read(text):
        Path("config.toml").write_text(SINKS + text)
        return load(Path("config.toml"))

    return read


@pytest.fixture
def route(read):
    """The one route of a text, as the plan has it."""

    def route(text, tables=""):
        (found,) = read(f"{tables}[[route]]\n{text}").plan().routes
        return found

    return route


@pytest.fixture
def shape(read):
    """What the one case of a text sends."""

    def shape(text, tables=""):
        [(_, definition, _)] = read(f"{tables}[[route]]\n{ON}{text}").shapes()
        return define_text(definition)

    return shape


@pytest.fixture
def complaint(read):
    """The problems of a text."""

    def complaint(text):
        with pytest.raises(ConfigError) as caught:
            read(text)
        return caught.value.problems

    return complaint


# What is read


def test_a_route_by_its_defaults(route):
    """It sends the event itself, at once, without limit; by its place it is named."""
    found = route(ON + 'to = ["crm"]')
    assert (found.on, found.name, found.delay_s, found.gate) == (("client.created",), "route-1", 0.0, None)
    assert (found.first, found.own, found.when) == (None, False, None)
    [case] = found.cases
    assert (case.to, case.when, case.shape, case.alone, case.destructive) == (("crm",), None, "", False, False)


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ('name = "big"', "name", "big"),
        ('delay = "2d"', "delay_s", 172_800.0),
        ('delay = "30d"', "delay_s", 2_592_000.0),
        ('rate = "30/m"', "gate", Gate(2.0)),
        ('rate = "10/5m"', "gate", Gate(30.0)),
        ('rate = "1 / 2h"', "gate", Gate(7200.0)),
        ('rate = "1/30d"', "gate", Gate(2_592_000.0)),
        ('flood = { max = 100, per = "1m" }', "gate", Gate(0.0, 100, 60.0)),
        ('rate = "1/s"\nflood = { max = 5, per = "1h" }', "gate", Gate(1.0, 5, 3600.0)),
        ('first_sync = "emit"', "first", True),
        ('first_sync = "silent"', "first", False),
        ('own = "include"', "own", True),
        ('own = "skip"', "own", False),
        ("allow_destructive = true", "name", "route-1"),
    ],
)
def test_an_option_is_in_the_plan(route, option, field, value):
    """As the loops need it: seconds, numbers."""
    assert getattr(route(f'{ON}to = ["crm"]\n{option}'), field) == value


def test_a_condition_of_a_route_without_cases_is_that_of_its_way(route):
    """Compiled."""
    found = route(ON + """to = ["crm"]\nwhen = "data.country == 'SI'" """)
    assert found.when is None
    assert [found.cases[0].when.holds({"data": {"country": name}}) for name in ("SI", "AT")] == [True, False]


def test_cases_stand_in_their_order_beneath_the_route_s_own_condition(route):
    """Each with its own way; one without a condition takes the rest."""
    found = route(f"""{ON}
        when = "data.email"
        [[route.case]]
        when = "data.vip"
        {SESSION}
        [[route.case]]
        to = ["crm", "audit"]
        drop = ["note"]
        [[route.case]]
        to = ["audit"]
        body = "text"
    """, COUPONTOOLS)  # fmt: skip
    assert found.when.holds({"data": {"email": "a@b.si"}})
    assert [case.to for case in found.cases] == [("route-1",), ("crm", "audit"), ("audit",)]
    assert [case.when is None for case in found.cases] == [False, True, True]
    assert [case.alone for case in found.cases] == [True, False, True]


def test_a_sink_that_is_named_twice_is_one(route):
    """It gets the event once."""
    assert route(ON + 'to = ["crm", "audit", "crm"]').cases[0].to == ("crm", "audit")


@pytest.mark.parametrize(
    ("spoken", "pattern"),
    [
        ("New Client", "client.created"),
        ("Recurrence Update", "recurrence.updated"),
        ("order deleted", "order.deleted"),
        ("document.*", "document.*"),
        ("*.deleted", "*.deleted"),
    ],
)
def test_triggers_by_the_names_of_connectors(route, spoken, pattern):
    """In whatever letters, beside our own."""
    assert route(f'on = ["{spoken}"]\nto = ["crm"]').on == (pattern,)


@pytest.mark.parametrize(
    ("spoken", "action"),
    [
        ("Send Coupon by Email", "send_coupon_by_email"),
        ("send coupon by email", "send_coupon_by_email"),
        ("coupontools.Send Coupon by Email", "send_coupon_by_email"),
        ("Coupontools.send_coupon_by_email", "send_coupon_by_email"),
    ],
)
def test_actions_by_the_names_of_connectors(shape, spoken, action):
    """With or without the system's."""
    made = shape(f'do = "{spoken}"\nwith = {{ campaign = "c", email = "a@b.si" }}', COUPONTOOLS)
    assert [(step.id, step.connection, step.action) for step in made.steps] == [("step1", "coupontools", action)]


def test_a_body_keeps_its_form(shape):
    """All that TOML can say, in its order."""
    made = shape('to = ["crm"]\nbody = { z = [1, 10.5, true, "x"], a = { b = "${data.id}" } }')
    assert made.body.render({"data": {"id": "7"}}) == {"z": [1, 10.5, True, "x"], "a": {"b": "7"}}
    assert list(made.body.source) == ["z", "a"]


def test_a_body_may_be_false(route):
    """Or empty: it is one all the same."""
    assert route(ON + 'to = ["crm"]\nbody = false').cases[0].alone


def test_fields_and_drop(shape):
    """Dotted paths."""
    made = shape('to = ["crm"]\nfields = ["number", "custom"]\ndrop = ["custom.secret"]')
    assert (made.body, made.fields, made.drop) == (None, ("number", "custom"), ("custom.secret",))


def test_steps_in_their_order(shape):
    """With ids of their own, or by their place; each by the connection that it names."""
    tables = COUPONTOOLS + COUPONTOOLS.replace("[connections.coupontools]", '[connections.two]\nsystem = "coupontools"')
    made = shape(f"""
        [[route.step]]
        id = "one"
        {SESSION}
        [[route.step]]
        connection = "two"
        do = "Send Coupon by SMS"
        with = {{ campaign = "c", phone = "${{steps.one.phone}}", body = "${{data.id}} ${{steps.one}}" }}
    """, tables)  # fmt: skip
    assert [(step.id, step.connection) for step in made.steps] == [("one", "coupontools"), ("step2", "two")]
    assert made.steps[1].given.names() == {"steps", "data"}


def test_what_cannot_be_undone_is_marked(read):
    """In its case, and in what the store keeps."""
    config = read("""
        [connections.contextual-ai]
        api_key = { env = "KEY" }
        [[route]]
        on = ["document.deleted"]
        allow_destructive = true
        do = "Delete Document"
        with = { datastore_id = "d", document_id = "x" }
    """)
    assert config.plan().routes[0].cases[0].destructive
    assert [destructive for _, _, destructive in config.shapes()] == [True]


def test_each_route_that_does_actions_has_a_queue(read):
    """Named after it."""
    config = read(f"""{COUPONTOOLS}
        [[route]]
        {ON}to = ["crm"]
        [[route]]
        {ON}{SESSION}
        [[route]]
        name = "third"
        {ON}
        [[route.case]]
        when = "data.x"
        to = ["crm"]
        [[route.case]]
        {SESSION}
    """)
    assert config.queues() == ("route-2", "third")


@pytest.mark.parametrize(("does", "origin"), [(SESSION, ""), ('do = "Create Client"\nwith = { name = "x" }\n', "mine")])
def test_records_are_told_apart_where_a_route_makes_some(read, does, origin):
    """By the mark that they get; where none is made, nobody has to look."""
    text = f'[source]\norigin = "mine"\n{COUPONTOOLS}[[route]]\non = ["item.*"]\n{does}'
    assert read(text).plan().origin == origin


def test_the_source_s_own_system_needs_no_connection(read):
    """It has its token, its address and its rate; a table of its own stands above."""
    config = read('[source]\nrate = 7\n[[route]]\non = ["item.*"]\ndo = "Create Client"\nwith = { name = "x" }')
    own = config.own_connection()
    assert (own.token, own.base_url, own.rate) == (config.source.token, config.source.base_url, 7)


def test_a_system_of_one_s_own(shape):
    """One that asks for nothing needs no connection."""
    made = shape('do = "Take a Note"\nwith = { text = "x" }', OWN_SYSTEM)
    assert [(step.connection, step.action) for step in made.steps] == [("ours", "note")]


def test_a_shipped_system_may_be_replaced(read):
    """Where its table is wrong, say: nothing of it was tried against the live service."""
    tables = OWN_SYSTEM.replace("systems.ours", "systems.coupontools")
    config = read(f'{tables}[[route]]\n{ON}do = "coupontools.note"\nwith = {{ text = "x" }}')
    assert config.known_systems()["coupontools"].actions["note"].repeat == Repeat.NEVER


@pytest.mark.parametrize(("rate", "most"), [("600/s", 600), ("7/s", 7), ("1000/s", 1000), ("7/m", 7 / 60)])
def test_no_rate_is_exceeded(route, rate, most):
    """Not by being rounded."""
    gate, traffic = route(f'{ON}to = ["crm"]\nrate = "{rate}"').gate, Traffic()
    for _ in range(100):
        due_ms, _, traffic = admit(gate, traffic, 0, 0)
    assert due_ms >= 99_000 / most


def test_a_condition_that_cannot_be_told_is_an_error_when_it_runs(route):
    """Never false."""
    [case] = route(ON + 'to = ["crm"]\nwhen = "data.total > `5`"').cases
    with pytest.raises(EvaluationError):
        case.when.holds({"data": {"total": "much"}})


# What is refused

GUARD = '"!data.custom.origin"'
CLIENT = 'do = "Create Client"\nwith = { name = "x" }\n'
REFUSED = {
    "no way": (ON, 'route.0: should have one of "to", "do", "step" or "case"'),
    "two ways": (
        f'{ON}to = ["crm"]\n{SESSION}',
        'route.0: should have one of "to", "do", "step" or "case", and has to and',
    ),
    "a way and cases": (
        f'{ON}to = ["crm"]\n[[route.case]]\nto = ["crm"]',
        'route.0: should have one of "to", "do", "step" or "case", and has to and case',
    ),
    "a case without a way": (
        f'{ON}[[route.case]]\nwhen = "data.x"',
        'route.0.case.0: should have one of "to", "do" or "step"',
    ),
    "an option of a route in a case": (
        f'{ON}[[route.case]]\nto = ["crm"]\ndelay = "1s"',
        "route.0.case.0.delay: unknown key",
    ),
    "a body of an action": (f"{ON}body = 1\n{SESSION}", "route.0: body, fields and drop say what is sent to sinks"),
    "fields of cases": (f'{ON}fields = ["x"]\n[[route.case]]\nto = ["crm"]', "route.0: body, fields and drop say what"),
    "a body and fields": (f'{ON}to = ["crm"]\nbody = 1\nfields = ["x"]', "route.0: body says all that is sent"),
    "inputs of a sink": (f'{ON}to = ["crm"]\nwith = {{ x = 1 }}', "route.0: with holds the inputs of an action"),
    "a connection of a sink": (f'{ON}to = ["crm"]\nconnection = "x"', "route.0: connection says whose account"),
    "inputs beside steps": (
        f"{ON}with = {{ x = 1 }}\n[[route.step]]\n{SESSION}",
        "route.0: with holds the inputs of an action",
    ),
    "no triggers": ('to = ["crm"]', "route.0.on: is missing"),
    "an empty on": ('on = []\nto = ["crm"]', "route.0.on: should name at least one"),
    "an unknown trigger": (
        'on = ["New Clent"]\nto = ["crm"]',
        'route.0.on.0: "New Clent" matches no trigger; did you mean "New Client"?',
    ),
    "an unknown sink": (f'{ON}to = ["cmr"]', 'route.0.to.0: there is no sink "cmr"; did you mean "crm"?'),
    "a sink of a case": (f'{ON}[[route.case]]\nto = ["cmr"]', 'route.0.case.0.to.0: there is no sink "cmr"'),
    "a bad name": (f'{ON}to = ["crm"]\nname = "a/b"', "route.0.name: a route's name has letters, digits, - and _"),
    "a bad condition": (f'{ON}to = ["crm"]\nwhen = "data.x ="', 'route.0.when: column 8: unexpected "="'),
    "an unknown variable": (
        f'{ON}to = ["crm"]\nwhen = "data.x && dta.y"',
        'route.0.when: column 11: unknown variable "dta"; did you mean "data"?',
    ),
    "steps in a condition": (f'{ON}to = ["crm"]\nwhen = "steps.x"', 'route.0.when: column 1: unknown variable "steps"'),
    "the condition of a case": (
        f'{ON}[[route.case]]\nto = ["crm"]\n[[route.case]]\nto = ["crm"]\nwhen = "length(data"',
        "route.0.case.1.when: column ",
    ),
    "a bad body": (
        f'{ON}to = ["crm"]\nbody = {{ a = [1, {{ b = "x ${{data.}}" }}] }}',
        "route.0.body.a.1.b: column 10: ",
    ),
    "a body that speaks of steps": (
        f'{ON}to = ["crm"]\nbody = "${{steps.x}}"',
        'route.0.body: column 3: unknown variable "steps"',
    ),
    "a date in a body": (
        f'{ON}to = ["crm"]\nbody = {{ day = 2025-01-01 }}',
        "route.0.body.day: column 1: has no JSON form; write it in quotes",
    ),
    "a hole in a key": (
        f'{ON}to = ["crm"]\nbody = {{ "${{data.x}}" = 1 }}',
        "route.0.body.${data.x}: column 1: a key is taken as it stands",
    ),
    "a bad input": (
        f'{ON}do = "Send Coupon by SMS"\nwith = {{ campaign = "c", phone = "${{upper(data)" }}',
        "route.0.with.phone: column ",
    ),
    "the input of a step": (
        f'{ON}[[route.step]]\n{SESSION}[[route.step]]\ndo = "Send Coupon by SMS"\nwith = {{ campaign = "${{x}}" }}',
        'route.0.step.1.with.campaign: column 3: unknown variable "x"',
    ),
    "a body in batches": (
        f'{ON}to = ["crm", "many"]\nbody = 1',
        (
            "route.0.body: many sends its events in batches, which hold no other messages; "
            "leave out body, or the batch of [sinks.many]"
        ),
    ),
    "a body in batches in a case": (f'{ON}[[route.case]]\nto = ["many"]\nbody = 1', "route.0.case.0.body: many sends"),
    "a delay without unit": (f'{ON}to = ["crm"]\ndelay = 5', "route.0.delay: should say its unit"),
    "a delay that is too long": (f'{ON}to = ["crm"]\ndelay = "31d"', 'route.0.delay: should be at most "30d"'),
    "a rate that is none": (f'{ON}to = ["crm"]\nrate = 30', 'route.0.rate: should be a rate such as "30/m" or "10/5m"'),
    "a rate of nothing": (f'{ON}to = ["crm"]\nrate = "0/m"', "route.0.rate: should be a rate such as"),
    "a rate in no time": (f'{ON}to = ["crm"]\nrate = "5/0s"', 'route.0.rate: should be between "1000/s" and "1/30d"'),
    "too fast a rate": (f'{ON}to = ["crm"]\nrate = "1001/s"', 'route.0.rate: should be between "1000/s" and'),
    "too slow a rate": (f'{ON}to = ["crm"]\nrate = "1/31d"', "route.0.rate: should be between"),
    "a flood of nothing": (
        f'{ON}to = ["crm"]\nflood = {{ max = 0, per = "1m" }}',
        "route.0.flood.max: should be at least",
    ),
    "a flood in no time": (
        f'{ON}to = ["crm"]\nflood = {{ max = 1, per = "0s" }}',
        "route.0.flood.per: should be more than",
    ),
    "half a flood": (f'{ON}to = ["crm"]\nflood = {{ max = 1 }}', "route.0.flood.per: is missing"),
    "a first sync": (f'{ON}to = ["crm"]\nfirst_sync = true', 'route.0.first_sync: should be "silent" or "emit"'),
    "own": (f'{ON}to = ["crm"]\nown = "no"', 'route.0.own: should be "skip" or "include"'),
    "an unknown option": (f'{ON}to = ["crm"]\ndelays = "1s"', 'route.0.delays: unknown key; did you mean "delay"?'),
    "an unknown action": (
        f'{ON}do = "Send Coupon by Mail"',
        'route.0.do: there is no action "Send Coupon by Mail"; did you mean "Send Coupon by Email"?',
    ),
    "the action of a step": (f'{ON}[[route.step]]\ndo = "x.y"', 'route.0.step.0.do: there is no action "x.y"'),
    "an unknown input": (
        f'{ON}do = "Create a Single Use Session"\nwith = {{ campain = "c" }}',
        'route.0.with.campain: unknown input; did you mean "campaign"?',
    ),
    "a missing input": (
        f'{ON}[[route.case]]\ndo = "Create a Single Use Session"',
        "route.0.case.0.with.campaign: is missing",
    ),
    "an input of another type": (
        f'{ON}[[route.step]]\ndo = "Send Coupon by Email"\nwith = {{ campaign = 9, email = "a@b.si" }}',
        "route.0.step.0.with.campaign: should be a string",
    ),
    "two steps of one id": (
        f'{ON}[[route.step]]\nid = "a"\n{SESSION}[[route.step]]\nid = "a"\n{SESSION}',
        'route.0.step.1.id: there is another step "a"',
    ),
    "an id that another has by its place": (
        f'{ON}[[route.step]]\nid = "step2"\n{SESSION}[[route.step]]\n{SESSION}',
        'route.0.step.1.id: there is another step "step2"',
    ),
    "an id that is no name": (
        f'{ON}[[route.step]]\nid = "a-b"\n{SESSION}',
        "route.0.step.0.id: should have letters, digits and _, and",
    ),
    "a step that comes later": (
        (
            f'{ON}[[route.step]]\ndo = "Send Coupon by SMS"\nwith = {{ campaign = "c", phone = "${{steps.a}}" }}\n'
            f'[[route.step]]\nid = "a"\n{SESSION}'
        ),
        'route.0.step.0.with.phone: there is no earlier step "a"',
    ),
    "a step that is none": (
        (
            f'{ON}[[route.step]]\nid = "pdf"\n{SESSION}[[route.step]]\ndo = "Send Coupon by SMS"\n'
            'with = { campaign = "c", phone = "${steps.pfd.phone}" }'
        ),
        'route.0.step.1.with.phone: there is no earlier step "pfd"; known are pdf',
    ),
    "steps where there are none": (
        f'{ON}do = "Create a Single Use Session"\nwith = {{ campaign = "c", email = "${{steps.x}}" }}',
        'route.0.with.email: there is no earlier step "x"',
    ),
    "a loop": (
        ON + CLIENT,
        (
            "route.0.do: space-invoices.create_client makes client.created happen, which this route is on: "
            "it would go round for ever; let its when look at data.custom.origin"
        ),
    ),
    "a loop by a pattern": (f'on = ["*"]\n{CLIENT}', "route.0.do: space-invoices.create_client makes client.created"),
    "a loop in a step": (
        f"{ON}[[route.step]]\n{SESSION}[[route.step]]\n{CLIENT}",
        "route.0.step.1.do: space-invoices.create_client makes client.created",
    ),
    "a loop that looks elsewhere": (
        f'{ON}when = "!data.custom.kind"\n{CLIENT}',
        "route.0.do: space-invoices.create_client makes client.created",
    ),
    "a loop in the case before the one that looks": (
        f'{ON}[[route.case]]\nwhen = "data.x"\n{CLIENT}[[route.case]]\nwhen = {GUARD}\nto = ["crm"]',
        "route.0.case.0.do: space-invoices.create_client makes client.created",
    ),
    "what cannot be undone": (
        (
            f'[connections.contextual-ai]\napi_key = {{ env = "KEY" }}\n[[route]]\n{ON}do = "Delete Agent"\n'
            'with = { agent_id = "a" }'
        ),
        "route.1.do: contextual-ai.delete_agent cannot be undone; set allow_destructive = true if that is meant",
    ),
    "a missing connection": (
        f'{ON}do = "List Agents"',
        "route.0.do: contextual-ai.list_agents needs a table [connections.contextual-ai] with api_key",
    ),
    "a connection that is none": (
        f'{ON}connection = "two"\n{SESSION}',
        "route.0.do: coupontools.create_single_use_session needs a table [connections.two] with client_id,",
    ),
    "a connection of another system": (
        f'{ON}connection = "coupontools"\n{CLIENT.replace("do", "when = " + GUARD + chr(10) + "do")}',
        "route.0.connection: space-invoices.create_client cannot be done by connection coupontools",
    ),
    "the source's own connection to another system": (
        f'{ON}[[route.step]]\nconnection = "space-invoices"\n{SESSION}',
        "route.0.step.0.connection: coupontools.create_single_use_session cannot be done by connection space-invoices",
    ),
}


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_said_by_its_key(complaint, text, words):
    """And by its column, where it is an expression."""
    before = f'[[route]]\n{ON}to = ["crm"]\n' if words.startswith("route.1") else ""
    text = text if text.startswith("[connections") else f"[[route]]\n{text}"
    assert any(problem.startswith(words) for problem in complaint(f"{COUPONTOOLS}{before}{text}")), complaint(text)


@pytest.mark.parametrize(
    "text",
    [
        f"when = {GUARD}\n{CLIENT}",
        f"[[route.case]]\nwhen = {GUARD}\n{CLIENT}",
        f"when = {GUARD}\n[[route.case]]\n{CLIENT}",
        f'[[route.case]]\nwhen = "data.custom.origin"\nto = ["crm"]\n[[route.case]]\n{CLIENT}',
    ],
    ids=["its own", "its case's", "above its cases", "that of a case before"],
)
def test_a_route_that_guards_itself_may_write_what_it_is_on(read, text):
    """It looks at who made the record."""
    assert read(f"[[route]]\n{ON}{text}").queues() == ("route-1",)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a", "a"), ['route.1.name: there is another route "a"']),
        (("route-2", None), ['route.1.name: there is another route "route-2"']),
        ((None, "route-1"), ['route.1.name: there is another route "route-1"']),
        (
            ("a", "b", "a", "b"),
            ['route.2.name: there is another route "a"', 'route.3.name: there is another route "b"'],
        ),
    ],
)
def test_two_routes_of_one_name(complaint, names, words):
    """Of those that they have by their place, too."""
    lines = [f'[[route]]\n{ON}to = ["crm"]\n' + (f'name = "{name}"\n' if name else "") for name in names]
    assert list(complaint("".join(lines))) == words


def test_a_queue_of_the_name_of_a_sink(complaint, read):
    """They would be one queue; a route that sends to sinks has none."""
    read(f'[[route]]\nname = "crm"\n{ON}to = ["crm"]')
    assert complaint(f'{COUPONTOOLS}[[route]]\nname = "crm"\n{ON}{SESSION}') == (
        'route.0.name: "crm" is a sink; a route that does actions needs a name of its own',
    )


# Systems and connections

BAD_TABLES = {
    "a name": (
        OWN_SYSTEM.replace("systems.ours", 'systems."o.u"'),
        ["systems.o.u: a system's name has letters, digits, - and"],
    ),
    "a key": (
        OWN_SYSTEM.replace("repeat", "repeats"),
        ["systems.ours.action.note.repeat: is missing", "systems.ours.action.note.repeats: unknown key"],
    ),
    "an expression": (
        OWN_SYSTEM.replace("${with.text}", "${wth.text}"),
        [
            'systems.ours.action.note.body.text: column 3: unknown variable "wth"',
            "systems.ours.action.note.inputs.text: is used",
        ],
    ),
    "no table": ("[systems]\nours = 5", ["systems.ours: should be a table"]),
    "the source's own system without its token": (
        OWN_SYSTEM.replace("systems.ours", "systems.space-invoices"),
        ['systems.space-invoices.connection: should be { token = "secret" }, which is what [source] has'],
    ),
    "a connection to nothing": (
        '[connections.coupontool]\nclient_id = { env = "A" }',
        ['connections.coupontool: there is no system "coupontool"; did you mean "coupontools"?'],
    ),
    "a system that is named": (
        '[connections.two]\nsystem = "coupontool"',
        ['connections.two.system: there is no system "coupontool"; did you mean "coupontools"?'],
    ),
    "half a connection": (
        '[connections.coupontools]\nclient_id = { env = "A" }',
        ["connections.coupontools.client_secret: is missing"],
    ),
    "a secret in the open": (
        '[connections.contextual-ai]\napi_key = "hunter2"',
        ["connections.contextual-ai.api_key: should not be written here"],
    ),
    "an unknown key of a connection": (
        COUPONTOOLS + 'base_uri = "https://x.example"',
        ['connections.coupontools.base_uri: unknown key; did you mean "base_url"?'],
    ),
    "connections that are no tables": ("connections = 5", ["connections: should be a table"]),
}


@pytest.mark.parametrize(("text", "words"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_what_is_wrong_with_systems_and_connections(tmp_path, text, words):
    """Nothing more is said than what is wrong, and no secret with it."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(caught.value.problems) == len(words)
    assert [
        found for found, wanted in zip(caught.value.problems, words, strict=True) if not found.startswith(wanted)
    ] == []
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["poller.sink.failing", "poller.*", "poller.stream.*", "Sink Recovered"])
def test_operator_events_are_triggers_too(route, pattern):
    """By name, by pattern, and as they are spoken of; nothing needs to be followed for them."""
    assert route(f'on = ["{pattern}"]\nto = ["crm"]').on[0].startswith("poller.")


def test_an_operator_event_that_is_none_is_refused(route):
    """With the nearest one."""
    with pytest.raises(
        ConfigError, match=r'"poller\.sink\.failng" matches no trigger; did you mean "poller\.sink\.failing"'
    ):
        route('on = ["poller.sink.failng"]\nto = ["crm"]')
