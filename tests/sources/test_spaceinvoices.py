"""The v1 API, as the simulator serves it and as it goes wrong."""

import json
from dataclasses import replace
from itertools import pairwise
from math import nan
from threading import Event, Thread, Timer
from time import monotonic, time

import pytest
from worlds import simulator_world

from poller.model import Organization, Stream
from poller.simulator import faults
from poller.simulator.http import Answer, http_date
from poller.sources import Denied, Incomplete, Increment, ParentGone, SourceError, Sweep, Unreachable, spaceinvoices
from poller.sources.spaceinvoices import RESOURCES, TRIES, SpaceInvoices

EVERYTHING = Sweep("", bodies=True)
IDS = Sweep("", bodies=False)
BAD = {"no id": lambda row: row | {"id": f"not an id: {row['id']}"}, "no JSON": lambda row: row | {"total": nan}}


@pytest.fixture(scope="module")
def shared():
    with simulator_world() as world:
        yield world


@pytest.fixture
def world(shared):
    """One simulator for all, in good order at the start of each test."""
    shared.simulator.faults.clear()
    shared.simulator.requests.clear()
    yield shared
    shared.simulator.faults.clear()
    shared.simulator.on_request = None


@pytest.fixture
def org(world):
    return world.add_organization()


@pytest.fixture
def stop():
    return Event()


@pytest.fixture
def made(world, stop):
    """Make sources, whose connections are closed at the end."""
    sources = []

    def make(token=world.token, **options):
        sources.append(SpaceInvoices(token, base_url=world.url, stop=stop, **options))
        return sources[-1]

    yield make
    for source in sources:
        source._client().close()


@pytest.fixture
def source(made, monkeypatch):
    """The source, which waits a hundredth of its time between tries."""
    monkeypatch.setattr(spaceinvoices, "BACKOFF_S", 0.005)
    return made(rate=5000)


@pytest.fixture
def clients(org):
    return Stream(org, "clients")


def listed(source, stream, query=EVERYTHING, parent=""):
    """All records of a listing that ended well."""
    return [record for page in source.list(stream, query, parent) for record in page.records]


def until_error(source, stream, query=EVERYTHING):
    """The pages that came before the error, and the error."""
    pages = []
    with pytest.raises(SourceError) as caught:
        pages.extend(source.list(stream, query))
    return pages, caught.value


def asked(world, org):
    """The requests for this organization: one that another test gave up may still come."""
    return [request for request in world.simulator.requests if org in request.path]


def settled(world, org, count):
    """Wait a little for so many requests, which were given up, so that they spoil no other test."""
    until = monotonic() + 2
    while len(asked(world, org)) < count and monotonic() < until:
        Event().wait(0.01)


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


# Answers that are no pages: what came before stands, nothing of them is used


def oversized(request, proper):
    return replace(proper(request), body=b" " * (33 << 20) + b"[]")


NO_PAGES = {
    "html": (faults.html, Incomplete, "a web page"),
    "truncated": (faults.truncated, Incomplete, "cut short"),
    "an_object": (faults.an_object, Incomplete, "not a list"),
    "empty body": (faults.instead(b""), Incomplete, "not JSON"),
    "null": (faults.instead(b"null"), Incomplete, "not JSON"),
    "same_page": (None, Incomplete, "repeats or is out of order"),
    "shuffled": (faults.shuffled(), Incomplete, "out of order"),
    "repeated": (faults.repeated, Incomplete, "repeats"),
    "ignores where": (faults.ignores_where, Incomplete, "repeats or is out of order"),
    "gzip_bomb": (faults.gzip_bomb(1 << 26), Incomplete, "larger than"),
    "oversized": (oversized, Incomplete, "larger than"),
    "bad gzip": (
        lambda request, proper: proper(request).header("Content-Encoding", "gzip"),
        Incomplete,
        "not proper gzip",
    ),
    "brotli": (lambda request, proper: proper(request).header("Content-Encoding", "br"), Incomplete, "encoding"),
    "unauthorized": (faults.unauthorized, Denied, r"401 \(Authorization Required\)"),
    "bad_token": (faults.bad_token, Denied, "token is wrong"),
    "forbidden": (faults.forbidden, Denied, "403"),
    "organization_gone": (faults.organization_gone, Denied, "the organization is not there"),
    "no such path": (faults.status(404, "There is no method"), SourceError, "check source.base_url"),
    "refused": (faults.status(422, "Filter is bad"), SourceError, r"422 \(Filter is bad\)"),
    "moved": (faults.status(302), SourceError, "302"),
    "server_error": (faults.server_error, Unreachable, "500"),
    "maintenance": (faults.maintenance, Unreachable, "503"),
    "bad_gateway": (faults.bad_gateway, Unreachable, "502"),
    "reset": (faults.reset, Unreachable, "without an answer"),
    "cut": (faults.cut, Unreachable, "in the middle of the answer"),
}


