"""``poller doctor``: every question with each of its verdicts, against the simulator, its faults, and LoopBack."""

import json
import os
import random
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from process import TOKEN, Site, webhook
from worlds import loopback_world

from poller.config import load
from poller.doctor import Verdict, answers, machine, worst
from poller.doctor.examination import examine
from poller.mounts import Mount, mount_of, mounts
from poller.simulator import Account, History, Simulator, faults
from poller.simulator.routes import PAGE_CAP

OK, NOTE, WARN, FAIL = Verdict

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /srv/state rw - nfs4 nas:/poller rw
31 22 0:31 / /srv/my\\040files rw - fuse.sshfs me@nas:/ rw
32 22 0:32 / /run rw - tmpfs tmpfs rw
33 22 0:33 / /mnt rw - fuse.portal portal rw
34 22 0:34 / /var/lib rw - cifs //nas/share rw
garbage
"""


@pytest.fixture(scope="module")
def account():
    """One organization, some of each resource, some deleted, and more clients than a page holds."""
    account = Account(token=TOKEN, organizations=1, seed=1)
    history = History(account, random.Random(1))
    history.populate(8)
    [org] = account.organizations
    for _ in range(200):
        history.step()
    account.bulk_create(org, "clients", PAGE_CAP + 20)
    return account


@pytest.fixture
def site(tmp_path, api, monkeypatch):
    monkeypatch.setenv("POLLER_TEST_TOKEN", TOKEN)
    return Site(tmp_path / "site", api.url)


def findings(site, **how):
    """All findings by their names, without a process."""
    return {finding.name: finding for finding in examine(load(site.config), **how)}


# The API


def test_all_is_well_with_an_api_as_it_is_documented(site):
    """Nothing fails, nothing warns, and every letter of the list of questions is asked."""
    found = findings(site)
    assert {one.name: one for one in found.values() if one.verdict in (WARN, FAIL)} == {}
    assert found["tombstones"].verdict == OK
    assert found["deletion stamps"].verdict == OK
    asked = (
        "tombstones, deletion stamps, totals, counts, counts above, page limit, filters, and, or, by id, fields, ETag, "
        "limit headers"
    )
    for name in (*asked.replace("and, or", "and+or").split(", "), "include", "sub-accounts", "clock"):
        assert name.replace("+", ", ") in found
    assert all(one.expected and one.seen for one in found.values())


def test_it_only_reads(site, api):
    """No request but GET, and the records are as they were."""
    findings(site)
    assert {request.method for request in api.requests} == {"GET"}


def unlike(change):
    """A fault that changes a page's answer as ``change`` does."""
    return lambda request, proper: change(proper(request))


def rows(change):
    def fault(request, proper):
        answer = proper(request)
        found = json.loads(answer.body)
        return replace(answer, body=json.dumps(change(found)).encode()) if isinstance(found, list) else answer

    return fault


def header(name, value):
    return lambda request, proper: proper(request).header(name, value)


def stale(listed):
    """Tombstones whose updatedAt is of before."""
    return [
        row | {"updatedAt": "2020-01-01T00:00:00.000Z"} if row.get("_isDeleted") and "deletedAt" in row else row
        for row in listed
    ]


def by_operator(name):
    """The filter without its clause where it names this operator."""

    def fault(request, proper):
        asks = f'"{name}"' in json.dumps((request.filter or {}).get("where") or {})
        return faults.ignores_where(request, proper) if asks else proper(request)

    return fault


def without_last(name):
    """The last record left out where the filter names this operator."""

    def fault(request, proper):
        answer = proper(request)
        if f'"{name}"' not in json.dumps((request.filter or {}).get("where") or {}):
            return answer
        return replace(answer, body=json.dumps(json.loads(answer.body)[:-1]).encode())

    return fault


def not_modified(request, proper):
    answer = proper(request).header("ETag", '"one"')
    return replace(answer, status=304, body=b"") if "if-none-match" in request.headers else answer


def big_pages(request, proper):
    answer = proper(request)
    if (request.filter or {}).get("limit") != 500:
        return answer
    return replace(answer, body=json.dumps([{"id": str(one)} for one in range(101)]).encode())


