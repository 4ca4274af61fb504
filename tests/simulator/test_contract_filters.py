"""The simulator is held to LoopBack's own filter engine: each test runs over both worlds.

Where stock LoopBack on its memory connector differs from the documented behaviour of the live API on
MongoDB, the latter wins, and a comment says so.
"""

import json

import pytest
from worlds import SimulatorWorld

STAMPS = [f"2025-01-01T00:00:00.{n:03d}Z" for n in range(4)]
TOMBSTONES = {3, 6}


class Listing:
    """Eight items of one organization: pairs of equal stamps, two tombstones."""

    def __init__(self, world):
        self.world = world
        self.org = world.add_organization()
        self.path = f"/Organizations/{self.org}/items"
        self.ids = [f"{self.org[-8:]}{n:016x}" for n in range(8)]
        for n in range(8):
            world.put(self.org, "items", self.record(n))

    def record(self, n):
        more = {"EAN": ["e0", None][n % 4]} if n % 4 < 2 else {}
        if n in TOMBSTONES:
            more |= {"deletedAt": STAMPS[n // 2], "deletedId": self.ids[n]}
        return {
            "name": "abc"[n % 3],
            "price": n * 10 + 0.5,
            "trackInventory": n % 2 == 0,
            "taxIds": [f"{n % 2:024x}"],
            "id": self.ids[n],
            "organizationId": self.org,
            "_isDeleted": n in TOMBSTONES,
            "createdAt": STAMPS[0],
            "updatedAt": STAMPS[n // 2],
        } | more

    def get(self, **asked):
        return self.world.http.get(self.path, params={"filter": json.dumps(asked)})

    def numbers(self, **asked):
        """The numbers of the records on the page, in its order."""
        answer = self.get(**asked)
        assert answer.status_code == 200, answer.text
        return [self.ids.index(row["id"]) for row in answer.json()]

    def count(self, where):
        answer = self.world.http.get(f"{self.path}/count", params={"where": json.dumps(where)})
        assert answer.status_code == 200, answer.text
        return answer.json()["count"]


@pytest.fixture(scope="session")
def listings(worlds):
    made = {}

    def of(name):
        if name not in made:
            made[name] = Listing(worlds(name))
        return made[name]

    return of


@pytest.fixture(params=["simulator", "loopback"])
def listing(request, listings):
    """The eight items, in each world; not to be changed."""
    return listings(request.param)


def placed(where, ids):
    """The clause with ``#n`` replaced by the id of record n."""
    text = json.dumps(where)
    for n, record_id in enumerate(ids):
        text = text.replace(f'"#{n}"', f'"{record_id}"')
    return json.loads(text)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"name": "a"}, [0, 3, 6]),
        ({"name": {"eq": "a"}}, [0, 3, 6]),
        ({"price": 10.5}, [1]),
        ({"price": {"gt": 50.5}}, [6, 7]),
        ({"price": {"gte": 50.5}}, [5, 6, 7]),
        ({"price": {"lt": 10.5}}, [0]),
        ({"price": {"lte": 10.5}}, [0, 1]),
        ({"price": {"between": [10.5, 30.5]}}, [1, 2, 3]),
        ({"price": {"inq": [0.5, 70.5, 99]}}, [0, 7]),
        ({"price": {"nin": [0.5, 70.5]}}, [1, 2, 3, 4, 5, 6]),
        ({"name": {"neq": "a"}}, [1, 2, 4, 5, 7]),
        ({"name": {"inq": []}}, []),
        ({"trackInventory": True}, [0, 2, 4, 6]),
        ({"trackInventory": {"neq": True}}, [1, 3, 5, 7]),
        ({"_isDeleted": True}, [3, 6]),
        ({"EAN": "e0"}, [0, 4]),
        ({"EAN": {"neq": "e0"}}, [1, 2, 3, 5, 6, 7]),
        ({"EAN": {"gt": ""}}, [0, 4]),
        ({"taxIds": f"{1:024x}"}, [1, 3, 5, 7]),
        ({"updatedAt": STAMPS[1]}, [2, 3]),
        ({"updatedAt": {"gt": STAMPS[2]}}, [6, 7]),
        ({"updatedAt": {"gte": STAMPS[2]}}, [4, 5, 6, 7]),
        ({"updatedAt": {"lt": STAMPS[1]}}, [0, 1]),
        ({"updatedAt": {"between": [STAMPS[1], STAMPS[2]]}}, [2, 3, 4, 5]),
        ({"updatedAt": "2025-01-01T01:00:00.001+01:00"}, [2, 3]),
        ({"updatedAt": 1735689600001}, [2, 3]),
        ({"deletedAt": {"gte": STAMPS[1]}}, [3, 6]),
        ({"id": "#5"}, [5]),
        ({"id": {"gt": "#5"}}, [6, 7]),
        ({"id": {"gte": "#5"}}, [5, 6, 7]),
        ({"id": {"inq": ["#6", "#1", "#1"]}}, [1, 6]),
        ({"id": {"inq": ["000000000000000000000000"]}}, []),
        ({"id": {"nin": ["#0", "#1"]}}, [2, 3, 4, 5, 6, 7]),
        ({"id": {"between": ["#2", "#4"]}}, [2, 3, 4]),
        ({"name": "a", "trackInventory": True}, [0, 6]),
        ({"and": [{"name": "a"}, {"trackInventory": True}]}, [0, 6]),
        ({"or": [{"name": "a"}, {"price": 10.5}]}, [0, 1, 3, 6]),
        ({"or": [{"and": [{"name": "a"}, {"price": {"gt": 0.5}}]}, {"id": "#1"}]}, [1, 3, 6]),
        ({"and": [{"or": [{"name": "a"}, {"name": "b"}]}, {"price": {"gt": 30.5}}]}, [4, 6, 7]),
        ({"and": [{"updatedAt": {"gte": STAMPS[1]}}, {"updatedAt": {"lt": STAMPS[2]}}]}, [2, 3]),
        ({"and": [{"_isDeleted": True}, {"deletedAt": {"gte": STAMPS[2]}}]}, [6]),
        ({"nothing": "x"}, []),
    ],
)
def test_where(listing, where, expected):
    """A clause selects the same records in both worlds."""
    assert listing.numbers(where=placed(where, listing.ids), deleted=True) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"updatedAt": {"gte": STAMPS[1], "lt": STAMPS[2]}}, [2, 3, 4, 5, 6, 7]),
        ({"updatedAt": {"lt": STAMPS[1], "gte": STAMPS[1]}}, [2, 3, 4, 5, 6, 7]),
        ({"price": {"lte": 30.5, "lt": 10.5}}, [0]),
        ({"price": {"neq": 0.5, "inq": [0.5]}}, [0]),
    ],
)
def test_second_operator(listing, where, expected):
    """Of two operators on a property only one counts: the first in LoopBack's own order, not as sent."""
    assert listing.numbers(where=where, deleted=True) == expected


