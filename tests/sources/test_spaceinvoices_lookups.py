"""Single records, counts and organizations of the v1 API, and what it says where it gives none."""

import pytest
from listings import asked, listed

from poller.model import Organization, Stream
from poller.simulator import faults
from poller.simulator.http import Answer
from poller.sources import Denied, Incomplete, ParentGone, SourceError, Unreachable

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


def test_a_count_may_begin_above_an_id(world, source, clients):
    """Of the records above it only, and tombstones are left out there too."""
    ids = world.bulk_create(clients.org, "clients", 7)
    world.soft_delete(clients.org, "clients", ids[5])
    assert [source.count(clients, after=one) for one in ("", ids[0], ids[3], ids[6])] == [6, 5, 2, 0]


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
