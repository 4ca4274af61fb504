"""What one configuration changes beside another: pure, so every answer is tried without a poller."""

from dataclasses import replace

import pytest

from poller.changes import changes, estranged
from poller.model import Stream
from poller.outline import Followed, Known, Outline, Receiver, Way, What
from poller.plan import Plan
from poller.prospect import text
from poller.stores import Pass, Progress, Standing, Sweeping

CLIENTS, ITEMS = Followed("client", 60.0, 3600.0), Followed("item", 60.0, 3600.0)
BEFORE = Outline(
    address="https://api.example",
    organizations=None,
    emit_first=False,
    resources={"clients": CLIENTS},
    receivers={"crm": Receiver("webhook", "a1")},
    routes={},
    settings={"source.rate": "20.0", "source.token.env": "TOKEN", "state.path": "poller.db"},
)
ON = Stream("org", "clients")
WELL = Standing(ON, Progress(baselined_ms=1, sweeps=1, live=7))
KNOWN = Known("https://api.example", [WELL], {"crm": 3}, {"big": 2})
BEGUN = Progress(sweep=Sweeping(Pass.BASELINE, 1), live=4)


def streams(after, known=KNOWN, before=BEFORE):
    return {change.stream: change for change in changes(before, after, known).streams}


def test_the_same_changes_nothing():
    """And says so."""
    found = changes(BEFORE, BEFORE, KNOWN)
    assert (found.any, text(found)) == (False, "Nothing changes.")


def test_a_new_resource_begins_in_silence():
    """In each organization that is known."""
    found = streams(replace(BEFORE, resources={"clients": CLIENTS, "items": ITEMS}))
    assert found["org/items"][1:4] == (What.ADDED, 0, False)
    assert list(found) == ["org/items"]


def test_where_the_source_emits_it_tells_what_is_there():
    """To every sink, where there is no route."""
    after = replace(BEFORE, resources={"clients": CLIENTS, "items": ITEMS}, emit_first=True)
    assert streams(after)["org/items"][3:5] == (True, ("crm",))
    assert "org/clients" not in streams(after)
    assert "EVENTS WILL FIRE, for what is there in org/items." in text(changes(BEFORE, after, KNOWN))


@pytest.mark.parametrize(
    ("first", "emit", "to"),
    [(True, False, ("crm",)), (None, False, ()), (None, True, ("crm",)), (False, True, ())],
)
def test_routes_decide_who_takes_the_first_sight(first, emit, to):
    """As the source says, unless they say otherwise."""
    after = replace(
        BEFORE,
        resources={"clients": CLIENTS, "items": ITEMS},
        routes={"items": Way(("item.*",), ("crm",), first, "d")},
        emit_first=emit,
    )
    found = streams(after)["org/items"]
    assert (found.emits, found.to) == (bool(emit or first), to)


def test_a_resource_that_is_gone_is_forgotten():
    """With so many records, and no event."""
    found = streams(replace(BEFORE, resources={"items": ITEMS}))
    assert found["org/clients"][1:4] == (What.REMOVED, 7, False)


def test_what_was_forgotten_is_read_anew_in_silence():
    """Whoever emits."""
    known = replace(KNOWN, standings=[Standing(ON, Progress(sweeps=3))])
    before, after = replace(BEFORE, resources={}), replace(BEFORE, emit_first=True)
    assert streams(after, known, before)["org/clients"][1:4] == (What.REREAD, 0, False)
    assert streams(BEFORE, known) == {}


def test_another_address_reads_all_anew():
    """Also where all of it is told at first; organizations that are not known begin."""
    found = streams(replace(BEFORE, address="https://other.example", emit_first=True))
    assert found["org/clients"][1:4] == (What.REREAD, 7, False)
    assert found["*/clients"][1:4] == (What.ADDED, 0, True)


@pytest.mark.parametrize(
    "after",
    [
        replace(BEFORE, settings=BEFORE.settings | {"source.token.env": "OTHER"}),
        replace(BEFORE, address="https://other.example"),
    ],
    ids=["another token", "another address"],
)
def test_another_account_may_have_other_organizations(after):
    """They would be new."""
    assert "*/clients" in streams(after)


def test_organizations_that_are_left_out_are_forgotten():
    """And those that are named begin."""
    found = streams(replace(BEFORE, organizations=("new",)))
    assert {name: change.what for name, change in found.items()} == {
        "org/clients": What.REMOVED,
        "new/clients": What.ADDED,
    }


@pytest.mark.parametrize(("progress", "emits"), [(Progress(), True), (BEGUN, True), (Progress(sweeps=1), None)])
def test_a_first_listing_that_is_not_over_may_change_its_mind(progress, emits):
    """The rest of it is told then; unless the stream was forgotten before."""
    known = replace(KNOWN, standings=[Standing(ON, progress)])
    found = streams(replace(BEFORE, emit_first=True), known)
    assert (found["org/clients"].emits if found else None) == emits