def test_dates_in_a_list(listing):
    """Dates in a list match by value."""
    found = listing.numbers(where={"updatedAt": {"inq": [STAMPS[0], STAMPS[3]]}}, deleted=True)
    # The memory connector compares dates by identity and finds none; MongoDB finds them.
    assert found == ([0, 1, 6, 7] if isinstance(listing.world, SimulatorWorld) else [])


def test_null_matches_null(listing):
    """A null matches a null; whether it matches a missing field depends on the database."""
    found = listing.numbers(where={"EAN": None}, deleted=True)
    # The memory connector finds missing fields too; MongoDB's connector asks for $type 10, so it does not.
    assert found == ([1, 5] if isinstance(listing.world, SimulatorWorld) else [1, 2, 3, 5, 6, 7])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("price DESC", [7, 6, 5, 4, 3, 2, 1, 0]),
        (["price DESC"], [7, 6, 5, 4, 3, 2, 1, 0]),
        (["updatedAt DESC", "id ASC"], [6, 7, 4, 5, 2, 3, 0, 1]),
        ("updatedAt DESC, id DESC", [7, 6, 5, 4, 3, 2, 1, 0]),
        (["name ASC", "id DESC"], [6, 3, 0, 7, 4, 1, 5, 2]),
        ("name", [0, 3, 6, 1, 4, 7, 2, 5]),
        ("id desc", [7, 6, 5, 4, 3, 2, 1, 0]),
        (["updatedAt ASC", "id ASC"], [0, 1, 2, 3, 4, 5, 6, 7]),
        (["trackInventory ASC", "price ASC"], [1, 3, 5, 7, 0, 2, 4, 6]),
    ],
)
def test_order(listing, order, expected):
    """Order is one property or several, up or down."""
    assert listing.numbers(order=order, deleted=True) == expected