@pytest.mark.parametrize("name", sorted(NO_PAGES))
@pytest.mark.parametrize("query", [EVERYTHING, Increment(0)], ids=["sweep", "increment"])
def test_an_answer_that_is_no_page_ends_the_listing(world, source, clients, name, query):
    """By the error that it is, with the good pages given and nothing of the bad one."""
    ids = world.bulk_create(clients.org, "clients", 250)
    fault, kind, words = NO_PAGES[name]
    if fault is None:
        world.simulator.faults.always(faults.same_page())
    else:
        world.simulator.faults.at(2, lambda *_: world.simulator.faults.always(fault) or fault(*_))
    pages, error = until_error(source, clients, query)
    assert type(error) is kind
    assert error.args[0]
    with pytest.raises(kind, match=words):
        raise error
    assert [[record.id for record in page.records] for page in pages] == [ids[:100]]


def test_pages_without_end_end(world, source, clients, monkeypatch):
    """A server that always has another record is not followed for ever."""
    monkeypatch.setattr(spaceinvoices, "MAX_PAGES", 20)
    world.simulator.on_request = lambda _: world.account.create(clients.org, "clients")
    pages, error = until_error(source, clients)
    assert isinstance(error, Incomplete)
    assert "did not end within 20 pages" in str(error)
    assert len(pages) == 20


@pytest.mark.parametrize("name", ["an_object", "html", "null", "organization_gone", "unauthorized", "server_error"])
def test_no_answer_is_ever_an_empty_listing(world, source, clients, name):
    """Also on the first page."""
    world.create(clients.org, "clients")
    world.simulator.faults.always(NO_PAGES[name][0])
    pages, error = until_error(source, clients)
    assert pages == []
    assert type(error) is NO_PAGES[name][1]


def test_messages_hold_no_secret_and_no_query(world, source, clients):
    """They go to logs and to people."""
    for name in ("bad_token", "reset", "html", "refused", "gzip_bomb"):
        world.simulator.faults.always(NO_PAGES[name][0])
        _, error = until_error(source, clients)
        assert world.token not in str(error)
        assert "filter" not in str(error).replace("Filter is bad", "")
        world.simulator.faults.clear()


# Bad records


@pytest.mark.parametrize("query", [EVERYTHING, IDS, Increment(0)], ids=["sweep", "ids", "increment"])
@pytest.mark.parametrize("cap", [100, 2, 1])
@pytest.mark.parametrize("bad", BAD)
def test_bad_records_cost_none_of_those_behind_them(world, source, clients, query, bad, cap):
    """Also where they fill whole pages: the listing goes on behind them, and ends."""
    ids = world.bulk_create(clients.org, "clients", 12)
    for one in (0, 3, 4, 5, 6, 11):
        broken = json.dumps(BAD[bad](world.account.get("clients", ids[one])))
        world.account.put_raw(clients.org, "clients", ids[one], broken.encode())
    world.simulator.faults.always(_capped(cap))
    pages = list(source.list(clients, query))
    shown = [record.id for page in pages for record in page.records]
    quarantined = {record.key for page in pages for record in page.quarantined}
    if query is IDS and bad == "no JSON":
        assert (shown, quarantined) == (ids, set())
    else:
        assert shown == [ids[one] for one in (1, 2, 7, 8, 9, 10)]
        assert len(quarantined) == 6