def refused_limit(request, proper):
    return faults.status(400)(request, proper) if (request.filter or {}).get("limit") == 500 else proper(request)


def less_at_500(request, proper):
    return faults.page_cap(3)(request, proper) if (request.filter or {}).get("limit") == 500 else proper(request)


def no_stamps(request, proper):
    """``fields`` that leaves out updatedAt; whole records have it."""
    keep = (request.filter or {}).get("fields")
    if not keep:
        return proper(request)
    return rows(lambda listed: [{k: v for k, v in row.items() if k != "updatedAt"} for row in listed])(request, proper)


def with_prices(request, proper):
    """Price lists that bring their prices along where they are included."""
    answer = proper(request)
    if not (request.filter or {}).get("include"):
        return answer
    own = {"id": None}
    listed = [row | {"prices": [own]} for row in json.loads(answer.body)]
    return replace(answer, body=json.dumps(listed).encode())


CLIENTS = "/clients$"
API = {
    "no Date": ("clock", WARN, faults.no_date, "authorized"),
    "Date a minute off": ("clock", NOTE, faults.date_off(60), "authorized"),
    "Date an hour behind": ("clock", FAIL, faults.date_off(-3600), "authorized"),
    "a token that is wrong": ("token", FAIL, faults.bad_token, "authorized"),
    "no answer": ("token", FAIL, faults.reset, "authorized"),
    "organizations denied": ("organizations", FAIL, faults.forbidden, "/organizations$"),
    "no organization": ("organizations", FAIL, faults.empty_list, "/organizations$"),
    "no sub-accounts to list": ("sub-accounts", NOTE, faults.status(404), "/accounts$"),
    "sub-accounts fail": ("sub-accounts", NOTE, faults.reset, "/accounts$"),
    "a listing that is none": ("listing of clients", FAIL, faults.an_object, CLIENTS),
    "no tombstones": ("tombstones", NOTE, faults.ignores_deleted, ""),
    "live for deleted": ("tombstones", FAIL, faults.ignores_where, CLIENTS),
    "deletions do not stamp": ("deletion stamps", WARN, rows(stale), CLIENTS),
    "no tombstone to tell by": ("deletion stamps", NOTE, faults.ignores_deleted, ""),
    "no total": ("totals", NOTE, header("x-total-count", None), ""),
    "another total": ("totals", NOTE, header("x-total-count", "7"), ""),
    "another count": ("counts", WARN, faults.instead(b'{"count":9999}'), "/items/count"),
    "a count that is none": ("counts", WARN, faults.instead(b"[]"), "/items/count"),
    "a count of all": ("counts above", WARN, faults.instead(b'{"count":9999}'), "/items/count"),
    "large pages": ("page limit", NOTE, big_pages, ""),
    "a refused limit": ("page limit", OK, refused_limit, CLIENTS),
    "a smaller page": ("page limit", WARN, less_at_500, CLIENTS),
    "gt is ignored": ("filters", FAIL, by_operator("gt"), CLIENTS),
    "gte is ignored": ("filters", FAIL, by_operator("gte"), CLIENTS),
    "gt loses": ("filters", FAIL, without_last("gt"), "/items$"),
    "gte loses": ("filters", FAIL, without_last("gte"), "/items$"),
    "out of order": ("filters", FAIL, faults.ignores("order"), "/items$"),
    "or is ignored": ("and, or", FAIL, by_operator("or"), CLIENTS),
    "or loses": ("and, or", FAIL, without_last("or"), "/items$"),
    "inq is ignored": ("by id", FAIL, by_operator("inq"), CLIENTS),
    "inq loses": ("by id", FAIL, without_last("inq"), "/items$"),
    "fields is ignored": ("fields", WARN, faults.ignores_fields, CLIENTS),
    "fields loses": ("fields", FAIL, no_stamps, "/items$"),
    "304": ("ETag", NOTE, not_modified, ""),
    "an ETag for nothing": ("ETag", OK, header("ETag", '"one"'), ""),
    "a limit is told": ("limit headers", NOTE, header("X-RateLimit-Remaining", "99"), ""),
    "include leaves some out": ("include", OK, with_prices, "/pricelists$"),
}


