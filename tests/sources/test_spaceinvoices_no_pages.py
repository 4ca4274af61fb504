"""Answers of the v1 API that are no pages end a listing; bad records on a page do not."""

import json
from dataclasses import replace
from math import nan

import pytest
from listings import EVERYTHING, IDS, asked, listed, until_error

from poller.simulator import faults
from poller.sources import Denied, Incomplete, Increment, SourceError, Unreachable, spaceinvoices

BAD = {"no id": lambda row: row | {"id": f"not an id: {row['id']}"}, "no JSON": lambda row: row | {"total": nan}}

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
