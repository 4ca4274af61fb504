"""Hard deletions found by counting, against the simulator and a real SQLite file."""

import json
import random
from collections import Counter
from dataclasses import replace

import pytest
from mirror import HOUR_MS, MINUTE_MS, Clock, Rig, plan

from poller import search
from poller.diff import Finding
from poller.model import State, Stream
from poller.poll import poll
from poller.running import Tools
from poller.simulator import Account, Simulator, faults
from poller.sources import Incomplete
from poller.stores import Step

CLIENTS, PRICES = "clients", "prices"
MANY = 1000
"""Records, counted in pages of ten: as 10,000 are in pages of a hundred."""


@pytest.fixture(autouse=True)
def fine(monkeypatch):
    """Ids are counted by tens, so that a thousand records are a hundred pages."""
    monkeypatch.setattr(search, "PAGE_MARKS", 10)


@pytest.fixture
def account():
    return Account(Clock())


@pytest.fixture
def org(account):
    return account.organizations[0]


@pytest.fixture
def simulator(account):
    with Simulator(account) as running:
        yield running


@pytest.fixture
def rig(simulator, account, tmp_path):
    """A rig that compares counts in every poll, and sweeps only if they differ."""
    follow = plan(CLIENTS, PRICES, count_every=1)
    made = Rig(tmp_path / "poller.db", follow, simulator=simulator, clock=account.clock)
    yield made
    made.close()


@pytest.fixture
def ids(rig, simulator, account, org):
    """A thousand clients that are known, in order of ids; from now on a page holds ten."""
    made = known(rig, org, CLIENTS, account.bulk_create(org, CLIENTS, MANY))
    simulator.page_cap = 10
    return made


def known(rig, org, resource, ids):
    """Take the baseline, and let so much time pass that all is idle."""
    rig.poll(org, resource)
    rig.now_ms.advance(HOUR_MS)
    assert rig.poll(org, resource) == []
    rig.asked()
    return ids


def lose(account, org, ids, resource=CLIENTS):
    for one in ids:
        account.hard_delete(org, resource, one)


def told(events):
    return sorted((event.kind, event.record_id) for event in events)


def deleted(ids):
    return sorted(("deleted", one) for one in ids)


def counts(rig):
    """How many of the requests since the last look were counts, and how many were not."""
    asked = Counter(path.endswith("/count") for path in rig.asked())
    return asked[True], asked[False]


def states(rig, org, resource=CLIENTS):
    return Counter(mark.state for mark in rig.store.marks_between(Stream(org, resource), "", None).values())


def one_more(request, proper):
    """A fault: the API counts one more than there is."""
    answer = proper(request)
    return replace(answer, body=json.dumps({"count": json.loads(answer.body)["count"] + 1}).encode())


# What it finds


@pytest.mark.parametrize("place", [0, 9, 10, 499, 500, 989, 990, 999])
def test_a_deletion_is_found_with_a_dozen_requests(rig, account, org, ids, place):
    """Instead of a hundred; wherever it was, the last known record is told, and the next poll is idle."""
    last = account.get(CLIENTS, ids[place])
    lose(account, org, [ids[place]])
    (event,) = rig.poll(org, CLIENTS)
    assert (event.kind, event.record_id, event.object) == ("deleted", ids[place], last)
    counted, listed = counts(rig)
    assert counted <= 2 + 6  # at first and at last, and the search
    assert listed <= 1 + 4 + 1  # the increment, three pages or where they end, and the record by its id
    assert rig.poll(org, CLIENTS) == []
    assert counts(rig) == (1, 1)


@pytest.mark.parametrize("number", [2, 5, 12, 30])
def test_deletions_share_their_counts(rig, account, org, ids, number):
    """Several at once are told together, with fewer requests than a sweep or than one search each."""
    gone = random.Random(number).sample(ids, number)
    lose(account, org, gone)
    assert told(rig.poll(org, CLIENTS)) == deleted(gone)
    assert sum(counts(rig)) < min(100, 12 * number)


def test_many_deletions_are_left_to_a_sweep(rig, account, org, ids):
    """Where counting would cost more than it saves, it ends soon."""
    gone = random.Random(1).sample(ids, 60)
    lose(account, org, gone)
    assert told(rig.poll(org, CLIENTS)) == deleted(gone)
    counted, listed = counts(rig)
    assert counted == 3 + 4  # then the check, the same after another look at the news, to confirm, and at the end
    assert listed > 95


def test_deletions_side_by_side_are_cheap(rig, account, org, ids):
    """A whole import that is taken back lies together: few pages, however many they were."""
    gone = ids[300:330]
    lose(account, org, gone)
    assert told(rig.poll(org, CLIENTS)) == deleted(gone)
    assert sum(counts(rig)) < 25