@pytest.mark.parametrize(("name", "verdict", "fault", "path"), API.values(), ids=API)
def test_each_verdict_on_the_api(site, api, name, verdict, fault, path):
    """With what was seen, and, where something is to be done, with that."""
    api.faults.always(fault, path)
    found = findings(site)[name]
    assert found.verdict == verdict, found
    assert found.seen
    assert found.follows or verdict in (OK, NOTE)


def test_what_is_said_of_tags_is_what_is_done(site, api):
    """Sweeps ask for pages on condition that they changed, so a 304 is of use."""
    api.faults.always(not_modified)
    found = findings(site)["ETag"]
    assert (found.seen, found.follows) == ("304: a page that is the same is not sent again", "sweeps make use of it")


def test_a_trouble_that_passes_is_no_finding(site, api):
    """A 503 or a 429 is asked once more."""
    api.faults.next(faults.maintenance, path=CLIENTS)
    api.faults.next(faults.rate_limited("0"), path=CLIENTS)
    assert findings(site)["filters"].verdict == OK


def test_an_empty_account_tells_little(tmp_path, monkeypatch):
    """Notes, and nothing that fails."""
    monkeypatch.setenv("POLLER_TEST_TOKEN", TOKEN)
    with Simulator(Account(token=TOKEN, organizations=1)) as api:
        found = findings(Site(tmp_path / "site", api.url))
    for name in ("tombstones", "deletion stamps", "filters", "and, or", "by id", "fields", "page limit", "include"):
        assert found[name].verdict == NOTE
    assert {one.verdict for one in found.values()} <= {OK, NOTE}


def test_organizations_of_sub_accounts():
    """Those that the own list does not show are named."""
    assert answers.reached(["a"], {"child": ["a"]}).verdict == OK
    assert answers.reached(["a"], {}).verdict == OK
    told = answers.reached(["a"], {"child": ["a", "b"]})
    assert (told.verdict, told.seen) == (WARN, "1 organizations of sub-accounts are not in the list: b")


def test_the_clock_is_judged_by_what_a_date_of_whole_seconds_can_show():
    """Within its second and the time the request took, nothing is off."""
    assert answers.skew(10_000, 10_300, 10_900).seen == "the clocks agree"
    assert answers.skew(10_000, 12_000, 12_100) == (OK, "this clock is 1.0 s ahead")
    assert answers.skew(90_000, 10_000, 10_100) == (NOTE, "this clock is 79.9 s behind")


def test_all_prices_that_come_along():
    """Would save requests."""
    assert answers.included([{"id": "l", "prices": [{"id": "p"}]}], ["p"]).verdict == NOTE


PAYMENT = {
    "moves": ([1, 2, 3], [0, 1], OK),
    "stays": ([1, 1, 1], [0, 1], WARN),
    "does not change": ([1, 1, 1], [0, 0], NOTE),
}


@pytest.mark.parametrize(("stamps", "paid", "verdict"), PAYMENT.values(), ids=PAYMENT)
def test_what_a_payment_does_to_its_document(stamps, paid, verdict):
    """Judged by its stamps, and by what is paid of it."""
    moments = [f"2026-01-01T00:00:00.00{one}Z" for one in stamps]
    seen = [{"updatedAt": moment, "totalPaid": total} for moment, total in zip(moments, [*paid, paid[0]], strict=True)]
    assert answers.bumped(*seen).verdict == verdict


def test_a_payment_is_booked_only_when_asked_for_and_taken_back(site, api, account):
    """One is made and deleted again; the simulator's document does not tell of it."""
    [org] = account.organizations
    document = min(account.live(org, "documents"))
    before = account.live(org, "payments")
    found = findings(site, document=document)["payment"]
    assert found.verdict == NOTE
    assert [one.method for one in api.requests if one.method != "GET"] == ["POST", "DELETE"]
    assert account.live(org, "payments") == before


