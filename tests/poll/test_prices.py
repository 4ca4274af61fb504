"""Prices are followed by price list, and come and go with it."""

import json

import pytest
from mirror import HOUR_MS, MINUTE_MS, plan
from polled import baselined, hidden, kinds

from poller.simulator import account as simulated
from poller.simulator import faults
from poller.sources import Incomplete


@pytest.fixture
def prices(rig_of, account, org):
    """A rig that follows prices and price lists; two lists, and their prices."""
    lists = [account.create(org, "price_lists") for _ in range(2)]
    ids = {one: account.bulk_create(org, "prices", 3, parent=one) for one in lists}
    rig = baselined(rig_of(plan("prices", "price_lists")), org, "prices")
    return rig, ids


@pytest.mark.parametrize("delete", ["soft_delete", "hard_delete"])
def test_a_price_list_takes_its_prices_with_it(prices, account, org, delete):
    """Each price is deleted once, with its last known record, and the other list's prices stay."""
    rig, ids = prices
    first, other = ids
    last = {one: account.get("prices", one) for one in ids[first]}
    getattr(account, delete)(org, "price_lists", first)
    events = rig.poll(org, "prices") + rig.poll(org, "prices")
    events += rig.poll(org, "prices", full=True)
    assert kinds(events)[0] == ("deleted", first)
    assert sorted(kinds(events)[1:]) == [("deleted", one) for one in ids[first]]
    assert all(event.object == last[event.record_id] for event in events[1:])
    assert rig.progress(org, "prices").live == len(ids[other])
    assert rig.poll(org, "prices", full=True) == []


def test_a_new_price_list_brings_its_prices(prices, account, org):
    """Its prices are created, also those written long before the list was seen."""
    rig, _ = prices
    new = account.create(org, "price_lists")
    ids = account.bulk_create(org, "prices", 3, parent=new)
    rig.now_ms.advance(HOUR_MS)
    assert kinds(rig.poll(org, "prices")) == [("created", new), *(("created", one) for one in ids)]
    assert rig.poll(org, "prices", full=True) == []


def test_a_price_list_that_goes_while_it_is_first_read(prices, simulator, account, org):
    """Half of its prices were told when it went: they are deleted again."""
    rig, _ = prices
    new = account.create(org, "price_lists")
    ids = account.bulk_create(org, "prices", 4, parent=new)
    simulator.page_cap = 2

    def drift(request):
        if f"/{new}/" in request.path and "gt" in json.dumps(request.filter or {}):
            simulator.on_request = None
            account.soft_delete(org, "price_lists", new)

    simulator.on_request = drift
    events = rig.poll(org, "prices")
    assert kinds(events) == [("created", new), *(("created", one) for one in ids[:2])]
    events = rig.poll(org, "prices")
    assert sorted(kinds(events)) == sorted([("deleted", new), *(("deleted", one) for one in ids[:2])])


def test_a_price_list_that_goes_after_its_first_reading_failed(prices, simulator, account, org):
    """The same, where the reading ended in an error."""
    rig, _ = prices
    new = account.create(org, "price_lists")
    ids = account.bulk_create(org, "prices", 4, parent=new)
    simulator.page_cap = 2
    simulator.faults.at(2, faults.html, path=new)
    with pytest.raises(Incomplete):
        rig.poll(org, "prices")
    assert len(rig.news()) == 3
    account.soft_delete(org, "price_lists", new)
    events = rig.poll(org, "prices")
    assert sorted(kinds(events)) == sorted([("deleted", new), *(("deleted", one) for one in ids[:2])])


def test_a_price_list_that_is_away_while_a_first_sight_goes_on(rig_of, simulator, account, org):
    """It was half read before, and is back before the end: increments tell the rest of its prices."""
    lists = [account.create(org, "price_lists") for _ in range(2)]
    ids = {one: account.bulk_create(org, "prices", 4, parent=one) for one in lists}
    rig, (half, other) = rig_of(plan("prices", "price_lists", emit_first=True)), lists
    rig.now_ms.advance(HOUR_MS)  # beyond the overlap
    simulator.page_cap = 2
    for failing, act in ((half, account.soft_delete), (other, account.restore)):
        simulator.faults.at(2, faults.html, path=failing)
        with pytest.raises(Incomplete):
            rig.poll(org, "prices")
        act(org, "price_lists", half)
    for _ in range(3):
        rig.now_ms.advance(HOUR_MS)
        rig.run(org, "prices")
    told = [event.record_id for event in rig.news() if event.resource == "prices"]
    assert sorted(told) == sorted([*ids[half], *ids[other]])
    assert rig.poll(org, "prices", full=True) == []


