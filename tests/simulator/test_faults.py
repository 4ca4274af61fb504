import gzip
import json
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest
from worlds import simulator_world

from poller.simulator import faults


@pytest.fixture
def world():
    with simulator_world() as made:
        made.org = made.organizations[0]
        made.ids = made.bulk_create(made.org, "clients", 5)
        yield made


def get(world, **asked):
    return world.http.get(f"/Organizations/{world.org}/clients", params={"filter": json.dumps(asked)})


def ids(answer):
    return [row["id"] for row in answer.json()]


def spoiled(world, fault, **asked):
    world.simulator.faults.next(fault)
    return get(world, **asked)


def test_at(world):
    """A fault at the n-th request spoils that one alone."""
    world.simulator.faults.at(2, faults.server_error)
    assert [get(world).status_code for _ in range(3)] == [200, 500, 200]


def test_next(world):
    """A fault for the next requests spoils so many."""
    world.simulator.faults.next(faults.maintenance, times=2)
    assert [get(world).status_code for _ in range(3)] == [503, 503, 200]


def test_path(world):
    """A fault for a path leaves other paths alone, and does not count them."""
    world.simulator.faults.at(2, faults.server_error, path="/CLIENTS$")
    codes = [world.http.get(path).status_code for path in ("/Accounts/authorized",) * 2]
    assert codes + [get(world).status_code for _ in range(2)] == [200, 200, 200, 500]


def test_always_and_clear(world):
    """A fault for ever lasts until the script is cleared."""
    world.simulator.faults.always(faults.server_error)
    assert [get(world).status_code for _ in range(3)] == [500, 500, 500]
    world.simulator.faults.clear()
    assert get(world).status_code == 200


def test_first_rule_wins(world):
    """Of two rules that are due the first counts, and the second waits."""
    world.simulator.faults.next(faults.server_error)
    world.simulator.faults.next(faults.maintenance)
    assert [get(world).status_code for _ in range(3)] == [500, 503, 200]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (faults.rate_limited(), 429, None),
        (faults.server_error, 500, None),
        (faults.unauthorized, 401, "AUTHORIZATION_REQUIRED"),
        (faults.bad_token, 401, "INVALID_TOKEN"),
        (faults.forbidden, 403, "ACCESS_DENIED"),
        (faults.organization_gone, 404, "MODEL_NOT_FOUND"),
        (faults.status(418), 418, None),
    ],
)
def test_errors(world, fault, status, code):
    """An error has the API's shape."""
    answer = spoiled(world, fault)
    error = answer.json()["error"]
    assert (answer.status_code, error["statusCode"], error.get("code")) == (status, status, code)


