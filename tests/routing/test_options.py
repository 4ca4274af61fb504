"""The configuration of routes: what becomes of each option."""

import pytest
from texts import COUPONTOOLS, ON, SESSION

from poller.expression import EvaluationError
from poller.gate import Traffic, admit
from poller.plan import Gate


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


@pytest.mark.parametrize("pattern", ["poller.sink.failing", "poller.*", "poller.stream.*", "Sink Recovered"])
def test_operator_events_are_triggers_too(route, pattern):
    """By name, by pattern, and as they are spoken of; nothing needs to be followed for them."""
    assert route(f'on = ["{pattern}"]\nto = ["crm"]').on[0].startswith("poller.")
