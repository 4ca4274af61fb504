"""What ``poller plan`` says of an edit is what happens then: no event more, none less, and to those sinks."""

from collections import Counter

import pytest
from edits import OTHER_TOKEN, TOKEN, USED, Edit, Reloads, Restarts, World

from poller import breaker, retry
from poller.config import load
from poller.route import matches

USUAL = Edit()
EMIT = {"first_sync": "emit"}
ROUTE = '[[route]]\nname = "{name}"\non = {on}\nto = {to}\n{more}'


def route(name, on, to, more=""):
    return ROUTE.format(name=name, on=str(on).replace("'", '"'), to=str(to).replace("'", '"'), more=more)


CLIENTS_TO_MAIN = route("clients", ["client.*"], ["main"])
ALL_TO_OTHER = route("all", ["*"], ["other"])

EDITS = {
    "nothing": (USUAL, Edit(extra="# a comment")),
    "a resource is switched on": (USUAL, Edit(on=("clients", "items", "taxes"))),
    "a resource is switched on, and tells all": (USUAL, Edit(on=("clients", "items", "taxes"), source=EMIT)),
    "a resource is switched off": (USUAL, Edit(on=("clients",))),
    "one off, another on": (USUAL, Edit(on=("clients", "taxes"))),
    "a resource comes back": (Edit(on=("clients",)), USUAL, USUAL),
    "a resource comes back where all is told": (Edit(on=("clients",)), Edit(source=EMIT), USUAL),
    "a resource comes back to a route that takes all": (
        Edit(on=("clients",)),
        Edit(extra=route("first", ["*"], ["main"], 'first_sync = "emit"\n')),
        USUAL,
    ),
    "first_sync emit alone": (USUAL, Edit(source=EMIT)),
    "first_sync silent again": (Edit(source=EMIT), USUAL),
    "a path is ignored": (USUAL, Edit(resources={"clients": {"ignore": ["name"]}})),
    "a path is not ignored any more": (Edit(resources={"clients": {"ignore": ["name"]}}), USUAL),
    "intervals": (USUAL, Edit(source={"every": "80ms", "sweep_every": "1h", "overlap": "10s"})),
    "counts and sweeps": (USUAL, Edit(source={"count_every": 2, "full_sweep": 1}, resources={"items": "90ms"})),
    "one organization of two": (USUAL, Edit(organizations=1)),
    "both organizations by name": (USUAL, Edit(organizations=2)),
    "an organization comes back": (Edit(organizations=1), USUAL, USUAL),
    "an organization is added": (Edit(organizations=1), Edit(organizations=2)),
    "an organization is added, and tells all": (Edit(organizations=1), Edit(source=EMIT)),
    "another server with the same organizations": (USUAL, Edit(server="twin")),
    "another server with the same organizations, and all is told": (USUAL, Edit(server="twin", source=EMIT)),
    "another account at another address": (USUAL, Edit(server="other")),
    "another account at the same address": (USUAL, Edit(server="swapped")),
    "prices, and their lists with them": (USUAL, Edit(on=("clients", "prices"))),
    "price lists are asked for": (Edit(on=("prices",)), Edit(on=("prices", "price_lists"))),
    "price lists are not asked for": (Edit(on=("prices", "price_lists")), Edit(on=("prices",))),
    "a sink more": (USUAL, Edit(sinks=("main", "other", "down", "new"))),
    "a sink less, for which some wait": (USUAL, Edit(sinks=("main", "other"))),
    "a sink has another name": (USUAL, Edit(sinks=("main", "other", "down2"))),
    "a sink keeps another order": (USUAL, Edit(sinks=("main", "other:stream", "down"))),
    "a sink is of another kind": (USUAL, Edit(sinks=("main", "other", "down:record"))),
    "a sink is back": (Edit(sinks=("main",)), USUAL, USUAL),
    "a sink is back, and takes what waits": (Edit(sinks=("main",)), Edit(sinks=("main", "down:record")), USUAL),
    "the first route": (USUAL, Edit(extra=CLIENTS_TO_MAIN)),
    "a route more": (Edit(extra=CLIENTS_TO_MAIN), Edit(extra=CLIENTS_TO_MAIN + ALL_TO_OTHER)),
    "a route less": (Edit(extra=CLIENTS_TO_MAIN + ALL_TO_OTHER), Edit(extra=ALL_TO_OTHER)),
    "the last route": (Edit(extra=CLIENTS_TO_MAIN), USUAL),
    "a route on other triggers": (
        Edit(extra=CLIENTS_TO_MAIN),
        Edit(extra=route("clients", ["*.deleted", "item.created"], ["main"])),
    ),
    "a route to another sink": (Edit(extra=CLIENTS_TO_MAIN), Edit(extra=route("clients", ["client.*"], ["other"]))),
    "a route with a condition": (
        Edit(extra=CLIENTS_TO_MAIN),
        Edit(extra=route("clients", ["client.*"], ["main"], "when = \"event.kind == 'created'\"\n")),
    ),
    "a route tells all of a new resource": (
        Edit(extra=ALL_TO_OTHER),
        Edit(
            on=("clients", "items", "taxes"),
            extra=ALL_TO_OTHER + route("first", ["tax.created"], ["main"], 'first_sync = "emit"\n'),
        ),
    ),
    "another origin": (USUAL, Edit(source={"origin": "another"})),
    "the state's limits": (USUAL, Edit(state='keep = "7d"\nmax_pending = 1000')),
}
"""An edit is the old configuration and the new one; a third one, where there is any, came before both."""


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, "t" * 64)
    monkeypatch.setattr(retry, "SINK_WAITS_S", (0.05, 0.05))
    monkeypatch.setattr(breaker, "SHORTEST_WAIT_S", 0.01)
    world = World(tmp_path)
    yield world
    world.close()


