"""One stream's polls, against the simulator and a real SQLite file."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from mirror import HOUR_MS, MINUTE_MS, SECOND_MS, Clock, Rig, plan

from poller.model import State, Stream
from poller.simulator import Account, Simulator, faults
from poller.simulator.account import stamped
from poller.sources import Denied, Incomplete, SourceError, Unreachable
from poller.stores import Decision

CLIENTS = "clients"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def account(clock):
    return Account(clock)


@pytest.fixture
def simulator(account):
    with Simulator(account) as running:
        yield running


@pytest.fixture
def rig_of(simulator, account, clock, tmp_path):
    """Makes a rig that follows a plan."""
    made = []

    def make(follow):
        made.append(Rig(tmp_path / "poller.db", follow, url=simulator.url, token=account.token, clock=clock))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(rig_of):
    """A rig that follows clients."""
    return rig_of(plan(CLIENTS))


def baselined(rig, org, resource=CLIENTS):
    """Take the baseline of what was there long before, and let so much time pass that all is idle."""
    rig.now_ms.advance(10 * MINUTE_MS)
    rig.poll(org, resource)
    rig.now_ms.advance(10 * MINUTE_MS)
    rig.asked()
    return rig


def kinds(events):
    return [(event.kind, event.record_id) for event in events]


def states(rig, org, resource=CLIENTS):
    marks = rig.store.marks_between(Stream(org, resource), "", None)
    return {one: mark.state for one, mark in marks.items()}


# First sight


def test_first_sight_is_silent(rig, account, org):
    """The first complete listing makes no events; what is created afterwards does."""
    account.bulk_create(org, CLIENTS, 5)
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).live == 5
    rig.now_ms.advance(MINUTE_MS)
    new = account.create(org, CLIENTS)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", new)]


def test_an_empty_listing_is_a_baseline_too(rig, account, org):
    """Never swept and empty are different states."""
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).baselined_ms is not None
    rig.now_ms.advance(MINUTE_MS)
    new = account.create(org, CLIENTS)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", new)]


def test_first_sight_can_be_told(rig_of, account, org):
    """With first_sync = "emit" every record of the first listing is created, tombstones are not."""
    rig = rig_of(plan(CLIENTS, emit_first=True))
    ids = account.bulk_create(org, CLIENTS, 5)
    account.soft_delete(org, CLIENTS, ids[2])
    del ids[2]
    assert kinds(rig.poll(org, CLIENTS)) == [("created", one) for one in ids]
    assert rig.poll(org, CLIENTS) == []


def test_an_empty_first_sight_has_to_count_nothing(rig, simulator, account, org):
    """Else every record that is there would be created when the API has come to its senses."""
    account.bulk_create(org, CLIENTS, 5)
    simulator.faults.always(faults.empty_list, path="clients$")
    with pytest.raises(Incomplete, match="the listing is empty, but the API counts 5 records"):
        rig.poll(org, CLIENTS)
    simulator.faults.clear()
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).live == 5


def test_a_change_behind_the_baseline_is_told(rig, simulator, account, org):
    """A record that changes while the first listing is under way, behind its cursor, is updated later."""
    simulator.page_cap = 2
    ids = account.bulk_create(org, CLIENTS, 5)
    rig.now_ms.advance(HOUR_MS)

    def drift(_request):
        if len(simulator.requests) == 2:
            account.update(org, CLIENTS, ids[0], {"name": "Drifted"})

    simulator.on_request = drift
    assert rig.poll(org, CLIENTS) == []
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", ids[0])]


def test_a_baseline_resumes_after_a_restart(rig, simulator, account, org):
    """What was listed before the crash is not listed again, and what changed meanwhile is told."""
    simulator.page_cap = 2
    ids = account.bulk_create(org, CLIENTS, 8)
    simulator.faults.at(3, faults.html)
    with pytest.raises(Incomplete):
        rig.poll(org, CLIENTS)
    assert rig.progress(org, CLIENTS).baselined_ms is None
    rig.now_ms.advance(HOUR_MS)
    account.update(org, CLIENTS, ids[0], {"name": "While it was down"})
    rig.reopen()
    rig.asked()
    assert rig.poll(org, CLIENTS) == []
    assert len(rig.asked()) == 3  # two pages, and the empty one that ends the listing
    assert rig.progress(org, CLIENTS).live == 8
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", ids[0])]


# Increments


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


def test_fault_43_a_save_that_changed_nothing_is_no_event(rig, account, org):
    """Only updatedAt moved, or a change was undone before anyone looked."""
    one = account.create(org, CLIENTS, {"name": "Orbit"})
    baselined(rig, org)
    account.touch(org, CLIENTS, one)
    assert rig.poll(org, CLIENTS) == []
    account.update(org, CLIENTS, one, {"name": "Lunar"})
    account.update(org, CLIENTS, one, {"name": "Orbit"})
    assert rig.poll(org, CLIENTS) == []
    assert rig.poll(org, CLIENTS, full=True) == []


def test_volatile_fields_make_no_event(rig_of, account, org):
    """Ignored paths never count, not even beside others, and are not among the changed ones."""
    rig = rig_of(plan("documents", ignore=["custom.seen"]))
    one = account.create(org, "documents", {"pdf": "a", "custom": {"seen": 1, "tag": "x"}})
    baselined(rig, org, "documents")
    account.update(org, "documents", one, {"pdf": "b", "custom": {"seen": 2, "tag": "x"}})
    assert rig.poll(org, "documents") == []
    account.update(org, "documents", one, {"pdf": "c", "custom": {"seen": 3, "tag": "y"}})
    (event,) = rig.poll(org, "documents")
    assert event.changed == ["custom.tag"]
    assert event.previous == {"custom.tag": "x"}
    assert event.object["custom"] == {"seen": 3, "tag": "y"}


def test_rendered_texts_count_only_when_the_record_was_saved(rig_of, account, org):
    """A note whose smart codes come out otherwise is no update; a note that someone wrote is."""
    rig = rig_of(plan("documents"))
    one = account.create(org, "documents", {"note": "Due [days]"})
    baselined(rig, org, "documents")
    rendered = account.get("documents", one) | {"note": "Due in 3 days"}
    account.put_raw(org, "documents", one, json.dumps(rendered).encode())
    assert rig.poll(org, "documents", full=True) == []
    account.update(org, "documents", one, {"note": "Paid"})
    (event,) = rig.poll(org, "documents")
    assert event.changed == ["note"]


def test_fault_44_a_record_s_whole_life(rig, account, org):
    """Created, updated with what it was, deleted with its tombstone, and created again when restored."""
    baselined(rig, org)
    one = account.create(org, CLIENTS, {"name": "Orbit", "custom": {"tier": "a"}})
    (created,) = rig.poll(org, CLIENTS)
    assert (created.kind, created.record_id, created.changed, created.previous) == ("created", one, None, None)
    assert created.object == account.get(CLIENTS, one)
    rig.now_ms.advance(MINUTE_MS)
    account.update(org, CLIENTS, one, {"name": "Lunar", "custom": {"tier": "b", "new": True}})
    (updated,) = rig.poll(org, CLIENTS)
    assert set(updated.changed) == {"name", "custom.tier", "custom.new"}
    assert updated.previous == {"name": "Orbit", "custom.tier": "a"}
    assert updated.object == account.get(CLIENTS, one)
    rig.now_ms.advance(MINUTE_MS)
    account.soft_delete(org, CLIENTS, one)
    (deleted,) = rig.poll(org, CLIENTS)
    assert deleted.kind == "deleted"
    assert deleted.object == account.get(CLIENTS, one)
    assert deleted.object["_isDeleted"] is True
    rig.now_ms.advance(MINUTE_MS)
    account.restore(org, CLIENTS, one)
    (restored,) = rig.poll(org, CLIENTS)
    assert restored.kind == "created"
    assert restored.object == account.get(CLIENTS, one)
    assert rig.poll(org, CLIENTS, full=True) == []


def test_born_and_deleted_between_polls_is_no_event(rig, account, org):
    """Never known, never told, however often it is listed."""
    baselined(rig, org)
    account.soft_delete(org, CLIENTS, account.create(org, CLIENTS))
    account.hard_delete(org, CLIENTS, account.create(org, CLIENTS))
    assert rig.poll(org, CLIENTS) == []
    assert rig.poll(org, CLIENTS, full=True) == []


def test_a_deletion_is_told_once(rig, account, org):
    """A tombstone in the overlap and in every sweep says nothing new, nor does its removal for good."""
    one = account.create(org, CLIENTS)
    baselined(rig, org)
    account.soft_delete(org, CLIENTS, one)
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", one)]
    assert rig.poll(org, CLIENTS) == []
    assert rig.poll(org, CLIENTS, full=True) == []
    account.hard_delete(org, CLIENTS, one)
    assert rig.poll(org, CLIENTS, full=True) == []


def test_fault_31_a_failed_page_leaves_the_watermark(rig, simulator, account, org):
    """What earlier pages showed stands, the rest is read again, and nothing is told twice."""
    ids = account.bulk_create(org, CLIENTS, 6)
    baselined(rig, org)
    simulator.page_cap = 2
    watermarks = rig.progress(org, CLIENTS).watermarks
    account.bulk_update(org, CLIENTS, ids, {"name": "New"})
    simulator.faults.at(2, faults.truncated)
    with pytest.raises(Incomplete, match="cut short"):
        rig.poll(org, CLIENTS)
    assert kinds(rig.news()) == [("updated", one) for one in ids[:2]]
    assert rig.progress(org, CLIENTS).watermarks == watermarks
    rig.now_ms.advance(HOUR_MS)
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", one) for one in ids[2:]]


def test_passing_trouble_is_tried_again(rig, simulator, account, org):
    """A reset, a 500 and a 429 in a row cost requests, not the poll; a fourth ends it."""
    baselined(rig, org)
    new = account.create(org, CLIENTS)
    troubles = [faults.reset, faults.server_error, faults.rate_limited("0")]
    for nth, fault in enumerate(troubles, 1):
        simulator.faults.at(nth, fault)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", new)]
    simulator.faults.next(faults.maintenance, times=4)
    with pytest.raises(Unreachable, match="503"):
        rig.poll(org, CLIENTS)


def test_a_lowered_page_limit_costs_pages_not_records(rig, simulator, account, org):
    """A server that gives three records where a hundred were asked for."""
    baselined(rig, org)
    simulator.faults.always(faults.page_cap(3))
    ids = account.bulk_create(org, CLIENTS, 10)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", one) for one in ids]
    assert len(rig.asked()) == 5
    for one in ids[::2]:
        account.hard_delete(org, CLIENTS, one)
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("deleted", one) for one in ids[::2]]


def test_a_lowered_page_limit_hides_nothing_from_a_sweep_of_stamps(rig, simulator, account, org):
    """Records that are asked for by id come in as many pages as it takes."""
    ids = account.bulk_create(org, CLIENTS, 9)
    baselined(rig, org)
    simulator.page_cap = 2
    account.bulk_update(org, CLIENTS, ids, {"name": "New"})
    rig.now_ms.advance(10 * MINUTE_MS)
    simulator.faults.next(faults.empty_list)  # nothing of that is seen in the increment
    assert rig.poll(org, CLIENTS) == []
    rig.now_ms.advance(10 * MINUTE_MS)
    rig.store.sweep_soon(Stream(org, CLIENTS))
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", one) for one in ids]


def test_a_lowered_page_limit_hides_no_tombstone(rig, simulator, account, org):
    """The same for missing records: asked for by id, each shows its tombstone."""
    ids = account.bulk_create(org, CLIENTS, 9)
    baselined(rig, org)
    simulator.page_cap = 2
    for one in ids[:5]:
        account.soft_delete(org, CLIENTS, one)
    simulator.faults.next(faults.ignores_deleted, times=4)  # the increment; the sweep's three pages
    events = rig.poll(org, CLIENTS, full=True)
    assert kinds(events) == [("deleted", one) for one in ids[:5]]
    assert all(event.object["_isDeleted"] for event in events)


@pytest.mark.parametrize("fault", [faults.repeated, faults.overlapping(), faults.shuffled()])
def test_duplicates_on_a_page_end_the_poll(rig, simulator, account, org, fault):
    """A page that is not in order is not used, and nothing is concluded from it."""
    baselined(rig, org)
    simulator.page_cap = 3
    ids = account.bulk_create(org, CLIENTS, 9)
    simulator.faults.next(fault, times=2)
    with pytest.raises(Incomplete, match="repeats or is out of order"):
        rig.poll(org, CLIENTS)
    simulator.faults.clear()
    rig.news()
    rig.poll(org, CLIENTS)
    assert {event.record_id for event in rig.outbox()} == set(ids)
    assert len(rig.outbox()) == 9


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


# Sweeps and counts


def test_a_hard_deletion_is_found_by_the_count(rig, account, org):
    """The count differs, also after another look at the news: sweep, ask for the missing id, count, tell."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    rig.follow(count_every=1)
    last = account.get(CLIENTS, ids[1])
    account.hard_delete(org, CLIENTS, ids[1])
    (event,) = rig.poll(org, CLIENTS)
    assert (event.kind, event.record_id, event.object) == ("deleted", ids[1], last)
    listing = f"Organizations/{org}/clients"
    count = f"{listing}/count"
    assert rig.asked() == [listing, count, listing, count, listing, listing, count, listing, count]
    assert rig.poll(org, CLIENTS) == []
    assert rig.asked() == [listing, count]


