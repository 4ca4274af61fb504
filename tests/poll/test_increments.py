"""What a poll asks for, and that no change escapes it: ties, late records, stamps and clocks that are off."""

import json

import pytest
from mirror import HOUR_MS, MINUTE_MS, SECOND_MS, plan
from polled import CLIENTS, baselined, kinds

from poller.simulator import faults
from poller.simulator.account import stamped


def test_an_idle_poll_is_one_request(rig, account, org):
    """Nothing changed within the overlap: one request, nothing told, and nothing of old read again."""
    account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    for _ in range(3):
        rig.now_ms.advance(MINUTE_MS)
        assert rig.poll(org, CLIENTS) == []
        assert rig.asked() == [f"Organizations/{org}/clients"]


def test_a_count_check_is_one_request_more(rig, account, org):
    """Every so many polls the API's count is compared."""
    account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    rig.follow(count_every=2)
    asked = []
    for _ in range(4):
        rig.now_ms.advance(MINUTE_MS)
        assert rig.poll(org, CLIENTS) == []
        asked.append(rig.asked())
    plain = [f"Organizations/{org}/clients"]
    assert asked == [plain, [*plain, f"{plain[0]}/count"]] * 2


def test_idle_prices_are_one_request_more_for_each_list(rig_of, account, org):
    """Prices are listed by price list, and the price lists are followed beside them."""
    lists = [account.create(org, "price_lists") for _ in range(3)]
    for parent in lists:
        account.bulk_create(org, "prices", 2, parent=parent)
    rig = rig_of(plan("prices"))
    baselined(rig, org, "prices")
    assert rig.poll(org, "prices") == []
    assert rig.asked() == [f"Organizations/{org}/priceLists", *(f"PriceLists/{one}/prices" for one in lists)]


def test_slow_answers_are_no_clock_that_went_back(rig, account, org, monkeypatch):
    """Two polls within a second, the second of them slower: no sweep, it is one request all the same."""
    account.bulk_create(org, CLIENTS, 2)
    baselined(rig, org)
    rig.poll(org, CLIENTS)
    rig.asked()
    ask = type(rig.source._client()).request

    def slow(client, *args, **more):
        return ask(client, *args, **more)._replace(elapsed_s=2.5)

    monkeypatch.setattr(type(rig.source._client()), "request", slow)
    assert rig.poll(org, CLIENTS) == []
    assert len(rig.asked()) == 1


@pytest.mark.parametrize("page_cap", [1, 2, 3, 5, 100])
def test_ties_at_the_border_of_a_page_are_all_seen(rig, simulator, account, org, page_cap):
    """A bulk write gives many records one stamp; no page border loses or repeats any."""
    ids = account.bulk_create(org, CLIENTS, 7)
    baselined(rig, org)
    simulator.page_cap = page_cap
    account.bulk_update(org, CLIENTS, ids, {"name": "All of them"})
    rig.now_ms.advance(SECOND_MS)
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", one) for one in ids]
    assert rig.poll(org, CLIENTS) == []


def test_a_record_that_shows_late_is_seen(rig, account, org):
    """A write that becomes visible only minutes after its stamp lies within the overlap."""
    baselined(rig, org)
    late = account.create(org, CLIENTS, late_ms=4 * MINUTE_MS)
    events = []
    for _ in range(6):
        rig.now_ms.advance(MINUTE_MS)
        account.create(org, CLIENTS)
        events += rig.poll(org, CLIENTS)
    assert ("created", late) in kinds(events)
    assert len(events) == 7


def test_a_record_stamped_in_the_future_hides_nothing(rig, account, org):
    """The watermark is the server's time, not the greatest stamp."""
    baselined(rig, org)
    future = account.create(org, CLIENTS)
    ahead = account.get(CLIENTS, future) | {"updatedAt": stamped(rig.now_ms() + 1000 * HOUR_MS)}
    account.put_raw(org, CLIENTS, future, json.dumps(ahead).encode())
    assert kinds(rig.poll(org, CLIENTS)) == [("created", future)]
    for _ in range(3):
        rig.now_ms.advance(10 * MINUTE_MS)
        new = account.create(org, CLIENTS)
        assert kinds(rig.poll(org, CLIENTS)) == [("created", new)]


def test_a_server_without_dates_is_followed_by_its_stamps(rig, simulator, account, org):
    """Where no answer has a Date, the watermark is the greatest stamp that is not in the future."""
    simulator.faults.always(faults.no_date)
    first = account.create(org, CLIENTS)
    assert rig.poll(org, CLIENTS) == []
    events = []
    for _ in range(5):
        rig.now_ms.advance(4 * MINUTE_MS)
        late = account.create(org, CLIENTS, late_ms=3 * MINUTE_MS)
        events += rig.poll(org, CLIENTS)
        account.update(org, CLIENTS, first, {"name": late})
        events += rig.poll(org, CLIENTS)
    rig.now_ms.advance(4 * MINUTE_MS)
    events += rig.poll(org, CLIENTS)
    assert [event.kind for event in events].count("created") == 5
    assert [event.kind for event in events].count("updated") == 5


def test_a_server_without_dates_may_begin_empty(rig, simulator, account, org):
    """With nothing to take a watermark from, the first records are still news."""
    simulator.faults.always(faults.no_date)
    assert rig.poll(org, CLIENTS) == []
    rig.now_ms.advance(MINUTE_MS)
    new = account.create(org, CLIENTS)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", new)]
    assert rig.poll(org, CLIENTS) == []


def test_a_server_clock_that_went_back_is_followed_by_a_sweep(rig, simulator, account, org):
    """While the server's clock was ahead, the watermark ran ahead of the changes."""
    one = account.create(org, CLIENTS)
    baselined(rig, org)
    simulator.faults.next(faults.date_off(5 * 3600))
    assert rig.poll(org, CLIENTS) == []
    rig.now_ms.advance(MINUTE_MS)
    account.update(org, CLIENTS, one, {"name": "Behind the watermark"})
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", one)]
    for _ in range(2):
        rig.now_ms.advance(10 * MINUTE_MS)
        rig.asked()
        assert rig.poll(org, CLIENTS) == []
    assert len(rig.asked()) == 1