def test_what_else_shows_on_the_way_is_told_too(rig, simulator, account, org, ids):
    """A tombstone that no increment showed is a deletion with its own words, and counts as a late one."""
    account.soft_delete(org, CLIENTS, ids[5])
    rig.now_ms.advance(HOUR_MS)
    simulator.faults.next(faults.empty_list)
    tools = Tools(rig.source, rig.store, rig.plan, rig.now_ms)
    poll(tools, Stream(org, CLIENTS))
    (event,) = rig.news()
    assert (event.kind, event.record_id, event.object["_isDeleted"]) == ("deleted", ids[5], True)
    assert sum(counts(rig)) < 15
    counted = {row.name: series for row, series in tools.meter.counters()}
    assert counted["records_late"] == counted["count_disagreements"] == {(CLIENTS,): 1}
    assert sum(rig.progress(org, CLIENTS).late) == 1


def test_one_that_was_dismissed_and_is_back_is_followed_on(rig, account, org, ids):
    """Beside two that are gone it makes up for one of them in the counts."""
    (mark,) = rig.store.marks(Stream(org, CLIENTS), [ids[501]]).values()
    progress = rig.progress(org, CLIENTS)
    dismissed = Finding(State.LIVE, mark._replace(state=State.DISMISSED))
    rig.store.commit(Stream(org, CLIENTS), Step(replace(progress, live=MANY - 1), [dismissed]), 0)
    lose(account, org, [ids[503], ids[505]])
    assert told(rig.poll(org, CLIENTS)) == deleted([ids[503], ids[505]])
    assert sum(counts(rig)) < 15
    assert states(rig, org) == {State.LIVE: MANY - 2, State.DELETED: 2}


def test_a_lowered_page_limit_costs_pages_only(rig, simulator, account, org, ids):
    """Of the stretch alone."""
    simulator.page_cap = 3
    lose(account, org, [ids[123]])
    assert told(rig.poll(org, CLIENTS)) == deleted([ids[123]])
    assert sum(counts(rig)) < 25


def test_each_price_list_is_counted_by_itself(rig, account, org):
    """What is gone of one is looked for there."""
    lists = [account.create(org, "price_lists") for _ in range(5)]
    prices = {one: account.bulk_create(org, PRICES, 200, parent=one) for one in lists}
    known(rig, org, PRICES, prices)
    gone = [prices[lists[1]][7], prices[lists[1]][150], prices[lists[4]][199]]
    lose(account, org, gone, PRICES)
    assert told(rig.poll(org, PRICES)) == deleted(gone)
    before = 1 + 1 + 5 + 5  # price lists and their count, the increments and counts of the five
    assert sum(counts(rig)) < before + 35 < 100
    assert rig.poll(org, PRICES) == []


def test_a_gap_that_is_known_of_old_hinders_nobody(rig, simulator, account, org, ids):
    """Records that the API shows and never counts are the oldest; what is gone above them is found all the same."""
    simulator.faults.always(_blind_to(ids[:3]), path="count$")
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).count_gap == -3
    rig.asked()
    lose(account, org, [ids[600]])
    assert told(rig.poll(org, CLIENTS)) == deleted([ids[600]])
    assert sum(counts(rig)) < 16


def _blind_to(hidden):
    """A fault: the API does not count these."""

    def fault(request, proper):
        answer, above = proper(request), json.loads(dict(request.params).get("where", "{}"))
        seen = [one for one in hidden if one > above.get("id", {}).get("gt", "")]
        return replace(answer, body=json.dumps({"count": json.loads(answer.body)["count"] - len(seen)}).encode())

    return fault


# Where it leads nowhere


def test_an_api_that_counts_all_whatever_is_asked_is_swept(rig, simulator, account, org, ids):
    """One count in vain, and everything is found."""
    lose(account, org, [ids[700]])
    simulator.faults.always(faults.instead(b'{"count":999}'), path="count$")
    assert told(rig.poll(org, CLIENTS)) == deleted([ids[700]])
    counted, listed = counts(rig)
    assert counted == 4 + 1
    assert listed > 95


def test_counts_that_lie_delete_nothing(rig, simulator, org, ids):
    """The API counts one less anywhere: a search, a sweep, and then it is known as its way of counting."""
    simulator.faults.always(_blind_to([ids[400]]), path="count$")
    assert rig.poll(org, CLIENTS) == []
    assert states(rig, org) == {State.LIVE: MANY}
    assert rig.progress(org, CLIENTS).count_gap == -1
    rig.asked()
    assert rig.poll(org, CLIENTS) == []
    assert counts(rig) == (1, 1)


def test_a_listing_that_shows_less_than_is_counted_is_not_believed(rig, simulator, account, org, ids):
    """One is gone, and the page of the search hides another: it is swept, and only the first is told, at once."""
    lose(account, org, [ids[400]])
    hidden = []

    def once(request, proper):
        answer = proper(request)
        if hidden or ids[401] not in answer.body.decode():
            return answer
        hidden.append(ids[401])
        return _hides(ids[401])(request, proper)

    simulator.faults.always(once, path="clients$")
    assert told(rig.poll(org, CLIENTS)) == deleted([ids[400]])
    assert states(rig, org) == {State.LIVE: MANY - 1, State.DELETED: 1}
    assert hidden