def test_default_order(listing):
    """Without an order, records come by id."""
    assert listing.numbers(deleted=True) == list(range(8))


@pytest.mark.parametrize("order", ["price UPWARDS", [1], [{"price": "ASC"}], {"price": "ASC"}])
def test_bad_order(listing, order):
    """An order that cannot be read is a 400."""
    assert listing.get(order=order).status_code == 400


@pytest.mark.parametrize("kept", [3, "3"])
def test_limit_and_skip(listing, kept):
    """Limit and skip cut a page out, also when they are sent as text."""
    assert listing.numbers(order="id ASC", limit=kept, skip=2, deleted=True) == [2, 3, 4]


def test_limit_comes_after_tombstones(listing):
    """Hidden tombstones take no place on a page."""
    assert listing.numbers(limit=4, skip=1) == [1, 2, 4, 5]


@pytest.mark.parametrize("asked", [{"limit": "x"}, {"limit": -1}, {"limit": 1.5}, {"limit": "0"}, {"skip": -1}])
def test_bad_limit(listing, asked):
    """A limit or a skip that is no proper number is a 400 without a code."""
    answer = listing.get(**asked)
    assert answer.status_code == 400
    assert "code" not in answer.json()["error"]


def test_bracket_limit_zero(listing):
    """``filter[limit]=0`` is a 400."""
    answer = listing.world.http.get(listing.path, params={"filter[limit]": "0"})
    assert answer.status_code == 400


def test_json_limit_zero(listing):
    """A limit of 0 as a number counts as none."""
    assert listing.numbers(limit=0) == [0, 1, 2, 4, 5, 7]


def test_cap(world):
    """A page holds 100 records at most, whatever is asked, and 100 when nothing is asked."""
    org = world.add_organization()
    world.bulk_create(org, "categories", 120)
    for asked in ({}, {"limit": 500}):
        answer = world.http.get(f"/Organizations/{org}/categories", params={"filter": json.dumps(asked)})
        assert len(answer.json()) == 100
        assert answer.headers["x-total-count"] == "120"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"id": True, "updatedAt": True, "_isDeleted": True, "deletedAt": True}, None),
        ({"id": True, "price": True}, {"id", "price"}),
        (["id", "price"], {"id", "price"}),
    ],
)
def test_fields(listing, fields, expected):
    """A projection shows just the fields asked for, where a record has them."""
    rows = listing.get(fields=fields, deleted=True, order="id ASC").json()
    live, gone = set(rows[0]), set(rows[3])
    if expected is None:
        assert (live, gone) == ({"id", "updatedAt", "_isDeleted"}, {"id", "updatedAt", "_isDeleted", "deletedAt"})
    else:
        assert live == gone == expected


def test_fields_left_out(listing):
    """A projection may name what to leave out instead."""
    row = listing.get(fields={"price": False}).json()[0]
    assert "price" not in row
    assert {"id", "name", "updatedAt"} <= set(row)


