"""What is refused in the configuration of routes, with its key and column."""

import pytest
from texts import COUPONTOOLS, ON, SESSION

from poller.config import ConfigError

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


def test_an_operator_event_that_is_none_is_refused(route):
    """With the nearest one."""
    with pytest.raises(
        ConfigError, match=r'"poller\.sink\.failng" matches no trigger; did you mean "poller\.sink\.failing"'
    ):
        route('on = ["poller.sink.failng"]\nto = ["crm"]')
