"""The filters, and the shortcuts through the indexes: these must never change what is found."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.simulator import where
from poller.simulator.collection import Collection, Row
from poller.simulator.filters import BadFilter, Filter, instant, parameter, project, read

IDS = [f"{n:024x}" for n in range(12)]
STAMPS = [f"2025-01-01T00:00:00.{n:03d}Z" for n in range(4)]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ([], None),
        ([("other", "{}")], None),
        ([("filter", "")], None),
        ([("filter", '{"limit":1}')], {"limit": 1}),
        ([("filter[limit]", "1")], {"limit": "1"}),
        ([("filter[where][a][gt]", "1"), ("filter[where][b]", "x")], {"where": {"a": {"gt": "1"}, "b": "x"}}),
    ],
)
def test_parameter(params, expected):
    """An object comes as JSON, or in brackets with every value as text."""
    assert parameter(params, "filter") == expected


def test_defaults():
    """Nothing asked is the first page by id, without tombstones."""
    assert read(None, 100) == Filter(where={}, order=(("id", False),), limit=100)


@pytest.mark.parametrize(("sent", "expected"), [(1, 1), ("7", 7), (100, 100), (500, 100), (None, 100), (0, 100)])
def test_limit(sent, expected):
    """A limit above the cap is lowered to it."""
    assert read({"limit": sent}, 100).limit == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2025-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z"),
        ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00.000Z"),
        ("2025-01-01 00:00:00.500Z", "2025-01-01T00:00:00.500Z"),
        ("2025-01-01T01:00:00.000+01:00", "2025-01-01T00:00:00.000Z"),
        ("2025-01-01", "2025-01-01T00:00:00.000Z"),
        (1735689600001, "2025-01-01T00:00:00.001Z"),
    ],
)
def test_instant(written, expected):
    """A date-time is read in every form that the API reads."""
    assert instant(written) == expected


@pytest.mark.parametrize("written", ["2022-04-20T10:10:30+00:00Z", "soon", "2025-13-01T00:00:00.000Z", "", True])
def test_no_instant(written):
    """Anything else is refused."""
    with pytest.raises(ValueError):
        instant(written)


def test_project_keeps_order():
    """A projection keeps the record's own order of fields."""
    assert list(project({"b": 1, "a": 2, "c": 3}, ["c", "b"])) == ["b", "c"]


@pytest.mark.parametrize(
    ("clause", "record", "expected"),
    [
        ({"custom.crmId": "C-1"}, {"custom": {"crmId": "C-1"}}, True),
        ({"custom.crmId": "C-1"}, {}, False),
        ({"name": {"like": "^Or"}}, {"name": "Orbit"}, True),
        ({"name": {"nlike": "^Or"}}, {"name": "Orbit"}, False),
        ({"name": {"regexp": "bit$"}}, {"name": "Orbit"}, True),
        ({"name": None}, {"name": None}, True),
        ({"name": None}, {}, False),
        ({"total": {"gt": "x"}}, {"total": 1}, False),
        ({"datePaid": {"gt": STAMPS[0]}}, {"datePaid": "2025-01-01 00:00:00.001Z"}, True),
        ({"datePaid": {"gt": STAMPS[0]}}, {"datePaid": "unreadable"}, True),
        ({"tags": {"neq": "a"}}, {"tags": ["a", "b"]}, False),
        ({"tags": "a"}, {"tags": ["a", "b"]}, True),
    ],
)
def test_match(clause, record, expected):
    """A clause matches a record, or does not."""
    assert where.compiled(clause)(record) is expected


def test_bad_clause():
    """An unreadable date is the server's error, a clause of the wrong shape the client's."""
    with pytest.raises(BadFilter) as raised:
        where.compiled({"updatedAt": {"gt": "soon"}})
    assert raised.value.status == 500
    with pytest.raises(BadFilter) as raised:
        where.compiled({"or": [1]})
    assert raised.value.status == 400


def test_start():
    """The clauses of keyset paging are recognised, and no others."""
    keyset = {"or": [{"updatedAt": {"gt": STAMPS[1]}}, {"and": [{"updatedAt": STAMPS[1]}, {"id": {"gt": IDS[3]}}]}]}
    assert where.start({}) == ("id", ("",))
    assert where.start({"id": {"gt": IDS[1]}}) == ("id", (IDS[1], "\uffff"))
    assert where.start({"updatedAt": {"gte": STAMPS[1]}}) == ("updatedAt", (STAMPS[1],))
    assert where.start(keyset) == ("updatedAt", (STAMPS[1], IDS[3], "\uffff"))
    assert where.start({"or": [{"updatedAt": {"gt": STAMPS[1]}}]}) is None
    assert where.start({"id": {"lt": IDS[1]}}) is None
    assert where.start({"name": "a"}) is None


ids = st.sampled_from(IDS)
stamps = st.sampled_from(STAMPS)


def conditions(values):
    return st.one_of(
        values,
        st.fixed_dictionaries({}, optional=dict.fromkeys(("gt", "gte", "lt", "lte", "neq"), values)).filter(bool),
        st.fixed_dictionaries({"inq": st.lists(values, max_size=3)}),
        st.fixed_dictionaries({"nin": st.lists(values, max_size=3)}),
        st.fixed_dictionaries({"between": st.lists(values, min_size=2, max_size=2)}),
    )


plain = st.one_of(
    st.fixed_dictionaries({"id": conditions(ids)}),
    st.fixed_dictionaries({"updatedAt": conditions(stamps)}),
    st.fixed_dictionaries({"id": conditions(ids), "updatedAt": conditions(stamps)}),
    st.builds(
        lambda stamp, one: {"or": [{"updatedAt": {"gt": stamp}}, {"and": [{"updatedAt": stamp}, {"id": {"gt": one}}]}]},
        stamps,
        ids,
    ),
)
clauses = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"and": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda parts: {"or": parts}, st.lists(inner, max_size=3)),
    ),
    max_leaves=5,
)
orders = st.sampled_from(
    [
        (("id", False),),
        (("updatedAt", False), ("id", False)),
        (("updatedAt", False),),
        (("id", True),),
        (("updatedAt", True), ("id", False)),
    ]
)


def collection(seed):
    rng = random.Random(seed)
    made = Collection("clients")
    for record_id in rng.sample(IDS, len(IDS)):
        fields = {"id": record_id, "updatedAt": rng.choice(STAMPS), "_isDeleted": rng.random() < 0.3}
        made.put(Row(record_id, fields))
    for record_id in rng.sample(IDS, 4):
        if rng.random() < 0.5:
            made.drop(record_id)
        elif record_id in made.rows:
            made.put(Row(record_id, made.rows[record_id].fields | {"updatedAt": rng.choice(STAMPS)}))
    return made


@given(
    clause=clauses,
    order=orders,
    deleted=st.booleans(),
    skip=st.integers(0, 3),
    limit=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_indexes_find_the_same(clause, order, deleted, skip, limit, seed):
    """A page found through the indexes is the page that looking at every record gives; so is the total."""
    made = collection(seed)
    test = where.compiled(clause)
    rows = [row for row in made.rows.values() if test(row.fields)]
    wanted = sorted((row for row in rows if deleted or not row.deleted), key=lambda row: row.id)
    for name, descends in reversed(order):
        wanted.sort(key=lambda row, name=name: row.fields[name], reverse=descends)
    found = made.find(Filter(clause, order, limit, skip, None, deleted))
    assert found.bodies == [row.body() for row in wanted[skip : skip + limit]]
    assert found.total == sum(1 for row in rows if not row.deleted)
