"""Listings of the v1 API: sweeps and increments show everything once, and when each page began."""

import json
from itertools import pairwise
from time import time

import pytest
from listings import EVERYTHING, IDS, asked, listed

from poller.model import Stream, Tagged
from poller.simulator import faults
from poller.simulator.http import Answer
from poller.sources import Increment, SourceError, Sweep
from poller.sources.conditions import MISSES
from poller.sources.spaceinvoices import RESOURCES

# Listings


def test_a_sweep_shows_everything_once_by_id(world, source, clients):
    """Tombstones too, in pages of the API's size, to an empty page at the end."""
    ids = world.bulk_create(clients.org, "clients", 230)
    world.soft_delete(clients.org, "clients", ids[7])
    pages = list(source.list(clients, EVERYTHING))
    assert [len(page.records) for page in pages] == [100, 100, 30, 0]
    records = [record for page in pages for record in page.records]
    assert [record.id for record in records] == sorted(ids)
    assert [record.id for record in records if record.deleted] == [ids[7]]
    assert json.loads(records[0].body) == world.account.get("clients", ids[0])


def test_a_sweep_resumes_above_an_id(world, source, clients):
    """As a crash left it."""
    ids = world.bulk_create(clients.org, "clients", 5)
    assert [record.id for record in listed(source, clients, Sweep(ids[2], bodies=True))] == ids[3:]


def test_of_what_is_known_a_sweep_has_ids_only(world, source, clients):
    """It asks for as many digests as a page has records, above the last id; what is not among them is read."""
    ids = world.bulk_create(clients.org, "clients", 150)
    known = {record.digest: record.id for record in listed(source, clients) if record.id != ids[3]}
    asked_for = []

    def digests(after, records):
        asked_for.append((after, records))
        return known

    shown = list(source.list(clients, Sweep("", bodies=True, known=digests)))
    assert [one for page in shown for one in page.ids] == ids
    assert [record.id for page in shown for record in page.records] == [ids[3]]
    assert asked_for == [("", 100), (ids[99], 50), (ids[149], 0)]


def tags(shown):
    """What a store would give of pages that were as remembered."""
    ends = ["", *(page.ids[-1] for page in shown if page.ids)]
    found = [Tagged("", True, after, upto, 0, page.tag) for (after, upto), page in zip(pairwise(ends), shown)]  # noqa: B905, FBT003
    return Sweep("", bodies=True, tagged={page.after: page for page in found}.get)


def test_a_page_that_is_known_by_its_tag_is_asked_for_on_condition(world, source, clients):
    """The server says that it is the same, or shows what is there by now."""
    ids = world.bulk_create(clients.org, "clients", 250)
    on_condition = tags([*source.list(clients, EVERYTHING)])
    world.update(clients.org, "clients", ids[120], {"name": "Another"})
    shown = list(source.list(clients, on_condition))
    assert [page.same and page.same.upto for page in shown] == [ids[99], None, ids[249], None]
    assert [len(page.ids) for page in shown] == [0, 100, 0, 0]
    assert all(page.began_ms for page in shown)


def test_a_server_that_ignores_conditions_gets_none_any_more(world, source, clients):
    """After some tries; its tags are not given on either."""
    asked_on_condition = []

    def ignores(request, proper):
        asked_on_condition.append("if-none-match" in request.headers)
        return proper(request).header("ETag", "always the same")

    world.bulk_create(clients.org, "clients", 2)
    world.simulator.faults.always(ignores)
    on_condition = tags([*source.list(clients, EVERYTHING)])
    pages = [next(source.list(clients, on_condition)) for _ in range(MISSES + 2)]
    assert asked_on_condition[2:] == [True] * MISSES + [False] * 2
    assert [page.tag for page in pages[-3:]] == [""] * 3
    assert all(len(page.ids) == 2 for page in pages)


def test_what_was_not_asked_on_condition_is_no_answer_when_it_is_the_same(world, source, clients):
    """A 304 that nobody asked for says nothing."""
    world.bulk_create(clients.org, "clients", 2)
    world.simulator.faults.always(lambda *_: Answer(304, b""))
    with pytest.raises(SourceError, match="304"):
        list(source.list(clients, EVERYTHING))