def _capped(most):
    """Pages of at most so many records, their bytes as they are."""

    def fault(request, proper):
        limited = json.dumps(request.filter | {"limit": most})
        return proper(replace(request, params=(("filter", limited),)))

    return fault


@pytest.mark.parametrize("cap", [100, 2, 1])
def test_records_without_a_usable_date_end_no_listing(world, source, clients, cap):
    """Also where they fill whole pages: a listing of news by such a filter that lets them pass comes to its end."""
    ids = world.bulk_create(clients.org, "clients", 9)
    for one in (2, 3, 4, 8):
        odd = world.account.get("clients", ids[one]) | {"updatedAt": "soon"}
        world.account.put_raw(clients.org, "clients", ids[one], json.dumps(odd).encode())
    world.simulator.faults.always(_capped(cap))
    assert {record.id for record in listed(source, clients, Increment(0))} == {*ids}


def test_a_stream_of_bad_records_alone_is_no_listing(world, source, clients):
    """A whole page without one usable id: something else is wrong."""
    for one in world.bulk_create(clients.org, "clients", 150):
        world.account.put_raw(clients.org, "clients", one, b'{"_id":"%s"}' % one.encode())
    pages, error = until_error(source, clients)
    assert isinstance(error, Incomplete)
    assert [len(page.quarantined) for page in pages] == [100]


def test_a_bad_record_at_every_place_ends_all_the_same(world, source, clients):
    """A server that shows one on every page, whatever is asked, is not asked for ever."""
    ids = world.bulk_create(clients.org, "clients", 3)
    world.simulator.faults.always(faults.no_id)
    assert [record.id for record in listed(source, clients)] == ids
    assert len(asked(world, clients.org)) == 3


# Trying again


@pytest.mark.parametrize(
    "fault",
    [
        faults.server_error,
        faults.bad_gateway,
        faults.maintenance,
        faults.rate_limited(),
        faults.rate_limited("soon"),
        faults.rate_limited("-5"),
        faults.rate_limited("0"),
        faults.reset,
        faults.cut,
    ],
    ids=["500", "502", "503", "429", "429 soon", "429 -5", "429 0", "reset", "cut"],
)
def test_fault_26_32_passing_trouble_is_tried_again(world, source, clients, fault):
    """Three times in one listing, and nobody notices."""
    ids = world.bulk_create(clients.org, "clients", 3)
    world.simulator.faults.next(fault, TRIES - 1)
    assert [record.id for record in listed(source, clients)] == ids


@pytest.mark.parametrize("fault", [faults.unauthorized, faults.forbidden, faults.html, faults.truncated])
def test_what_would_not_change_is_not_tried_again(world, source, clients, fault):
    """One request, one answer."""
    world.simulator.faults.always(fault)
    until_error(source, clients)
    assert len(asked(world, clients.org)) == 1


def test_lasting_trouble_is_given_up(world, source, clients):
    """After as many tries as there are."""
    world.simulator.faults.always(faults.server_error)
    _, error = until_error(source, clients)
    assert isinstance(error, Unreachable)
    assert len(asked(world, clients.org)) == TRIES


def busy(date):
    """429 with a date a second ahead, and the header ``Date`` or none."""

    def fault(request, proper):
        now_ms = int(time() * 1000)
        return faults.rate_limited(http_date(now_ms + 1000))(request, proper).header("Date", date and http_date(now_ms))

    return fault