def test_a_race_is_no_deletion(rig, simulator, account, org, ids):
    """Neither counted nor listed, but shown by its id: it is followed on, and the difference taken as given."""

    def listing(request, proper):
        asked = json.loads(dict(request.params)["filter"])
        return proper(request) if "inq" in json.dumps(asked) else _hides(ids[400])(request, proper)

    simulator.faults.always(_blind_to([ids[400]]), path="count$")
    simulator.faults.always(listing, path="clients$")
    assert rig.poll(org, CLIENTS) == []
    assert states(rig, org) == {State.LIVE: MANY}
    assert rig.progress(org, CLIENTS).count_gap == -1
    rig.asked()
    assert rig.poll(org, CLIENTS) == []
    assert counts(rig) == (1, 1)


def _hides(one):
    return faults._on_rows(lambda rows: [row for row in rows if row["id"] != one])


def test_what_is_counted_again_is_not_deleted(rig, simulator, account, org, ids):
    """The last count does not agree any more: nothing is told before one does."""
    lose(account, org, [ids[400]])

    def later(request, proper):
        return one_more(request, proper) if rig.progress(org, CLIENTS).missing else proper(request)

    simulator.faults.always(later, path="count$")
    assert rig.poll(org, CLIENTS) == []
    assert states(rig, org)[State.MISSING] == 1
    simulator.faults.clear()
    assert told(rig.poll(org, CLIENTS)) == deleted([ids[400]])


def test_a_record_that_comes_meanwhile_is_no_harm(rig, simulator, account, org, ids):
    """Counts before and after it contradict each other, or nothing is where they lead to: it is swept."""
    lose(account, org, [ids[800]])
    made = []

    def drift(request):
        if request.path.endswith("/count") and "where" in dict(request.params) and not made:
            made.append(account.create(org, CLIENTS))

    simulator.on_request = drift
    events = rig.poll(org, CLIENTS)
    assert told(events) == sorted([("created", made[0]), *deleted([ids[800]])])
    assert rig.poll(org, CLIENTS) == []


def test_a_record_in_quarantine_leaves_it_to_a_sweep(rig, simulator, account, org, ids):
    """While one cannot be read, no absence proves anything; afterwards it is found."""
    bad = b'{"id":"%s","updatedAt":"2999-01-01T00:00:00.000Z","total":NaN}' % ids[3].encode()
    good = json.dumps(account.get(CLIENTS, ids[3])).encode()
    account.put_raw(org, CLIENTS, ids[3], bad)
    lose(account, org, [ids[400]])
    assert rig.poll(org, CLIENTS) == []
    assert states(rig, org)[State.MISSING] == 0
    account.put_raw(org, CLIENTS, ids[3], good)
    rig.now_ms.advance(HOUR_MS)
    assert told(rig.poll(org, CLIENTS, full=True)) == deleted([ids[400]])


def test_a_bad_record_on_the_way_ends_it(rig, simulator, account, org, ids):
    """A page of the stretch holds one: nothing is concluded from what the page does not show."""
    lose(account, org, [ids[400]])
    simulator.faults.always(_after_counting(simulator, faults.no_id), path="clients$")
    assert rig.poll(org, CLIENTS) == []
    assert states(rig, org)[State.MISSING] == 0


def _after_counting(simulator, fault):
    """The fault, once something was counted above an id."""

    def spoiled(request, proper):
        return fault(request, proper) if any(seen.where for seen in simulator.requests) else proper(request)

    return spoiled


def test_a_search_that_is_cut_short_keeps_nothing(rig, simulator, account, org, ids):
    """Whatever request fails, the state is as before; the next search finds it all, after a restart as well."""
    gone = [ids[100], ids[900]]
    lose(account, org, gone)
    before = rig.dump()
    for nth in range(3, 15):
        simulator.faults.at(nth, faults.html)
        with pytest.raises(Incomplete):
            rig.poll(org, CLIENTS)
        simulator.faults.clear()
        assert rig.dump()["mark"] == before["mark"]
        rig.reopen()
    assert told(rig.poll(org, CLIENTS)) == deleted(gone)


def test_while_deletions_are_held_it_is_swept(rig, account, org, ids):
    """Other ones meanwhile are counted to them."""
    lose(account, org, ids[:300])
    assert rig.poll(org, CLIENTS) == []
    assert rig.progress(org, CLIENTS).held_ms is not None
    rig.asked()
    lose(account, org, [ids[600]])
    rig.now_ms.advance(MINUTE_MS)
    assert rig.poll(org, CLIENTS) == []
    assert counts(rig)[1] > 60
    assert rig.progress(org, CLIENTS).missing == 301