@pytest.mark.parametrize(
    ("deleted", "expected"),
    [
        (True, [0, 1, 2, 3, 4, 5, 6, 7]),
        (False, [0, 1, 2, 4, 5, 7]),
        (None, [0, 1, 2, 4, 5, 7]),
        ("false", [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_deleted(listing, deleted, expected):
    """Tombstones show with ``deleted: true`` only; any text counts as true."""
    assert listing.numbers(deleted=deleted) == expected


def test_bracket_deleted_false(listing):
    """``filter[deleted]=false`` is text, and so shows tombstones."""
    answer = listing.world.http.get(listing.path, params={"filter[deleted]": "false"})
    assert len(answer.json()) == 8


def test_brackets(listing):
    """The bracket form works for flat filters: its text becomes the property's type."""
    asked = {"filter[where][price][gt]": "30.5", "filter[order]": "id DESC", "filter[limit]": "2"}
    rows = listing.world.http.get(listing.path, params=asked).json()
    assert [listing.ids.index(row["id"]) for row in rows] == [7, 5]


def test_bracket_booleans(listing):
    """A boolean in brackets is read as one."""
    rows = listing.world.http.get(listing.path, params={"filter[where][trackInventory]": "false"}).json()
    assert [listing.ids.index(row["id"]) for row in rows] == [1, 5, 7]


@pytest.mark.parametrize(
    ("where", "expected"),
    [({}, 6), ({"name": "a"}, 1), ({"updatedAt": {"gte": STAMPS[2]}}, 3), ({"id": {"gt": "#4"}}, 2)],
)
def test_count(listing, where, expected):
    """A count knows ``where`` and never sees tombstones."""
    assert listing.count(placed(where, listing.ids)) == expected


def test_count_of_tombstones(listing):
    """Not even a count that asks for tombstones sees them."""
    assert listing.count({"_isDeleted": True}) == 0


@pytest.mark.parametrize(
    ("where", "expected"), [({}, "6"), ({"id": {"gt": "#4"}}, "2"), ({"or": [{"name": "a"}, {"name": "b"}]}, "4")]
)
def test_total(listing, where, expected):
    """The header counts what matches on all pages, without tombstones even where the page shows them."""
    answer = listing.get(where=placed(where, listing.ids), deleted=True, limit=1)
    assert answer.headers["x-total-count"] == expected


def keyset(listing, last, size):
    where = {
        "or": [
            {"updatedAt": {"gt": last["updatedAt"]}},
            {"and": [{"updatedAt": last["updatedAt"]}, {"id": {"gt": last["id"]}}]},
        ]
    }
    return listing.get(where=where, order=["updatedAt ASC", "id ASC"], limit=size, deleted=True).json()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_increment_pages(listing, size):
    """Keyset paging by stamp and id shows each record once, through ties, up to an empty page."""
    where = {"updatedAt": {"gte": STAMPS[0]}}
    page = listing.get(where=where, order=["updatedAt ASC", "id ASC"], limit=size, deleted=True).json()
    seen = []
    while page:
        seen += [row["id"] for row in page]
        page = keyset(listing, page[-1], size)
    assert seen == listing.ids


@pytest.mark.parametrize("size", [1, 3, 100])
def test_sweep_pages(listing, size):
    """Keyset paging by id shows each record once, with a projection too."""
    seen, page = [], [{"id": ""}]
    while page:
        asked = {"where": {"id": {"gt": page[-1]["id"]}}, "order": ["id ASC"], "limit": size, "deleted": True}
        page = listing.get(**asked, fields={"id": True, "updatedAt": True}).json()
        seen += [row["id"] for row in page]
    assert seen == listing.ids


@pytest.mark.parametrize("operand", ["2022-04-20T10:10:30+00:00Z", "yesterday", {"x": 1}])
def test_bad_date(listing, operand):
    """A date that cannot be read is the server's error, and the answer says no more than that."""
    answer = listing.get(where={"updatedAt": {"gte": operand}})
    assert answer.status_code == 500
    assert answer.json() == {"error": {"statusCode": 500, "message": "Internal Server Error"}}


@pytest.mark.parametrize("asked", ["x", "[", '"text"', "3"])
def test_filter_is_no_object(listing, asked):
    """A filter that is no JSON object is a 400."""
    assert listing.world.http.get(listing.path, params={"filter": asked}).status_code == 400


@pytest.mark.parametrize(
    "where", [{"and": "x"}, {"or": {"name": "a"}}, {"price": {"between": [1]}}, {"price": {"inq": 3}}, "text", [1]]
)
def test_bad_where(listing, where):
    """A clause of the wrong shape is a 400."""
    assert listing.get(where=where).status_code == 400
