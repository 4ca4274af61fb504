"""Faults of the API; docs/faults.md is the whole list."""

import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest
from mirror import HOUR_MS, MINUTE_MS, Clock, Rig, plan
from process import Site, only
from structlog.testing import capture_logs

from poller.model import State, Stream, format_time
from poller.simulator import Account, Simulator, faults
from poller.sources import Incomplete, SourceError

CLIENTS = "clients"


@pytest.fixture
def account():
    return Account(Clock(), organizations=1)


@pytest.fixture
def rig(api, account, tmp_path):
    """A poller that follows clients, over real sockets, by the clock of the account."""
    made = Rig(tmp_path / "poller.db", plan(CLIENTS), url=api.url, token=account.token, clock=account.clock)
    yield made
    made.close()


def known(rig, account, org, many=1, fields=None):
    """Have it know so many clients, which have been there for long; their ids."""
    ids = account.bulk_create(org, CLIENTS, [fields or {}] * many)
    for _ in range(2):
        rig.now_ms.advance(HOUR_MS)
        assert rig.poll(org, CLIENTS) == []
    rig.now_ms.advance(HOUR_MS)
    return ids


def put(account, org, one, **fields):
    """Write a record behind the API's back, with these fields and none of its own will."""
    account.put_raw(org, CLIENTS, one, json.dumps(account.get(CLIENTS, one) | fields).encode())


def kinds(told):
    return [(event.kind, event.record_id) for event in told]


def states(rig, org):
    return [mark.state for mark in rig.store.marks_between(Stream(org, CLIENTS), "", None).values()]


# Answers


@pytest.mark.parametrize("missing", [4, 25])
def test_fault_27_a_page_that_ends_early_and_looks_whole(rig, api, account, org, missing):
    """HTTP cannot tell: what the listing did not show is asked for by id, or held; nothing is told as deleted."""
    known(rig, account, org, 30)
    api.faults.at(1, lambda request, proper: proper(request))  # the increment
    api.faults.at(2, faults.closed_early(30 - missing))
    api.faults.at(3, faults.closed_early(0))
    assert rig.poll(org, CLIENTS, full=True) == []
    assert states(rig, org).count(State.MISSING) == (missing if missing > 10 else 0)
    rig.now_ms.advance(MINUTE_MS)
    assert rig.poll(org, CLIENTS, full=True) == []
    assert set(states(rig, org)) == {State.LIVE}


@pytest.mark.parametrize("trouble", [faults.server_error, faults.maintenance, faults.hang(), faults.reset])
@pytest.mark.parametrize("page", [1, 2, 3, 4])
def test_fault_31_a_page_of_several_fails(tmp_path, trouble, page):
    """The sweep concludes nothing; the next one goes on from there, and tells each deletion once."""
    account = Account(Clock(), organizations=1)
    [org] = account.organizations
    api = Simulator(account, page_cap=2)
    rig = Rig(tmp_path / "poller.db", plan(CLIENTS), simulator=api, clock=account.clock)
    ids = known(rig, account, org, 6)
    for one in (ids[0], ids[5]):
        account.hard_delete(org, CLIENTS, one)
    for request in range(4):  # as often as it is tried
        api.faults.at(1 + page + request, trouble)
    with pytest.raises(SourceError):
        rig.poll(org, CLIENTS, full=True)
    assert rig.news() == []
    api.faults.clear()
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", ids[0]), ("deleted", ids[5])]
    assert rig.poll(org, CLIENTS, full=True) == []
    rig.close()
    api.stop()


HASTY = """
from poller.sources import spaceinvoices
spaceinvoices.TRIES, spaceinvoices.DEADLINE_S = 1, 0.7
"""

LATE, LARGE = "the deadline of 0.7 s passed", "the answer is larger than 33554432 bytes"
WORST = (
    (faults.hang(), LATE),
    (faults.dribble(), LATE),
    (faults.gzip_bomb(), f"{LARGE}|{LATE}"),
    (faults.oversized(), f"{LARGE}|{LATE}"),
)


def peak_bytes(poller):
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{poller.pid}/status").read_text())[1]) * 1024