def test_a_sweep_resumes_after_a_failure(rig, simulator, account, org):
    """Pages that were listed before the failure are not listed again, restart or not."""
    simulator.page_cap = 2
    ids = account.bulk_create(org, CLIENTS, 8)
    baselined(rig, org)
    account.hard_delete(org, CLIENTS, ids[0])
    account.hard_delete(org, CLIENTS, ids[7])
    simulator.faults.at(4, faults.html)  # the increment, two pages of the sweep, then this
    with pytest.raises(Incomplete):
        rig.poll(org, CLIENTS, full=True)
    assert rig.news() == []
    rig.reopen()
    rig.asked()
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", ids[0]), ("deleted", ids[7])]
    assert len(rig.asked()) == 1 + 2 + 2  # the increment; the last page and the empty one; count and ids


def test_a_full_sweep_finds_what_moved_no_stamp(rig, account, org):
    """A sweep of stamps cannot see it, the full one compares the bytes."""
    one = account.create(org, CLIENTS)
    baselined(rig, org)
    changed = account.get(CLIENTS, one) | {"name": "Silently"}
    account.put_raw(org, CLIENTS, one, json.dumps(changed).encode())
    rig.follow(sweep_every_s=1.0, full_every=4)
    rig.store.sweep_soon(Stream(org, CLIENTS))
    seen = []
    for _ in range(5):
        rig.now_ms.advance(10 * MINUTE_MS)
        seen += kinds(rig.poll(org, CLIENTS))
        rig.asked()
    assert seen == [("updated", one)]


