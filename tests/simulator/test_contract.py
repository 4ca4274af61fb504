"""The simulator is held to a stock LoopBack server: its routes, refusals, writes and stamps."""

import json
import time
from itertools import pairwise

import pytest

STAMP = "2025-01-01T00:00:00.000Z"


def failure(answer):
    error = answer.json()["error"]
    return answer.status_code, error["statusCode"], error.get("code")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/Organizations/000000000000000000000000/clients", "MODEL_NOT_FOUND"),
        ("/Organizations/000000000000000000000000/clients/count", "MODEL_NOT_FOUND"),
        ("/PriceLists/000000000000000000000000/prices", "MODEL_NOT_FOUND"),
        ("/Clients/000000000000000000000000", "MODEL_NOT_FOUND"),
        ("/Documents/000000000000000000000000/payments", "MODEL_NOT_FOUND"),
        ("/Nope", None),
        ("/Organizations/{org}/prices", None),
        ("/Units/000000000000000000000000", None),
        ("/Prices/000000000000000000000000", None),
    ],
)
def test_not_found(world, path, code):
    """What is not there is a 404 with a code, a route that is not there a 404 without."""
    answer = world.http.get(path.format(org=world.organizations[0]))
    assert failure(answer) == (404, 404, code)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "AUTHORIZATION_REQUIRED"),
        ({"Authorization": "wrong"}, "INVALID_TOKEN"),
        ({"Authorization": "Bearer {token}"}, "INVALID_TOKEN"),
    ],
)
def test_refused(world, headers, code):
    """Without the raw token there is only a 401."""
    sent = {name: value.format(token=world.token) for name, value in headers.items()}
    del world.http.headers["Authorization"]
    try:
        answer = world.http.get("/Accounts/authorized", headers=sent)
    finally:
        world.http.headers["Authorization"] = world.token
    assert failure(answer) == (401, 401, code)


def test_cases(world):
    """Routes may be written in any case."""
    org = world.add_organization()
    world.create(org, "price_lists")
    for path in (f"/Organizations/{org}/priceLists", f"/organizations/{org}/pricelists"):
        assert len(world.http.get(path).json()) == 1


def test_organizations(world):
    """A token leads to its account, and the account to its organizations."""
    owner = world.http.get("/Accounts/authorized").json()["id"]
    shown = world.http.get(f"/accounts/{owner}/organizations", params={"filter": '{"fields":["id","name"]}'}).json()
    assert [row["id"] for row in shown] == world.organizations
    assert set(shown[0]) == {"id", "name"}
    count = world.http.get(f"/accounts/{owner}/organizations/count").json()
    assert count == {"count": len(shown)}


def shown(world, org, resource, record_id, *, deleted=True):
    path = {"clients": "clients", "payments": "payments", "price_lists": "priceLists"}[resource]
    asked = {"where": {"id": record_id}, "deleted": deleted}
    rows = world.http.get(f"/Organizations/{org}/{path}", params={"filter": json.dumps(asked)}).json()
    return rows[0] if rows else None


def test_new_record(world):
    """A record is written with an id of 24 hex digits, both stamps, and no sign of deletion."""
    org = world.organizations[0]
    answer = world.http.post(f"/Organizations/{org}/clients", json={"name": "A", "updatedAt": STAMP})
    record = answer.json()
    assert answer.status_code == 200
    assert len(record["id"]) == 24
    int(record["id"], 16)
    assert record["_isDeleted"] is False
    assert record["updatedAt"] > STAMP
    assert "deletedAt" not in record
    assert shown(world, org, "clients", record["id"]) == record


def test_ids_rise(world):
    """Each new id is above those before."""
    org = world.organizations[0]
    ids = [world.create(org, "clients") for _ in range(5)] + world.bulk_create(org, "clients", 5)
    assert all(one < two for one, two in pairwise(ids))


def test_invalid_record(world):
    """A new record without a required field is a 422 that names it."""
    answer = world.http.post(f"/Organizations/{world.organizations[0]}/clients", json={})
    assert failure(answer) == (422, 422, None)
    assert answer.json()["error"]["details"]["codes"] == {"name": ["presence"]}


def test_no_op_save(world):
    """A save that changes nothing moves ``updatedAt``, and nothing else."""
    org = world.organizations[0]
    record_id = world.create(org, "clients")
    before = shown(world, org, "clients", record_id)
    time.sleep(0.005)
    after = world.http.patch(f"/Clients/{record_id}", json={}).json()
    assert after["updatedAt"] > before["updatedAt"]
    assert after | {"updatedAt": ""} == before | {"updatedAt": ""}


def test_touch(world):
    """The same behind the API's back."""
    org = world.organizations[0]
    record_id = world.create(org, "clients")
    before = shown(world, org, "clients", record_id)
    time.sleep(0.005)
    world.touch(org, "clients", record_id)
    assert shown(world, org, "clients", record_id)["updatedAt"] > before["updatedAt"]


def test_update(world):
    """An update sets the fields sent, moves ``updatedAt``, and ignores stamps sent along."""
    org = world.organizations[0]
    record_id = world.create(org, "clients")
    time.sleep(0.005)
    world.http.patch(f"/Clients/{record_id}", json={"name": "B", "updatedAt": STAMP})
    after = shown(world, org, "clients", record_id)
    assert after["name"] == "B"
    assert after["updatedAt"] > after["createdAt"]