def test_fault_21_33_40_the_worst_pages_of_one_listing(tmp_path):
    """Each fails its poll by a limit of time or of size; the memory stays small, and other listings go on."""
    account = Account(organizations=1)
    [org] = account.organizations
    with Simulator(account) as api:
        site = Site(tmp_path, api.url, only("clients", "items"), patch=HASTY)
        site.env["POLLER_TEST_TOKEN"] = account.token
        with site.start() as poller:
            poller.until(lambda: site.baselined(2))
            before_bytes = peak_bytes(poller)
            for fault, words in WORST:
                told, failed = len(poller.events()), len(poller.log("stream.failed"))
                api.faults.always(fault, path="/clients")
                account.create(org, "items")
                poller.until(lambda: len(poller.log("stream.failed")) > failed)  # noqa: B023
                poller.until(lambda: len(poller.events()) > told)  # noqa: B023
                assert re.search(words, poller.log("stream.failed")[failed]["reason"])
                api.faults.clear()
            assert peak_bytes(poller) < before_bytes + (64 << 20)
            account.create(org, "clients")
            poller.until(lambda: poller.events()[-1]["type"] == "com.spaceinvoices.client.created")


@pytest.mark.parametrize("retry_after", [None, "1"])
def test_fault_32_one_organization_meets_429_on_every_page(tmp_path, retry_after):
    """The other one is followed on; no two polls of a stream overlap, and the news comes once the storm is over."""
    account = Account(organizations=2)
    calm, busy = account.organizations
    asking, most = Counter(), Counter()

    def storm(request, proper):
        asking[request.path] += 1
        most[request.path] = max(most[request.path], asking[request.path])
        time.sleep(0.02)
        asking[request.path] -= 1
        return faults.rate_limited(retry_after)(request, proper)

    with Simulator(account) as api:
        hasty = "from poller.sources import spaceinvoices\nspaceinvoices.BACKOFF_S = 0.01\n"
        site = Site(tmp_path, api.url, only("clients", "items"), patch=hasty)
        site.env["POLLER_TEST_TOKEN"] = account.token
        with site.start() as poller:
            poller.until(lambda: site.baselined(4))
            api.faults.always(storm, path=busy)
            account.create(busy, "clients")
            poller.until(lambda: len({line["stream"] for line in poller.log("stream.failed")}) == 2)
            for number in range(1, 4):
                account.create(calm, "clients")
                poller.until(lambda: len(poller.events()) == number)  # noqa: B023
            api.faults.clear()
            poller.until(lambda: len(poller.events()) == 4)
    assert "the API answered 429" in poller.log("stream.failed")[0]["reason"]
    assert {line["stream"] for line in poller.log("stream.failed")} == {f"{busy}/clients", f"{busy}/items"}
    assert set(most.values()) == {1}


# Listings


def test_fault_36_an_id_on_two_pages_of_the_news(rig, api, account, org):
    """It changed while it was listed: both are told, and the newer one last."""
    ids = known(rig, account, org, 6, {"name": "Old"})
    account.bulk_update(org, CLIENTS, ids, {"name": "New"})
    rig.now_ms.advance(MINUTE_MS)
    api.page_cap = 2

    def changing(request, proper):
        account.update(org, CLIENTS, ids[0], {"name": "Newest"})
        return proper(request)

    api.faults.at(2, changing)
    told = [(event.record_id, event.object["name"]) for event in rig.poll(org, CLIENTS)]
    assert told == [*((one, "New") for one in ids), (ids[0], "Newest")]


def test_fault_36_an_id_on_two_pages_of_a_sweep(rig, api, account, org):
    """In a listing by id that cannot be: the page is refused, with its other content, and nothing is concluded."""
    ids = known(rig, account, org, 6, {"name": "Old"})
    api.page_cap = 3
    account.hard_delete(org, CLIENTS, ids[5])
    again = account.get(CLIENTS, ids[2]) | {"name": "Other"}
    api.faults.at(3, faults._on_rows(lambda rows: [again, *rows]))
    with pytest.raises(Incomplete, match="repeats or is out of order"):
        rig.poll(org, CLIENTS, full=True)
    assert rig.news() == []
    assert kinds(rig.poll(org, CLIENTS)) == [("deleted", ids[5])]