def test_a_forced_sweep_is_a_full_one(rig, simulator, account, org):
    """Also where a sweep of stamps was under way: digests are compared from the first record on."""
    simulator.page_cap = 2
    ids = account.bulk_create(org, CLIENTS, 6)
    baselined(rig, org)
    simulator.faults.at(3, faults.html)
    rig.follow(sweep_every_s=0.0)
    rig.store.sweep_soon(Stream(org, CLIENTS))
    with pytest.raises(Incomplete):
        rig.poll(org, CLIENTS)
    assert rig.progress(org, CLIENTS).sweep is not None
    changed = account.get(CLIENTS, ids[0]) | {"name": "Silently"}
    account.put_raw(org, CLIENTS, ids[0], json.dumps(changed).encode())
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("updated", ids[0])]


def hidden(*ids):
    """A fault: these records are left out of every page."""
    return faults._on_rows(lambda rows: [row for row in rows if row["id"] not in ids])


def test_fault_35_a_missing_record_that_is_there_is_a_race(rig, simulator, account, org):
    """A listing did not show it, asked by its id the API does: no event, and it is followed on."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    simulator.faults.at(2, hidden(ids[1]))  # the sweep's page
    assert rig.poll(org, CLIENTS, full=True) == []
    assert set(states(rig, org).values()) == {State.LIVE}
    assert rig.progress(org, CLIENTS).missing == 0


def test_a_missing_record_that_changed_is_updated(rig, simulator, account, org):
    """The race may have been an update, too."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    simulator.faults.next(hidden(ids[1]), times=2)  # the increment's page, and the sweep's
    account.update(org, CLIENTS, ids[1], {"name": "New"})
    account.update(org, CLIENTS, ids[2], {"name": "New"})
    assert sorted(kinds(rig.poll(org, CLIENTS, full=True))) == [("updated", ids[1]), ("updated", ids[2])]