@pytest.mark.parametrize(
    ("fault", "path", "words"),
    [
        (faults.server_error, "/documents/[^/]+/payments", "POST was answered by 500"),
        (faults.server_error, "/payments/", "delete it by hand"),
    ],
)
def test_a_payment_that_goes_wrong(site, api, account, fault, path, words):
    """Says what is left to do."""
    api.faults.always(fault, path)
    [org] = account.organizations
    found = findings(site, document=min(account.live(org, "documents")))["payment"]
    assert found.verdict == FAIL
    assert words in found.seen


def test_against_loopback(tmp_path, monkeypatch):
    """A stock LoopBack 3 server is what its documentation says, and it knows ETags."""
    with loopback_world() as world:
        monkeypatch.setenv("POLLER_TEST_TOKEN", world.token)
        [org, _] = world.organizations
        for name in ("clients", "items", "documents"):
            ids = world.bulk_create(org, name, 5)
            world.soft_delete(org, name, ids[0])
        found = findings(Site(tmp_path / "site", world.url), document=ids[1])
    assert {one.name: one for one in found.values() if one.verdict in (WARN, FAIL)} == {}
    assert found["ETag"].verdict == NOTE
    assert found["deletion stamps"].verdict in (OK, NOTE)
    assert found["payment"].verdict == NOTE


# The machine

FILE_SYSTEMS = {
    "/home/me": (OK, "ext4 at /"),
    "/srv/state/deep": (FAIL, "nfs4 at /srv/state, a network file system"),
    "/srv/stateless": (OK, "ext4 at /"),
    "/srv/my files": (FAIL, "fuse.sshfs at /srv/my files, a network file system"),
    "/run/poller": (WARN, "tmpfs at /run"),
    "/mnt/x": (WARN, "fuse.portal at /mnt"),
    "/var/lib/poller": (FAIL, "cifs at /var/lib, a network file system"),
}


@pytest.mark.parametrize(("path", "told"), FILE_SYSTEMS.items(), ids=FILE_SYSTEMS)
def test_the_file_system_of_the_state(path, told):
    """The deepest mount counts; networks are refused, what does not last is warned of."""
    assert machine.file_system(mount_of(path, mounts(MOUNTS))) == told


def test_of_two_mounts_at_one_point_the_last_counts():
    """It hides the other."""
    both = mounts("1 1 0:1 / / rw - ext4 a rw\n2 1 0:2 / / rw - nfs b rw\n")
    assert mount_of("/x", both).type == "nfs"
    assert machine.file_system(mount_of("/x", [])).verdict == NOTE


def test_a_network_that_the_configuration_insists_on():
    """It is warned of, for poller starts there."""
    assert machine.file_system(Mount("/srv", "nfs4"), insisted=True).verdict == WARN


LOCAL = {
    "SQLite with the bug": (machine.sqlite((3, 51, 2)), NOTE),
    "SQLite without": (machine.sqlite((3, 51, 3)), OK),
    "many files": (machine.open_files(1024, 4), OK),
    "few files": (machine.open_files(100, 4), WARN),
    "too few files": (machine.open_files(20, 4), FAIL),
    "memory": (machine.memory(1 << 30), OK),
    "little memory": (machine.memory(1 << 20), WARN),
    "memory unknown": (machine.memory(None), NOTE),
    "room": (machine.disk(1 << 40, []), OK),
    "no room": (machine.disk(1, ["the disk has only 0 MiB free"]), FAIL),
    "Python": (machine.python((3, 11, 7)), OK),
    "old Python": (machine.python((3, 10, 1)), FAIL),
    "no address": (machine.addresses([]), FAIL),
    "refused": (machine.addresses(["no", "no"]), FAIL),
    "partly refused": (machine.addresses(["no", None]), WARN),
    "addresses": (machine.addresses([None, None]), OK),
    "an address": (machine.addresses([None]), OK),
}


@pytest.mark.parametrize(("told", "verdict"), LOCAL.values(), ids=LOCAL)
def test_each_verdict_on_the_machine(told, verdict):
    """By its figures."""
    assert told.verdict == verdict
    assert told.seen


def test_the_worst_verdict():
    """In the order from good to bad."""
    assert worst([OK, FAIL, WARN]) == FAIL
    assert worst([OK, NOTE]) == NOTE
    assert worst([]) == NOTE