def test_a_sweep_of_ids_has_no_bodies(world, source, clients):
    """But the stamps, and who is deleted."""
    ids = world.bulk_create(clients.org, "clients", 2)
    world.soft_delete(clients.org, "clients", ids[1])
    whole = listed(source, clients)
    assert listed(source, clients, IDS) == [record._replace(body=b"", digest=b"") for record in whole]
    assert asked(world, clients.org)[-1].filter["fields"] == {
        "id": True,
        "updatedAt": True,
        "_isDeleted": True,
        "deletedAt": True,
    }


def test_an_increment_shows_what_changed_since(world, source, clients):
    """In the order of changes; ties, however many, are crossed page by page."""
    old = world.create(clients.org, "clients")
    since_ms = listed(source, clients)[0].updated_ms + 1
    while world.account.clock() <= since_ms:
        pass
    ids = world.bulk_create(clients.org, "clients", 250)
    world.touch(clients.org, "clients", ids[3])
    shown = listed(source, clients, Increment(since_ms))
    assert {record.id for record in shown} == {*ids}
    assert old not in {record.id for record in shown}
    assert all(one[1::-1] < other[1::-1] for one, other in pairwise(shown))


def test_an_increment_without_news_is_one_request(world, source, clients):
    """What an idle poll costs."""
    world.create(clients.org, "clients")
    assert listed(source, clients, Increment(world.account.clock() + 1000)) == []
    assert len(asked(world, clients.org)) == 1


@pytest.mark.parametrize("query", [EVERYTHING, IDS, Increment(0)])
def test_each_request_is_in_order_and_asks_for_tombstones(world, source, clients, query):
    """Else pages could not follow each other, and deletions would be hidden. Nothing is skipped."""
    world.bulk_create(clients.org, "clients", 150)
    listed(source, clients, query)
    filters = [request.filter for request in asked(world, clients.org)]
    assert len(filters) == 3
    for one in filters:
        assert one["deleted"] is True
        assert one["order"][-1] == "id ASC"
        assert one["limit"] == 100
        assert "skip" not in one


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_every_resource_is_listed_counted_and_fetched(world, source, org, name):
    """By the paths of the API; prices by their price list."""
    parent = world.create(org, "price_lists") if name == "prices" else ""
    one = world.create(org, name, {}, parent)
    stream = Stream(org, name)
    assert [record.id for record in listed(source, stream, parent=parent)] == [one]
    assert [record.id for record in source.fetch(stream, [one], parent).records] == [one]
    assert source.count(stream, parent) == 1


def test_a_server_that_lowers_its_page_limit_costs_pages_not_records(world, source, clients):
    """Only an empty page ends a listing."""
    ids = world.bulk_create(clients.org, "clients", 25)
    world.simulator.faults.always(faults.page_cap(10))
    pages = list(source.list(clients, EVERYTHING))
    assert [len(page.records) for page in pages] == [10, 10, 5, 0]
    assert [record.id for page in pages for record in page.records] == ids


def test_fault_35_records_that_appear_and_vanish_meanwhile_shift_nothing(world, source, clients):
    """Keys, not places: each of the others is shown exactly once."""
    ids = world.bulk_create(clients.org, "clients", 250)
    shown = []
    for number, page in enumerate(source.list(clients, EVERYTHING)):
        shown += [record.id for record in page.records]
        if number < 2:
            world.hard_delete(clients.org, "clients", ids[number])
            world.create(clients.org, "clients")
    assert shown[:250] == ids
    assert len(shown) == len(set(shown)) == 252


# When a listing began


def test_a_page_began_before_its_date(world, source, clients):
    """Less the time that the request took: never later than the truth."""
    before_s = int(time())
    [page] = source.list(clients, EVERYTHING)
    assert (before_s - 5) * 1000 < page.began_ms <= time() * 1000


@pytest.mark.parametrize(
    "date", [None, "soon", "", "Mon, 01 Jan 99999 00:00:00 GMT", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"]
)
def test_without_a_usable_date_nobody_knows_when_a_page_began(world, source, clients, date):
    """Some servers and proxies send none, or nonsense."""
    world.simulator.faults.always(lambda request, proper: proper(request).header("Date", date))
    assert [page.began_ms for page in source.list(clients, EVERYTHING)] == [None]