def test_retry_after_is_for_all_threads(world, source, clients):
    """One was asked to wait, and none asks meanwhile."""
    world.simulator.faults.next(faults.rate_limited("1"))
    times = []
    world.simulator.on_request = lambda _: times.append(monotonic())

    def other():
        listed(source, clients)
        source._client().close()

    thread = Thread(target=other)
    thread.start()
    while not source._bucket._pace.open_s:
        Event().wait(0.01)
    listed(source, clients)
    thread.join()
    assert len(times) == 3
    assert all(0.9 < later - times[0] < 2 for later in times[1:])


@pytest.mark.parametrize("date", [True, None])
def test_a_date_to_retry_after_is_by_the_server_s_clock_or_ours(world, source, clients, date):
    """Without a date of the answer too: else that server would be left alone for an hour."""
    world.simulator.faults.next(busy(date))
    began = monotonic()
    assert listed(source, clients) == []
    assert monotonic() - began < 2


def test_a_long_pause_ends_the_poll_and_is_kept_to(world, source, clients):
    """No thread sits through it, and no request is made before its end."""
    world.simulator.faults.next(faults.rate_limited("120"))
    _, error = until_error(source, clients)
    assert isinstance(error, Unreachable)
    assert "429" in str(error)
    _, error = until_error(source, clients)
    assert "asked for a pause of another 1" in str(error)
    assert len(asked(world, clients.org)) == 1


def test_a_slow_server_meets_the_deadline(world, source, clients, monkeypatch):
    """One that dribbles too."""
    monkeypatch.setattr(spaceinvoices, "DEADLINE_S", 0.1)
    monkeypatch.setattr(spaceinvoices, "TRIES", 2)
    for fault in (faults.hang(), faults.dribble(0.02)):
        world.simulator.faults.always(fault)
        _, error = until_error(source, clients)
        assert isinstance(error, Unreachable)
        assert "deadline" in str(error)
    settled(world, clients.org, 4)


@pytest.mark.parametrize(
    "fault", [faults.hang(), faults.rate_limited("30"), faults.server_error], ids=["hang", "429", "500"]
)
def test_a_stop_ends_every_wait_at_once(world, made, stop, clients, fault):
    """In a request, in a pause that was asked for, in a back-off."""
    source = made(chance=lambda: 1.0)
    world.simulator.faults.always(fault)
    Timer(0.2, stop.set).start()
    began = monotonic()
    _, error = until_error(source, clients)
    assert isinstance(error, Unreachable)
    assert monotonic() - began < 1
    settled(world, clients.org, 1)


def test_nothing_is_asked_after_a_stop(world, source, stop, clients):
    """The error is at once."""
    stop.set()
    _, error = until_error(source, clients)
    assert isinstance(error, Unreachable)
    assert asked(world, clients.org) == []


# Single records and counts


def test_fetch_shows_tombstones_and_leaves_out_what_is_gone(world, source, clients):
    """One request for up to 50 ids."""
    ids = world.bulk_create(clients.org, "clients", 50)
    world.soft_delete(clients.org, "clients", ids[0])
    world.hard_delete(clients.org, "clients", ids[1])
    page = source.fetch(clients, ids)
    assert [record.id for record in page.records] == [ids[0], *ids[2:]]
    assert [record.id for record in page.records if record.deleted] == [ids[0]]
    assert len(asked(world, clients.org)) == 1


@pytest.mark.parametrize(
    "fault", [faults.ignores_where, faults.repeated, faults.html, faults.truncated, faults.an_object]
)
def test_fetch_takes_nothing_but_what_was_asked_for(world, source, clients, fault):
    """Others, or one twice, mean that the filter was not read."""
    ids = world.bulk_create(clients.org, "clients", 3)
    world.simulator.faults.always(fault)
    with pytest.raises(Incomplete):
        source.fetch(clients, ids[:2])


def test_fetch_quarantines_what_cannot_be_read(world, source, clients):
    """By its id, so that it is not taken for gone."""
    one = world.create(clients.org, "clients")
    world.account.put_raw(clients.org, "clients", one, b'{"id":"%s","total":NaN}' % one.encode())
    page = source.fetch(clients, [one])
    assert ([bad.key for bad in page.quarantined], page.records) == ([one], ())