def test_soft_delete(world):
    """A deletion answers 1, then 0, and leaves a tombstone whose stamp moved."""
    org = world.organizations[0]
    record_id = world.create(org, "clients")
    before = shown(world, org, "clients", record_id)
    time.sleep(0.005)
    assert world.http.delete(f"/Clients/{record_id}").json() == {"count": 1}
    assert world.http.delete(f"/Clients/{record_id}").json() == {"count": 0}
    assert shown(world, org, "clients", record_id, deleted=False) is None
    tombstone = shown(world, org, "clients", record_id)
    assert tombstone["_isDeleted"] is True
    assert tombstone["updatedAt"] >= tombstone["deletedAt"] > before["updatedAt"]
    assert tombstone["name"] == before["name"]


@pytest.mark.parametrize("asked", [{}, {"deleted": True}])
def test_tombstone_by_id(world, asked):
    """A tombstone cannot be got by its id, whatever the filter says, nor be changed."""
    record_id = world.create(world.organizations[0], "clients")
    world.http.delete(f"/Clients/{record_id}")
    answer = world.http.get(f"/Clients/{record_id}", params={"filter": json.dumps(asked)})
    assert failure(answer) == (404, 404, "MODEL_NOT_FOUND")
    assert world.http.patch(f"/Clients/{record_id}", json={"name": "B"}).status_code == 404


def test_get(world):
    """A live record can be got by its id, also in part."""
    record_id = world.create(world.organizations[0], "clients", {"name": "A"})
    assert world.http.get(f"/Clients/{record_id}").json()["name"] == "A"
    part = world.http.get(f"/Clients/{record_id}", params={"filter": '{"fields":{"name":true}}'})
    assert part.json() == {"name": "A"}


def test_restore(world):
    """A restored record is live again, with a new stamp."""
    org = world.organizations[0]
    record_id = world.create(org, "clients")
    world.soft_delete(org, "clients", record_id)
    gone = shown(world, org, "clients", record_id)
    time.sleep(0.005)
    world.restore(org, "clients", record_id)
    back = shown(world, org, "clients", record_id, deleted=False)
    assert back["updatedAt"] > gone["updatedAt"]
    assert not {"deletedAt", "deletedId"} & set(back)


def test_hard_delete(world):
    """A hard deletion leaves nothing."""
    org = world.organizations[0]
    record_id = world.create(org, "clients")
    world.hard_delete(org, "clients", record_id)
    assert shown(world, org, "clients", record_id) is None


def test_prices_of_a_deleted_list(world):
    """The prices of a deleted price list are a 404; restored, they are there again."""
    org = world.add_organization()
    parent = world.create(org, "price_lists")
    price = world.create(org, "prices", parent=parent)
    assert [row["id"] for row in world.http.get(f"/PriceLists/{parent}/prices").json()] == [price]
    assert set(world.live(org, "prices")) == {price}
    world.soft_delete(org, "price_lists", parent)
    assert failure(world.http.get(f"/PriceLists/{parent}/prices")) == (404, 404, "MODEL_NOT_FOUND")
    assert failure(world.http.get(f"/PriceLists/{parent}/prices/count")) == (404, 404, "MODEL_NOT_FOUND")
    assert world.live(org, "prices") == {}
    world.restore(org, "price_lists", parent)
    assert set(world.live(org, "prices")) == {price}


def test_prices_are_kept_apart(world):
    """A price list shows its own prices only."""
    org = world.add_organization()
    lists = [world.create(org, "price_lists") for _ in range(2)]
    prices = [world.bulk_create(org, "prices", 3, parent=one) for one in lists]
    for parent, own in zip(lists, prices, strict=True):
        assert [row["id"] for row in world.http.get(f"/PriceLists/{parent}/prices").json()] == own
        assert world.http.get(f"/PriceLists/{parent}/prices/count").json() == {"count": 3}


def test_payments_of_a_document(world):
    """A document shows its own payments."""
    org = world.add_organization()
    document = world.create(org, "documents")
    own = world.create(org, "payments", {"documentId": document})
    world.create(org, "payments", {"documentId": "0" * 24})
    assert [row["id"] for row in world.http.get(f"/Documents/{document}/payments").json()] == [own]
    assert world.http.get(f"/Documents/{document}/payments/count").json() == {"count": 1}


def test_new_records_below_others(world):
    """A price is written below its price list, a payment below its document: each knows where it belongs."""
    org = world.add_organization()
    parent, document = world.create(org, "price_lists"), world.create(org, "documents")
    price = world.http.post(f"/PriceLists/{parent}/prices", json={"amount": 1.5, "organizationId": org}).json()
    assert (price["priceListId"], price["organizationId"]) == (parent, org)
    fields = {"amount": 2.5, "type": "bank", "date": STAMP, "organizationId": org}
    payment = world.http.post(f"/Documents/{document}/payments", json=fields).json()
    assert payment["documentId"] == document
    assert set(world.live(org, "prices")) == {price["id"]}
    assert set(world.live(org, "payments")) == {payment["id"]}


def test_organizations_are_kept_apart(world):
    """An organization shows its own records only."""
    one, two = world.add_organization(), world.add_organization()
    record_id = world.create(one, "clients")
    assert set(world.live(one, "clients")) == {record_id}
    assert world.live(two, "clients") == {}


def test_orders_are_read_only(world):
    """Orders come from connectors: the API has no route that writes one."""
    org = world.organizations[0]
    assert world.http.post(f"/Organizations/{org}/orders", json={"status": "paid"}).status_code == 404
    order = world.create(org, "orders")
    assert world.http.get(f"/Orders/{order}").status_code == 200
    assert world.http.delete(f"/Orders/{order}").status_code == 404


def test_date_header(world):
    """Every answer says when it was made."""
    assert world.http.get("/Accounts/authorized").headers["Date"].endswith("GMT")