def expected(said, world, old, new):
    """The events that are to come by this answer: so many of each stream and kind."""
    rows = {row["stream"]: row for row in said["streams"]}
    shown, found = world.others.get(new.server, world.account).organizations, Counter()
    for org in shown:
        for resource in USED:
            known = org in world.account.organizations[: old.organizations]
            row = rows.get(f"{org}/{resource}") or (None if known else rows.get(f"*/{resource}"))
            went_on = known and resource in old.on
            kinds = beginning(row) if row and row["what"] != "announced" else CHANGES if row or went_on else {}
            quiet = "name" in new.resources.get(resource, {}).get("ignore", ()) if resource == "clients" else False
            announced = resource in new.on
            found += Counter(
                {
                    (org, resource, kind): count
                    for kind, count in kinds.items()
                    if announced and not (quiet and kind == "updated")
                }
            )
    return found


CHANGES = {"created": 1, "deleted": 1, "updated": 2}
"""What happens in each stream: three times while nobody polls, once afterwards."""


def beginning(row):
    """What is told of a stream that begins: what is there, if all of that is told, and what happens afterwards."""
    if row["what"] in ("removed", "hushed"):
        return {}
    return {"created": 3 if row["emits"] else 0, "updated": 1}


def gets(config, sink, triggers):
    """The triggers of these that a sink may get by this configuration."""
    plan = config.plan()
    if sink not in config.sinks:
        return set()
    return {
        trigger
        for trigger in triggers
        if not plan.routes or any(matches(each, trigger) and sink in each.cases[0].to for each in plan.routes)
    }


def triggers(config):
    watches = config.plan().watches.values()
    return {f"{watch.resource.singular}.{kind}" for watch in watches if watch.announces for kind in KINDS}


KINDS = ("created", "updated", "deleted")


@pytest.mark.parametrize("way", [Restarts, Reloads], ids=["restart", "reload"])
@pytest.mark.parametrize("name", EDITS)
def test_what_is_planned_is_what_happens(world, monkeypatch, name, way):
    """Exactly the events that the answer leaves room for, each to exactly the sinks that it says."""
    monkeypatch.setenv(OTHER_TOKEN, ("o" if "another address" in name else "s") * 64)
    old, new, *earlier = EDITS[name]
    at = way(world)
    try:
        for number, first in enumerate(earlier):
            at.begin(world.write(first, f"earlier-{number}.toml"))
            world.known(f"earlier-{number}")
            at.poll()
        present, wanted = world.write(old, "old.toml"), world.write(new, "new.toml")
        at.begin(present)
        world.known()
        at.poll()
        said = world.plan(present, wanted)
        (sequence,) = world.rows("SELECT max(sequence) FROM event")[0]
        waited = pending(world)
        at.swap(wanted, new)
        world.afterwards(new)
        at.poll()
    finally:
        at.end()
    happened = world.rows("SELECT org, resource, trigger FROM event WHERE sequence > ?", sequence or 0)
    counted = Counter((org, resource, trigger.rpartition(".")[2]) for org, resource, trigger in happened)
    assert counted == expected(said, world, old, new)
    check_deliveries(world, said, load(present), load(wanted), sequence or 0)
    check_waiting(said, waited, pending(world, sequence or 0))


def pending(world, upto=1 << 62):
    return dict(
        world.rows("SELECT sink, count(*) FROM delivery WHERE state = 'pending' AND sequence <= ? GROUP BY sink", upto)
    )


def check_deliveries(world, said, before, after, sequence):
    """Each event goes to the sinks that got its trigger before, but for what the answer adds and takes away.

    What is there at the first sight goes where the answer says.
    """
    firsts = {row["stream"]: row["to"] for row in said["streams"] if row["emits"]}
    queues = {row["name"]: row for row in said["queues"]}
    may = {}
    for sink in {*before.sinks, *after.sinks}:
        row = queues.get(sink, {"gains": [], "loses": []})
        may[sink] = gets(before, sink, triggers(before)) - {*row["loses"]} | {*row["gains"]}
        assert may[sink] == gets(after, sink, triggers(after))
    conditional = any(table.when for table in after.route)
    sql = "SELECT sequence, org, resource, trigger FROM event WHERE sequence > ?"
    for number, org, resource, trigger in world.rows(sql, sequence):
        went = {sink for (sink,) in world.rows("SELECT sink FROM delivery WHERE sequence = ?", number)}
        first = firsts.get(f"{org}/{resource}", firsts.get(f"*/{resource}"))
        possible = {sink for sink in may if trigger in may[sink]}
        if first is not None and trigger.endswith(".created"):
            possible = set(first)
        assert went <= possible if conditional else went == possible


def check_waiting(said, before, after):
    """What waits for a sink that goes is kept; what waits for one that comes is let go, or waits for its receiver."""
    for row in said["queues"]:
        assert row["waiting"] == before.get(row["name"], 0)
        if row["what"] == "removed":
            assert after.get(row["name"], 0) == row["waiting"]
        elif not row["name"].startswith("down") or ":" in row["name"]:
            assert after.get(row["name"], 0) == 0


def test_there_are_enough_edits():
    """Of what an operator may change."""
    assert len(EDITS) >= 20