def test_the_state(site):
    """None yet, whole, and damaged."""
    assert findings(site, offline=True)["state"].verdict == NOTE
    assert site.run("once").code in (0, 1)
    assert findings(site, offline=True)["state"].verdict == OK
    with closing(sqlite3.connect(site.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with site.database.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(65536))
    assert findings(site, offline=True)["state"].verdict == FAIL
    site.database.write_bytes(b"no database at all" * 500)
    assert findings(site, offline=True)["state"].verdict == FAIL


def test_no_room_on_the_disk(site):
    """By the configured limit."""
    text = site.config.read_text()
    site.config.write_text(text.replace("[state]", '[state]\nmin_free = "900TiB"'))
    found = findings(site, offline=True)["disk"]
    assert found.verdict == FAIL
    assert "polls pause" in found.follows


@pytest.mark.parametrize(
    ("url", "keys", "verdict", "words"),
    [
        ("http://localhost:9/x", {}, OK, "localhost"),
        ("https://no-such-host.invalid/x", {}, FAIL, "cannot be resolved"),
        ("https://poller-internal.test/x", {}, FAIL, "a private address"),
        ("https://poller-internal.test/x", {"allow_private": True}, OK, "1 address"),
    ],
)
def test_receivers(site, monkeypatch, url, keys, verdict, words):
    """Their names are resolved, and held to the guard; nothing is sent."""
    real = socket.getaddrinfo

    def resolver(host, port, *more, **named):
        if host == "poller-internal.test":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]
        return real(host, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setenv("POLLER_TEST_SECRET", site.env["POLLER_TEST_SECRET"])
    lines = "\n".join(f"{key} = true" for key in keys)
    site.config.write_text(site.config.read_text() + webhook("crm", url) + lines)
    found = findings(site, offline=True)["sink crm"]
    assert found.verdict == verdict
    assert words in found.seen


def test_a_file_that_cannot_be_written(site):
    """Is the sink's own message."""
    site.config.write_text(site.config.read_text() + '[sinks.audit]\nkind = "file"\npath = "/nowhere/events"\n')
    assert "does not exist" in findings(site, offline=True)["sink audit"].seen


def test_secrets(site, monkeypatch):
    """Each that cannot be read is named by its key; without a token the API is not asked."""
    monkeypatch.delenv("POLLER_TEST_TOKEN")
    found = findings(site)
    assert found["secrets"].verdict == FAIL
    assert found["secrets"].seen.startswith("source.token: ")
    assert "token" not in found


def test_the_daemon(site):
    """It runs, or it does not; and one that does not answer is in trouble."""
    assert findings(site, offline=True)["daemon"].verdict == NOTE
    with site.start() as poller:
        poller.up()
        found = findings(site, offline=True)["daemon"]
        assert (found.verdict, found.seen) == (OK, f"process {poller.pid}")
    with socket.socket(socket.AF_UNIX) as deaf:
        path = site.database.with_name("poller.db.sock")
        path.unlink(missing_ok=True)
        deaf.bind(str(path))
        deaf.listen()
        assert findings(site, offline=True)["daemon"].verdict == FAIL


# The command


def test_the_command_exits_0_where_nothing_fails(site):
    """In lines that begin with the verdict, without colours in a pipe."""
    done = site.run("doctor")
    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out
    assert [line for line in done.out.splitlines() if line.startswith("FAIL")] == []
    assert "ok    filters" in done.out


def test_the_command_exits_1_where_something_fails(site, api):
    """And says what was expected and what follows; the token is nowhere."""
    api.faults.always(faults.ignores_where, CLIENTS)
    done = site.run("doctor")
    assert done.code == 1
    assert "FAIL  filters" in done.out
    assert "expected: id gt and updatedAt gte filter and sort" in done.out
    assert TOKEN not in done.out


def test_as_json(site):
    """A list of objects, the same in content."""
    done = site.run("doctor", "--json", "--offline")
    found = json.loads(done.out)
    assert {frozenset(one) for one in found} == {frozenset(("name", "verdict", "expected", "seen", "follows"))}
    assert {one["verdict"] for one in found} <= {"ok", "note", "warn"}