def test_a_missing_record_may_have_left_a_tombstone(rig, simulator, account, org):
    """Where listings hide tombstones, asking by id shows it, and the event carries it."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    account.soft_delete(org, CLIENTS, ids[1])
    simulator.faults.next(faults.ignores_deleted, times=3)  # the increment; the sweep's two pages
    (event,) = rig.poll(org, CLIENTS, full=True)
    assert (event.kind, event.object) == ("deleted", account.get(CLIENTS, ids[1]))


def test_what_the_api_still_counts_is_not_deleted(rig, simulator, account, org):
    """Neither listed nor shown by id, but counted: the API is not to be believed; later it is."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    simulator.faults.always(hidden(ids[1]))
    assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.poll(org, CLIENTS) == []
    assert states(rig, org)[ids[1]] == State.MISSING
    simulator.faults.clear()
    assert rig.poll(org, CLIENTS) == []
    assert states(rig, org)[ids[1]] == State.LIVE


def test_a_wrong_count_delays_no_deletion_for_ever(rig, account, simulator, org):
    """A count was off by one when it was taken as the API's own way of counting; deletions still get told."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    rig.follow(count_every=1)
    simulator.faults.next(faults.instead(b'{"count":4}'), times=3, path="count")
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).count_gap == -1
    account.hard_delete(org, CLIENTS, ids[1])
    events = []
    for _ in range(3):
        rig.now_ms.advance(MINUTE_MS)
        events += rig.poll(org, CLIENTS, full=True)
    assert kinds(events) == [("deleted", ids[1])]


# The guard


@pytest.fixture
def held(rig, account, org):
    """A rig that holds the deletion of 15 of 40 clients; their ids."""
    ids = account.bulk_create(org, CLIENTS, 40)
    baselined(rig, org)
    gone = ids[:15]
    for one in gone:
        account.hard_delete(org, CLIENTS, one)
    assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.progress(org, CLIENTS).held_ms is not None
    return gone


def test_fault_28_a_mass_deletion_is_held(rig, held, account, org):
    """Nothing is told however often it is polled or swept; other changes are."""
    one = account.create(org, CLIENTS)
    assert kinds(rig.poll(org, CLIENTS)) == [("created", one)]
    for full in (False, True):
        assert rig.poll(org, CLIENTS, full=full) == []
    assert rig.progress(org, CLIENTS).missing == 15


def test_a_few_deletions_are_not_held(rig, account, org):
    """Ten of eleven may go at once, and so may eleven of sixty."""
    ids = account.bulk_create(org, CLIENTS, 11)
    baselined(rig, org)
    for one in ids[:10]:
        account.hard_delete(org, CLIENTS, one)
    assert len(rig.poll(org, CLIENTS, full=True)) == 10


def test_held_deletions_are_told_once_approved(rig, held, org):
    """Each once, at the next poll; afterwards the guard stands again."""
    assert rig.decide(org, CLIENTS, Decision.APPROVE)
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", one) for one in held]
    assert rig.progress(org, CLIENTS).held_ms is None
    assert not rig.decide(org, CLIENTS, Decision.APPROVE)
    assert rig.poll(org, CLIENTS, full=True) == []


def test_held_deletions_are_dismissed_once_rejected(rig, held, account, org):
    """Never told, not by later sweeps either; if one is back it is not created again, only followed on."""
    kept = rig.store.bodies(rig.store.missing(Stream(org, CLIENTS), "", 100))
    assert rig.decide(org, CLIENTS, Decision.REJECT)
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).held_ms is None
    assert rig.poll(org, CLIENTS, full=True) == []
    account.put_raw(org, CLIENTS, held[3], kept[held[3]])
    assert rig.poll(org, CLIENTS, full=True) == []
    assert states(rig, org)[held[3]] == State.LIVE
    rig.now_ms.advance(MINUTE_MS)
    account.update(org, CLIENTS, held[3], {"name": "Back"})
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", held[3])]


def test_held_deletions_are_let_go_when_the_records_are_back(rig, held, account, org):
    """By itself, without an event."""
    for one, body in rig.store.bodies(rig.store.missing(Stream(org, CLIENTS), "", 100)).items():
        account.put_raw(org, CLIENTS, one, body)
    rig.follow(count_every=1)
    assert rig.poll(org, CLIENTS) == []
    progress = rig.progress(org, CLIENTS)
    assert (progress.held_ms, progress.missing, progress.live) == (None, 0, 40)


def test_an_operator_outvotes_a_count_that_stays_too_high(rig, simulator, account, org):
    """A record that neither the listing nor its id shows is told as deleted when a person says so, and not before."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    account.hard_delete(org, CLIENTS, ids[2])
    simulator.faults.always(_counts_one_more)
    for _ in range(3):
        assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.progress(org, CLIENTS).missing == 1
    assert rig.decide(org, CLIENTS, Decision.APPROVE)
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", ids[2])]
    assert not rig.decide(org, CLIENTS, Decision.APPROVE)