@pytest.mark.parametrize(("was", "becomes", "what"), [(False, True, What.ANNOUNCED), (True, False, What.HUSHED)])
def test_a_resource_may_be_followed_silently(was, becomes, what):
    """For the sake of another one; it goes on."""
    before = replace(BEFORE, resources={"clients": CLIENTS._replace(announced=was)})
    after = replace(BEFORE, resources={"clients": CLIENTS._replace(announced=becomes)})
    assert streams(after, before=before)["org/clients"][1:4] == (what, 7, False)


def test_a_sink_that_goes_keeps_what_waits():
    """And one that is just the same under another name is told to be new."""
    after = replace(BEFORE, receivers={"erp": BEFORE.receivers["crm"]})
    gone, new = changes(BEFORE, after, KNOWN).queues
    assert (gone.what, gone.waiting, gone.gains) == (What.REMOVED, 3, ())
    assert gone.loses == new.gains == ("client.created", "client.deleted", "client.updated")
    assert (new.what, new.waiting, new.renamed) == (What.ADDED, 0, "crm")
    told = text(changes(BEFORE, after, KNOWN))
    assert "crm: 3 deliveries wait until a sink has that name again" in told
    assert "just as crm was" in told


def test_a_sink_that_is_back_gets_what_waited():
    """It is said how many."""
    before = replace(BEFORE, receivers={})
    (new,) = changes(before, BEFORE, KNOWN).queues
    assert (new.what, new.waiting) == (What.ADDED, 3)
    assert "crm: 3 deliveries that wait for it are sent" in text(changes(before, BEFORE, KNOWN))


def test_a_route_decides_what_a_sink_may_get():
    """With the first one, other events go nowhere."""
    after = replace(BEFORE, routes={"big": Way(("client.created",), ("crm",), None, "d")})
    found = changes(BEFORE, after, KNOWN)
    assert found.routes == ((("big", What.ADDED, 2)),)
    assert (found.queues[0].what, found.queues[0].gains) == (What.CHANGED, ())
    assert found.queues[0].loses == ("client.deleted", "client.updated")


def test_settings_are_told_with_both_values():
    """And what a reload cannot change."""
    slower = CLIENTS._replace(every_s=600.0, ignore=("note",))
    settings = BEFORE.settings | {"source.rate": "5.0", "state.path": "other.db"}
    after = replace(BEFORE, resources={"clients": slower}, settings=settings)
    found = changes(BEFORE, after, KNOWN)
    assert found.settings == (
        ("resources.clients.every", "60 s", "600 s"),
        ("resources.clients.ignore", "", "note"),
        ("source.rate", "20.0", "5.0"),
        ("state.path", "poller.db", "other.db"),
    )
    assert found.refused == ("state.path",)
    assert "A RELOAD REFUSES IT: state.path" in text(found)
    assert found.told()["streams"] == []


def test_without_an_old_configuration_the_state_alone_is_compared():
    """All that it does not follow begins; nothing can be said of settings."""
    found = changes(None, replace(BEFORE, resources={"clients": CLIENTS, "items": ITEMS}), KNOWN)
    assert [(change.stream, change.what) for change in found.streams if "*" not in change.stream] == [
        ("org/items", What.ADDED)
    ]
    assert found.settings == ()


@pytest.mark.parametrize(
    ("plan", "progress", "reason"),
    [
        (Plan({"clients": None}), WELL.progress, ""),
        (Plan({}), WELL.progress, "its resource is switched off"),
        (Plan({}), BEGUN, "its resource is switched off"),
        (Plan({}), Progress(sweeps=1), ""),
        (Plan({"clients": None}, organizations=["b"]), WELL.progress, "the organization is not among"),
        (Plan({"clients": None}, organizations=["org"]), WELL.progress, ""),
        (Plan({"clients": None}, address="https://b"), WELL.progress, "source.base_url is another"),
        (Plan({"clients": None}, address="https://a"), WELL.progress, ""),
    ],
)
def test_what_is_forgotten(plan, progress, reason):
    """Records that are not followed, or were found elsewhere; only once."""
    assert estranged(Standing(ON, progress), plan, "https://a").startswith(reason)
    assert bool(estranged(Standing(ON, progress), plan, "https://a")) == bool(reason)


def test_an_address_that_was_never_kept_is_no_other():
    """A state of an older version has none."""
    assert estranged(WELL, Plan({"clients": None}, address="https://b"), "") == ""


def test_triggers_of_a_whole_resource_are_one_word():
    """A new sink may get thirty; what it gets of a resource is listed only where it is not all."""
    routes = {"some": Way(("client.*", "item.created"), ("new",), None, "1")}
    receivers = BEFORE.receivers | {"new": Receiver("file", "b2")}
    after = replace(BEFORE, resources={"clients": CLIENTS, "items": ITEMS}, receivers=receivers, routes=routes)
    assert "may get: client.*, item.created\n" in text(changes(BEFORE, after, KNOWN))