def test_count_leaves_tombstones_out(world, source, clients):
    """Live records only."""
    ids = world.bulk_create(clients.org, "clients", 5)
    world.soft_delete(clients.org, "clients", ids[0])
    assert source.count(clients) == 4


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{}", b'{"count":null}', b'{"count":"5"}', b'{"count":-1}', b'{"count":1.5}', b'{"count":true}', b"5"],
)
def test_a_count_is_a_number(world, source, clients, body):
    """Anything else proves nothing."""
    world.simulator.faults.always(faults.instead(body))
    with pytest.raises(Incomplete):
        source.count(clients)


def test_a_parent_that_is_gone_is_no_refused_organization(world, source, org):
    """Its own stream tells of it."""
    stream = Stream(org, "prices")
    parent = world.create(org, "price_lists")
    world.create(org, "prices", {}, parent)
    world.soft_delete(org, "price_lists", parent)
    for act in (lambda: listed(source, stream, parent=parent), lambda: source.count(stream, parent)):
        with pytest.raises(ParentGone):
            act()


def test_a_refused_parent_is_denied(world, source, org):
    """401 stays 401."""
    world.simulator.faults.always(faults.unauthorized)
    with pytest.raises(Denied):
        source.count(Stream(org, "prices"), "a")


# Organizations


def test_all_organizations_of_the_token_are_listed(world, source):
    """Page by page, with their names."""
    for number in range(3):
        world.add_organization(f"Another {number}")
    world.simulator.page_cap = 2
    try:
        found = source.organizations()
    finally:
        world.simulator.page_cap = 100
    assert [organization.id for organization in found] == world.organizations
    assert found[-1].name == "Another 2"


def test_configured_organizations_are_not_asked_for(world, made):
    """They are taken as they are."""
    source = made(organizations=["b", "a"])
    assert source.organizations() == [Organization("b", ""), Organization("a", "")]
    assert asked(world, "ccounts") == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.html, Incomplete),
        (faults.an_object, Incomplete),
        (faults.truncated, Incomplete),
        (faults.instead(b'[{"name":"x"}]'), Incomplete),
        (faults.instead(b"[1]"), Incomplete),
        (faults.ignores_where, Incomplete),
        (faults.unauthorized, Denied),
        (faults.server_error, Unreachable),
    ],
)
def test_a_list_of_organizations_that_is_none_suspends_nobody(world, source, fault, kind):
    """It is an error, not an account without organizations."""
    world.simulator.faults.always(fault, path="organizations$")
    with pytest.raises(kind):
        source.organizations()


def test_a_wrong_token_is_told_as_such(made):
    """At the first request."""
    source = made("wrong")
    with pytest.raises(Denied, match="the token is wrong, expired, or may not see"):
        source.organizations()


@pytest.mark.parametrize(("status", "kind"), [(401, Denied), (422, SourceError)])
def test_what_the_api_says_of_an_error_is_told_in_part_and_without_the_token(world, source, made, status, kind):
    """It may repeat it, go on for ever, or mean the terminal."""
    token = world.account.token
    world.simulator.faults.always(faults.status(status, f"no such token {token}\n\x1b[2J {token * 1000}"))
    with pytest.raises(kind) as caught:
        source.organizations()
    assert str(caught.value).startswith(f"the API answered {status} (no such token [the token]  [2J [the token]")
    assert token not in str(caught.value)
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize("error", ["{}", '{"message":{"a":1}}', '{"message":""}', '"x"'])
def test_an_error_without_words_is_told_by_its_status(world, source, error):
    """Whatever is in their place."""
    world.simulator.faults.always(lambda *_: Answer(422, f'{{"error":{error}}}'.encode()))
    with pytest.raises(SourceError, match=r"^the API answered 422$"):
        source.organizations()