@pytest.mark.parametrize("silent", [True, False])
def test_a_price_list_that_goes_in_the_first_sight(rig_of, simulator, account, org, silent):
    """It was half read when it was not there for a moment: the rest of its prices is read later."""
    parent = account.create(org, "price_lists")
    ids = account.bulk_create(org, "prices", 4, parent=parent)
    rig = rig_of(plan("prices", emit_first=not silent))
    rig.now_ms.advance(HOUR_MS)
    simulator.page_cap = 2
    simulator.faults.at(2, faults.organization_gone, path="prices")
    assert kinds(rig.poll(org, "prices")) == ([] if silent else [("created", one) for one in ids[:2]])
    assert kinds(rig.poll(org, "prices")) == [("created", one) for one in ids[2:]]
    assert rig.poll(org, "prices", full=True) == []


def test_a_price_list_that_is_gone_when_the_first_sight_resumes(rig_of, simulator, account, org):
    """And is back before anyone knew: the same."""
    first, other = (account.create(org, "price_lists") for _ in range(2))
    ids = account.bulk_create(org, "prices", 4, parent=first)
    account.create(org, "prices", parent=other)
    rig = rig_of(plan("prices", "price_lists", emit_first=True))
    rig.now_ms.advance(HOUR_MS)
    simulator.page_cap = 2
    simulator.faults.at(2, faults.html, path="prices")
    with pytest.raises(Incomplete):
        rig.poll(org, "prices")
    account.soft_delete(org, "price_lists", first)
    rig.poll(org, "prices")
    account.restore(org, "price_lists", first)
    rig.poll(org, "prices")
    told = [event.record_id for event in rig.outbox() if event.resource == "prices" and event.kind == "created"]
    assert set(ids) <= set(told)


def test_a_restored_price_list_brings_its_prices_back(prices, account, org):
    """They are created again."""
    rig, ids = prices
    first = next(iter(ids))
    account.soft_delete(org, "price_lists", first)
    rig.poll(org, "prices")
    rig.now_ms.advance(MINUTE_MS)
    account.restore(org, "price_lists", first)
    assert kinds(rig.poll(org, "prices")) == [("created", first), *(("created", one) for one in ids[first])]


def test_missing_prices_of_a_list_that_is_gone_hold_up_nothing(prices, simulator, account, org):
    """The list of a missing price went before the price was confirmed: the stream is followed on."""
    rig, ids = prices
    first, other = ids
    simulator.faults.always(hidden(ids[first][0]))
    assert rig.poll(org, "prices", full=True) == []  # missing, but counted
    simulator.faults.clear()
    account.hard_delete(org, "price_lists", first)
    simulator.faults.always(faults.instead(b'{"count":2}'), path="priceLists/count")
    events = []
    for _ in range(3):
        account.update(org, "prices", ids[other][0], {"amount": rig.now_ms()})
        events += rig.poll(org, "prices")
        rig.now_ms.advance(MINUTE_MS)
    assert kinds(events) == [("updated", ids[other][0])] * 3


def test_a_price_that_moves_while_it_is_swept_is_not_deleted(prices, simulator, account, org):
    """Neither list shows it, and a deletion elsewhere makes the counts agree: it is asked for in the other list too."""
    rig, ids = prices
    first, second = sorted(ids)
    moved, gone = ids[second][1], ids[first][0]

    def drift(request):
        if _lists(request, second):
            simulator.on_request = None
            _move(rig, account, org, moved, first)
            account.hard_delete(org, "prices", gone)

    simulator.on_request = drift
    events = rig.poll(org, "prices", full=True)
    events += rig.poll(org, "prices") + rig.poll(org, "prices", full=True)
    assert kinds(events) == [("updated", moved), ("deleted", gone)]
    assert events[0].changed == ["priceListId"]


def test_a_price_that_moves_to_a_list_that_is_new_is_not_deleted(prices, simulator, account, org):
    """Only the next poll knows the list: the price is missing until then, although the counts of the others agree."""
    rig, ids = prices
    parent = min(ids)
    moved = ids[parent][1]

    def drift(request):
        if _lists(request, parent):
            simulator.on_request = None
            new.append(account.create(org, "price_lists"))
            _move(rig, account, org, moved, new[0])

    new, simulator.on_request = [], drift
    assert rig.poll(org, "prices", full=True) == []
    assert kinds(rig.poll(org, "prices")) == [("created", new[0]), ("updated", moved)]


def _lists(request, parent):
    return f"/{parent}/" in request.path and (request.filter or {}).get("order") == ["id ASC"]


def _move(rig, account, org, price, parent):
    fields = account.get("prices", price) | {"priceListId": parent, "updatedAt": simulated.stamped(rig.now_ms())}
    account.hard_delete(org, "prices", price)
    account.put_raw(org, "prices", price, json.dumps(fields).encode(), parent=parent)