def _counts_one_more(request, proper):
    found = proper(request)
    if not request.path.endswith("/count"):
        return found
    return replace(found, body=json.dumps({"count": json.loads(found.body)["count"] + 1}).encode())


def test_approval_still_asks_for_each(rig, held, account, org):
    """A record that came back before the approval was carried out is not deleted."""
    body = rig.store.bodies(rig.store.missing(Stream(org, CLIENTS), "", 1))[held[0]]
    account.put_raw(org, CLIENTS, held[0], body)
    rig.decide(org, CLIENTS, Decision.APPROVE)
    events = rig.poll(org, CLIENTS) + rig.poll(org, CLIENTS)
    assert held[0] not in {event.record_id for event in events}
    assert states(rig, org)[held[0]] == State.LIVE


# Who may see


@pytest.mark.parametrize("resource", [CLIENTS, "prices"])
@pytest.mark.parametrize("fault", [faults.unauthorized, faults.forbidden, faults.organization_gone])
def test_fault_42_an_organization_out_of_reach_is_no_deletion(rig_of, simulator, account, org, fault, resource):
    """401, 403 and 404 say Denied; all is there when it is back."""
    parent = account.create(org, "price_lists") if resource == "prices" else ""
    account.bulk_create(org, resource, 20, parent=parent)
    rig = baselined(rig_of(plan(resource)), org, resource)
    before = rig.dump()
    simulator.faults.always(fault)
    for full in (False, True):
        with pytest.raises(Denied):
            rig.poll(org, resource, full=full)
    assert rig.dump() == before
    simulator.faults.clear()
    assert rig.poll(org, resource, full=True) == []