# Records


@pytest.mark.parametrize("odd", [7, None, "x" * 40_000, ...], ids=["number", "null", "40 kB", "missing"])
def test_fault_37_an_id_becomes_unusable(rig, account, org, odd):
    """The record is set aside with a warning, and not told as deleted; as itself again, it is followed on."""
    [one, _] = known(rig, account, org, 2)
    whole = account.get(CLIENTS, one)
    other = {key: value for key, value in (whole | {"id": odd}).items() if value is not ...}
    account.put_raw(org, CLIENTS, one, json.dumps(other).encode())
    with capture_logs() as logs:
        for _ in range(3):
            rig.now_ms.advance(HOUR_MS)
            assert rig.poll(org, CLIENTS, full=True) == []
    assert rig.store.quarantined(Stream(org, CLIENTS)) == 1
    assert "it has no usable id" in next(line for line in logs if line["event"] == "record.quarantined")["reason"]
    assert states(rig, org) == [State.LIVE] * 2
    account.put_raw(org, CLIENTS, one, json.dumps(whole | {"name": "Changed"}).encode())
    rig.now_ms.advance(HOUR_MS)
    assert kinds(rig.poll(org, CLIENTS, full=True)) == [("updated", one)]
    assert rig.store.quarantined(Stream(org, CLIENTS)) == 0


STAMPS = {
    "absent": ...,
    "null": None,
    "a number": 5,
    "no date": "soon",
    "as documented": "2026-02-11T17:00:00+00:00Z",
    "in the future": "2999-01-01T00:00:00.000Z",
    "backwards": "2020-01-01T00:00:00.000Z",
}


@pytest.mark.parametrize("stamp", STAMPS.values(), ids=STAMPS)
def test_fault_38_odd_stamps(rig, account, org, stamp):
    """What is in a record decides, once; a stamp alone is no change."""
    [one] = known(rig, account, org, 1, {"name": "Old"})
    for name, expected in (("Old", []), ("New", [("updated", one)]), ("New", [])):
        fields = account.get(CLIENTS, one) | {"name": name, "updatedAt": stamp}
        odd = {key: value for key, value in fields.items() if value is not ...}
        account.put_raw(org, CLIENTS, one, json.dumps(odd).encode())
        rig.now_ms.advance(HOUR_MS)
        assert kinds(rig.poll(org, CLIENTS, full=True)) == expected
    put(account, org, one, name="Newest", updatedAt=format_time(rig.now_ms()))
    assert kinds(rig.poll(org, CLIENTS)) == [("updated", one)]


DRIFTS = {
    "a new field": {"region": "EU"},
    "another type": {"taxSubject": "true"},
    "null in place of a value": {"name": None},
}


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS)
def test_fault_41_the_schema_drifts(rig, account, org, drift):
    """Each record is updated once, with that field; where the field is ignored nothing is told."""
    ids = known(rig, account, org, 20)
    for one in ids:
        put(account, org, one, **drift)
    rig.now_ms.advance(HOUR_MS)
    told = rig.poll(org, CLIENTS, full=True)
    assert [event.record_id for event in told] == ids
    assert {tuple(event.changed) for event in told} == {tuple(drift)}
    assert rig.poll(org, CLIENTS, full=True) == []
    rig.follow(ignore=frozenset(drift))
    for one in ids:
        put(account, org, one, **dict.fromkeys(drift, "something else"))
    rig.now_ms.advance(HOUR_MS)
    assert rig.poll(org, CLIENTS, full=True) == []


def test_fault_41_a_field_is_gone(rig, account, org):
    """As any other change: once for each record."""
    ids = known(rig, account, org, 20, {"region": "EU"})
    for one in ids:
        rest = {key: value for key, value in account.get(CLIENTS, one).items() if key != "region"}
        account.put_raw(org, CLIENTS, one, json.dumps(rest).encode())
    rig.now_ms.advance(HOUR_MS)
    told = rig.poll(org, CLIENTS, full=True)
    assert [(event.record_id, event.changed, event.previous) for event in told] == [
        (one, ["region"], {"region": "EU"}) for one in ids
    ]
    assert rig.poll(org, CLIENTS, full=True) == []
