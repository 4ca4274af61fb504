"""End to end against a real LoopBack 3 server: all ten resources, 5,000 records, 1,000 random changes.

Skipped where Node is missing.
"""

import random
import time
from typing import NamedTuple

import pytest
import structlog
from mirror import Mirror, Rig, difference, plan, same
from worlds import loopback_world

from poller import search
from poller.simulator.resources import RESOURCES

TEN = [name for name in RESOURCES if name != "price_lists"]
PER_STREAM = 250  # 2 organizations x 10 resources
LISTS = 3
ROUNDS, CHANGES = 4, 250
OVERLAP_S = 2.0
KINDS = {"create": 25, "update": 45, "soft_delete": 20, "hard_delete": 10}


class Expected(NamedTuple):
    """What a change has to be announced as; ``body`` is what the event shows of the record."""

    kind: str
    body: dict
    before: dict | None = None


@pytest.fixture(scope="module")
def world():
    """Two organizations with 2,500 records each."""
    with loopback_world() as world:
        for org in world.organizations:
            lists = world.bulk_create(org, "price_lists", LISTS)
            for name in TEN:
                parents = lists if name == "prices" else [""]
                for place, parent in enumerate(parents):
                    share = range(place, PER_STREAM, len(parents))
                    world.bulk_create(org, name, [distinct(name, number) for number in share], parent)
        yield world


@pytest.fixture(scope="module")
def orgs(world):
    return world.organizations


@pytest.fixture(scope="module")
def rig(world, tmp_path_factory):
    """A poller on the real clock, with all that it ever announced."""
    follow = plan(*TEN, overlap_s=OVERLAP_S)
    path = tmp_path_factory.mktemp("state") / "poller.db"
    rig = Rig(path, follow, url=world.url, token=world.token, clock=lambda: time.time_ns() // 1_000_000)
    yield rig
    rig.close()


def distinct(name, number):
    """A field or two of a resource with values of its own."""
    own = {
        "payments": {"amount": number + 0.5, "note": f"No. {number}"},
        "prices": {"amount": number + 0.25},
        "documents": {"total": number + 0.75, "reference": f"R-{number}"},
        "orders": {"number": f"O-{number}", "paid": number % 2 == 0},
        "recurrences": {"name": f"Monthly {number}", "numRecurrences": number},
    }
    return own.get(name, {"name": f"Žiga & Co {number}"})


def everywhere(rig, orgs, *, full=False):
    """Poll every stream of every organization; the events, as they came."""
    events = []
    for org in orgs:
        for name in TEN:
            events += rig.poll(org, name, full=full)
    return events


def shown(world, orgs):
    """Every live record, as the API shows it."""
    return {(org, name, one): body for org in orgs for name in TEN for one, body in world.live(org, name).items()}


def change(world, orgs, rng, before, number):
    """One random change of a record that had none in this round; its key and kind."""
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    org, name = rng.choice(orgs), rng.choice(TEN)
    if kind == "create":
        parent = rng.choice(sorted(world.live(org, "price_lists"))) if name == "prices" else ""
        return (org, name, world.create(org, name, distinct(name, number), parent)), kind
    one = rng.choice([key for key in before if key[:2] == (org, name)])
    fields = (distinct(name, number) | {"custom": {"round": number}},) if kind == "update" else ()
    getattr(world, kind)(*one, *fields)
    before.pop(one)
    return one, kind


def expectation(kind, before, after):
    if kind == "create":
        return Expected("created", after)
    if kind == "update":
        return Expected("updated", after, before)
    return Expected("deleted", before)


def test_every_change_is_announced_once(world, orgs, rig):
    """After a silent first sight: the right kind, what changed, what it was, and the last known record."""
    rng = random.Random()
    seed = rng.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  shown where this fails
    rng.seed(seed)
    assert everywhere(rig, orgs) == []
    live = shown(world, orgs)
    assert len(live) == 2 * len(TEN) * PER_STREAM
    mirror = Mirror()
    mirror.records = dict(live)
    announced = 0
    for round_number in range(ROUNDS):
        untouched = dict(live)
        done = [change(world, orgs, rng, untouched, round_number * CHANGES + number) for number in range(CHANGES)]
        after = shown(world, orgs)
        expected = {key: expectation(kind, live.get(key), after.get(key)) for key, kind in done}
        assert len(expected) == CHANGES
        events = everywhere(rig, orgs, full=True)  # hard deletions show in sweeps only
        compare(events, expected)
        mirror.fold(events)
        announced += len(events)
        live = after
    assert announced == ROUNDS * CHANGES
    assert mirror.records.keys() == live.keys()
    assert all(same(mirror.records[key], body) for key, body in live.items())
    assert everywhere(rig, orgs, full=True) == []


def compare(events, expected):
    assert sorted(event.key for event in events) == sorted(expected)
    for event in events:
        due = expected[event.key]
        assert event.kind == due.kind, event.key
        if event.kind == "deleted" and event.object.get("_isDeleted"):
            left = {name: event.object.get(name) for name in due.body if name not in ("updatedAt", "_isDeleted")}
            assert same(left, {name: due.body[name] for name in left}), "the tombstone is not of that record"
            continue
        assert same(event.object, due.body), event.key
        if due.before is not None:
            changed, previous = difference(due.before, due.body)
            assert set(event.changed) == changed
            assert same(event.previous, previous)


def test_hard_deletions_are_found_by_counting(world, orgs, rig, monkeypatch):
    """Its counts above an id are what the simulator's are; by tens, so that a search is worth it."""
    monkeypatch.setattr(search, "PAGE_MARKS", 10)
    (org, _), rng = orgs, random.Random(1)
    everywhere(rig, orgs)
    rig.follow(count_every=1)
    for name in ("clients", "prices"):
        gone = rng.sample(sorted(world.live(org, name)), 3)
        for one in gone:
            world.hard_delete(org, name, one)
        with structlog.testing.capture_logs() as log:
            events = rig.poll(org, name)
        assert sorted((event.kind, event.record_id) for event in events) == sorted(("deleted", one) for one in gone)
        assert [line["gone"] for line in log if line["event"] == "count.located"] == [3]


def test_an_idle_poll_is_one_request_a_stream(world, orgs, rig):
    """Two with its count check, and prices one more for each price list; nothing is announced."""
    time.sleep(OVERLAP_S + 1.5)  # the server's Date is in whole seconds
    everywhere(rig, orgs)
    time.sleep(OVERLAP_S + 1.5)
    for count_every in (1_000_000, 1):
        rig.follow(count_every=count_every)
        times = 2 if count_every == 1 else 1
        for org in orgs:
            for name in TEN:
                rig.asked()
                assert rig.poll(org, name) == []
                lists = len(world.live(org, "price_lists"))
                assert len(rig.asked()) == times * (1 + lists if name == "prices" else 1), name


def test_a_page_that_did_not_change_is_not_shown_again(orgs, rig):
    """Stock LoopBack tags what it shows, and says of each page that was as remembered that it still is."""
    everywhere(rig, orgs, full=True)  # after the changes
    everywhere(rig, orgs, full=True)
    before = not_modified(rig)
    assert everywhere(rig, orgs, full=True) == []
    (tagged,) = rig.store._one("SELECT count(*) FROM page WHERE bodies")
    assert tagged > len(orgs) * len(TEN)
    assert not_modified(rig) - before == tagged


def not_modified(rig):
    """How many answers said so."""
    [counted] = [series for row, series in rig.source._meter.counters() if row.name == "requests"]
    return counted.get(("3xx",), 0)