@pytest.mark.parametrize("after", ["3", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after(world, after):
    """A 429 may say when to come back."""
    assert spoiled(world, faults.rate_limited(after)).headers["Retry-After"] == after
    assert "Retry-After" not in spoiled(world, faults.rate_limited()).headers


@pytest.mark.parametrize(
    ("fault", "status"), [(faults.bad_gateway, 502), (faults.maintenance, 503), (faults.html, 200)]
)
def test_pages_in_html(world, fault, status):
    """What stands in front of the API answers in HTML."""
    answer = spoiled(world, fault)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "<html>" in answer.text


def test_reset(world):
    """The connection is reset before an answer."""
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        spoiled(world, faults.reset)
    assert get(world).status_code == 200


def test_cut(world):
    """The connection closes in the middle of the body."""
    with pytest.raises(httpx.RemoteProtocolError):
        spoiled(world, faults.cut)
    assert get(world).status_code == 200


def test_closed_early(world):
    """A part of the page looks whole: it says no length, and ends with the connection."""
    answer = spoiled(world, faults.closed_early(2))
    assert ids(answer) == world.ids[:2]
    assert "Content-Length" not in answer.headers
    assert len(ids(get(world))) == 5


def test_truncated(world):
    """Half the JSON comes with the length of that half."""
    answer = spoiled(world, faults.truncated)
    assert len(answer.content) == int(answer.headers["Content-Length"])
    with pytest.raises(ValueError):
        answer.json()


def test_dribble(world):
    """Bytes come one at a time: each within any timeout, all of them late."""
    world.simulator.faults.next(faults.dribble(0.004))
    began = time.monotonic()
    assert world.http.get("/Accounts/authorized", timeout=0.5).status_code == 200
    assert time.monotonic() - began > 1


def test_hang(world):
    """Nothing comes, and stopping the simulator does not wait for it."""
    began = time.monotonic()
    world.simulator.faults.next(faults.hang())
    with pytest.raises(httpx.ReadTimeout):
        world.http.get("/Accounts/authorized", timeout=0.1)
    world.simulator.stop()
    assert time.monotonic() - began < 5


def test_gzip_bomb(world):
    """A small body unpacks to a large one."""
    world.simulator.faults.next(faults.gzip_bomb(1 << 20))
    with world.http.stream("GET", "/Accounts/authorized") as answer:
        packed = b"".join(answer.iter_raw())
    assert len(packed) < 10_000
    assert len(gzip.decompress(packed)) == 1 << 20


def test_oversized(world):
    """A body is much larger than a page should be."""
    assert len(spoiled(world, faults.oversized(1 << 20)).content) > 1 << 20


def test_empty_list(world):
    """Everything is an empty list."""
    assert spoiled(world, faults.empty_list).json() == []


def test_object(world):
    """An object comes instead of a list."""
    assert isinstance(spoiled(world, faults.an_object).json(), dict)


def test_same_page(world):
    """The same page comes for ever, whatever is asked."""
    world.simulator.faults.always(faults.same_page())
    first = ids(get(world, limit=2))
    assert ids(get(world, limit=2, where={"id": {"gt": first[-1]}})) == first


def test_shuffled(world):
    """The records of a page come in another order."""
    shown = ids(spoiled(world, faults.shuffled()))
    assert sorted(shown) == world.ids
    assert shown != world.ids


def test_repeated(world):
    """A record is twice on one page."""
    assert ids(spoiled(world, faults.repeated)) == [*world.ids, world.ids[0]]


def test_overlapping(world):
    """A record is on two pages."""
    world.simulator.faults.always(faults.overlapping())
    first = ids(get(world, limit=2))
    second = ids(get(world, limit=2, where={"id": {"gt": first[-1]}}))
    assert (first, second) == (world.ids[:2], world.ids[1:4])


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        (faults.bad_id, b'"not an id"'),
        (faults.number_id, b'"id":42'),
        (faults.no_id, b'{"updatedAt"'),
        (faults.lone_surrogate, rb"\ud800"),
        (faults.not_a_number, b"NaN"),
        (faults.not_utf8, b"\xff\xfe"),
        (faults.deep, b"[[[[[["),
        (faults.bare_value, b",null]"),
    ],
)
def test_odd_records(world, fault, part):
    """One record of a page is odd; the others are as they should be."""
    body = spoiled(world, fault).content
    assert part in body
    assert all(record_id.encode() in body for record_id in world.ids)


def test_odd_record_on_an_empty_page(world):
    """The odd record may be the only one."""
    assert spoiled(world, faults.bad_id, where={"id": "0" * 24}).json()[0]["id"] == "not an id"


def test_page_cap(world):
    """A page holds fewer records than asked."""
    assert ids(spoiled(world, faults.page_cap(2), limit=100)) == world.ids[:2]


def test_ignored_where(world):
    """A clause is ignored."""
    assert ids(spoiled(world, faults.ignores_where, where={"id": world.ids[3]})) == world.ids


def test_ignored_deleted(world):
    """Tombstones stay hidden though they were asked for."""
    world.soft_delete(world.org, "clients", world.ids[0])
    assert ids(spoiled(world, faults.ignores_deleted, deleted=True)) == world.ids[1:]


def test_ignored_fields(world):
    """A projection is ignored."""
    assert "name" in spoiled(world, faults.ignores_fields, fields={"id": True}).json()[0]


def test_date(world):
    """The date is off, or missing."""
    now = parsedate_to_datetime(get(world).headers["Date"])
    off = parsedate_to_datetime(spoiled(world, faults.date_off(-600)).headers["Date"])
    assert 595 <= (now - off).total_seconds() <= 600
    assert "Date" not in spoiled(world, faults.no_date).headers