def test_a_removed_organization_is_no_deletion(rig_of, account, org):
    """The organization's own 404, prices and all."""
    parent = account.create(org, "price_lists")
    account.bulk_create(org, "prices", 3, parent=parent)
    rig = baselined(rig_of(plan("prices")), org, "prices")
    account.remove_organization(org)
    for full in (False, True):
        with pytest.raises(Denied):
            rig.poll(org, "prices", full=full)
    assert rig.news() == []


# Prices


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


# Quarantine


@pytest.mark.parametrize("fault", [faults.no_id, faults.number_id, faults.lone_surrogate, faults.not_a_number])
def test_fault_37_39_a_record_that_cannot_be_followed_spoils_only_itself(rig, simulator, account, org, fault):
    """The rest of its page goes on, and the poll concludes no deletions; the next one does."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    account.hard_delete(org, CLIENTS, ids[0])
    account.update(org, CLIENTS, ids[1], {"name": "New"})
    simulator.faults.always(fault, path="clients$")
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("updated", ids[1])]
    assert rig.store.quarantined(Stream(org, CLIENTS)) == 1
    simulator.faults.clear()
    rig.now_ms.advance(MINUTE_MS)
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("deleted", ids[0])]
    assert rig.store.quarantined(Stream(org, CLIENTS)) == 0


def test_a_poll_with_a_bad_record_concludes_no_deletions(rig, simulator, account, org):
    """Also where the bad record came in the increment, and the missing one was found before."""
    ids = account.bulk_create(org, CLIENTS, 5)
    baselined(rig, org)
    simulator.faults.always(hidden(ids[0]))
    assert rig.poll(org, CLIENTS, full=True) == []
    assert states(rig, org)[ids[0]] == State.MISSING
    simulator.faults.clear()
    account.hard_delete(org, CLIENTS, ids[0])
    simulator.faults.next(faults.no_id)
    assert rig.poll(org, CLIENTS) == []
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", ids[0])]


def test_a_failing_poll_raises_one_kind_of_error(rig, simulator, account, org):
    """Whatever the menu of faults has: a SourceError or nothing, and all is well afterwards."""
    account.bulk_create(org, CLIENTS, 3)
    baselined(rig, org)
    menu = [faults.html, faults.an_object, faults.bad_gateway, faults.cut, faults.deep, faults.bare_value]
    for fault in menu:
        simulator.faults.always(fault)
        with suppress(SourceError):
            assert rig.poll(org, CLIENTS, full=True) == []
        simulator.faults.clear()
    rig.now_ms.advance(MINUTE_MS)
    assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.poll(org, CLIENTS, full=True) == []
    assert set(states(rig, org).values()) == {State.LIVE}
