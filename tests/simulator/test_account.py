import json
import random
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import pytest

from poller.simulator import Account
from poller.simulator.filters import read
from poller.simulator.resources import RESOURCES, example


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now_ms = 1_750_000_000_000

    def __call__(self):
        return self.now_ms


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def account(clock):
    return Account(clock)


def page(account, org, resource, **asked):
    return [json.loads(body) for body in account.find(org, resource, read(asked, 100)).bodies]


def as_written(text):
    """The record with its numbers as text, without what the account makes its own."""
    own = ("id", "organizationId", "createdAt", "updatedAt", "priceListId")
    record = json.loads(text, parse_float=str, parse_int=str)
    return {name: value for name, value in record.items() if name not in own}


@pytest.mark.parametrize("resource", RESOURCES)
def test_numbers_stay_as_written(account, org, resource):
    """A record goes out as its example is written: 450.0 stays 450.0."""
    parent = account.create(org, "price_lists") if resource == "prices" else ""
    account.create(org, resource, parent=parent)
    (body,) = account.find(org, resource, read({}, 100), parent=parent).bodies
    assert as_written(body) == as_written(files("poller.examples").joinpath(f"{resource}.json").read_text("utf-8"))


def test_examples_are_new_each_time():
    """Changing an example changes no other."""
    example("clients")["custom"]["x"] = 1
    assert "x" not in example("clients")["custom"]


def test_ids_rise_when_the_clock_falls(account, org, clock):
    """A clock that goes backwards makes no id lower than one before."""
    one = account.create(org, "clients")
    clock.now_ms -= 3_600_000
    assert account.create(org, "clients") > one


def test_ids_are_hex(account, org):
    """An id is 24 lower-case hex digits."""
    record_id = account.create(org, "clients")
    assert len(record_id) == 24
    assert int(record_id, 16)
    assert record_id == record_id.lower()


def test_bulk_ties(account, org):
    """Records written in one go share their stamp, and so do updates."""
    ids = account.bulk_create(org, "clients", [{"name": "A"}, {"name": "B"}])
    assert [row["name"] for row in page(account, org, "clients")] == ["A", "B"]
    account.bulk_update(org, "clients", ids, {"name": "C"})
    assert len({row["updatedAt"] for row in page(account, org, "clients")}) == 1


def test_late_record(account, org, clock):
    """A late record shows only after its delay, with the stamp of its writing."""
    record_id = account.create(org, "clients", late_ms=5_000)
    written_ms = clock.now_ms
    clock.now_ms += 1_000
    newer = account.create(org, "clients")
    assert list(account.live(org, "clients")) == [newer]
    clock.now_ms = written_ms + 5_000
    rows = page(account, org, "clients", order="updatedAt ASC")
    assert [row["id"] for row in rows] == [record_id, newer]
    assert rows[0]["updatedAt"] < rows[1]["updatedAt"]


def test_late_update(account, org, clock):
    """Until a late update shows, the record is as it was."""
    record_id = account.create(org, "clients", {"name": "A"})
    account.update(org, "clients", record_id, {"name": "B"}, late_ms=5_000)
    assert account.get("clients", record_id)["name"] == "A"
    clock.now_ms += 5_000
    assert account.get("clients", record_id)["name"] == "B"


def test_late_deletion(account, org, clock):
    """A late deletion shows later too."""
    record_id = account.create(org, "clients")
    assert account.soft_delete(org, "clients", record_id, late_ms=5_000) == 1
    assert page(account, org, "clients")
    clock.now_ms += 5_000
    assert not page(account, org, "clients")


def test_late_write_comes_before_the_next(account, org, clock):
    """A second write of a record builds on its late one, which then shows at once."""
    record_id = account.create(org, "clients", {"name": "A", "city": "X"})
    account.update(org, "clients", record_id, {"name": "B"}, late_ms=5_000)
    account.update(org, "clients", record_id, {"city": "Y"})
    clock.now_ms += 5_000
    assert account.get("clients", record_id) | {"name": "B", "city": "Y"} == account.get("clients", record_id)


def test_created_stamp_stays(account, org, clock):
    """An update keeps ``createdAt`` and the id, whatever it says."""
    record_id = account.create(org, "clients")
    before = account.get("clients", record_id)
    clock.now_ms += 1
    account.update(org, "clients", record_id, {"createdAt": "2000-01-01T00:00:00.000Z", "id": "x"})
    after = account.get("clients", record_id)
    assert (after["id"], after["createdAt"]) == (before["id"], before["createdAt"])
    assert after["updatedAt"] > before["updatedAt"]


@pytest.mark.parametrize(
    "act",
    [
        lambda account, org, one: account.update(org, "clients", one, {}),
        lambda account, org, one: account.touch(org, "clients", one),
        lambda account, org, one: account.restore(org, "clients", one),
    ],
)
def test_unknown_record(account, org, act):
    """A write to a record that is not there, or is another organization's, raises ``KeyError``."""
    with pytest.raises(KeyError):
        act(account, org, "0" * 24)
    other = account.add_organization("Other")
    theirs = account.create(other, "clients")
    with pytest.raises(KeyError):
        act(account, org, theirs)


def test_deletions_of_nothing(account, org):
    """A deletion of what is not there answers 0."""
    assert account.soft_delete(org, "clients", "0" * 24) == 0
    assert account.hard_delete(org, "clients", "0" * 24) == 0


def test_hard_delete_of_a_tombstone(account, org):
    """A tombstone can be taken away too."""
    record_id = account.create(org, "clients")
    account.soft_delete(org, "clients", record_id)
    assert account.hard_delete(org, "clients", record_id) == 1
    assert not page(account, org, "clients", deleted=True)


def test_planted_bytes(account, org):
    """Planted bytes go out as they are, also such as no JSON library writes."""
    for number, body in enumerate([b'{"id":"x","name":"\\ud800"}', b"{NaN", b'{"id":7,"total":1.10}']):
        account.put_raw(org, "clients", f"{number:024x}", body)
    bodies = account.find(org, "clients", read({}, 100)).bodies
    assert bodies == [b'{"id":"x","name":"\\ud800"}', b"{NaN", b'{"id":7,"total":1.10}']


def test_flag_missing(account, org):
    """A record without ``_isDeleted`` is live."""
    account.put_raw(org, "clients", "0" * 24, b'{"id":"000000000000000000000000"}')
    assert len(page(account, org, "clients")) == 1
    assert account.count(org, "clients", {}) == 1


@pytest.mark.parametrize(("resource", "parent"), [("prices", ""), ("clients", "0" * 24), ("nothing", "")])
def test_parents(account, org, resource, parent):
    """A price, and nothing else, has a parent."""
    with pytest.raises(ValueError):
        account.insert(org, resource, {}, parent=parent)


def test_sample(account, org):
    """A sample is one of the records asked for, or nothing."""
    rng = random.Random(1)
    assert account.sample(rng, org, "clients") is None
    ids = account.bulk_create(org, "clients", 30)
    assert account.sample(rng, org, "clients") in ids
    assert account.sample(rng, org, "clients", deleted=True) is None
    account.soft_delete(org, "clients", ids[7])
    assert account.sample(rng, org, "clients", deleted=True) == ids[7]


def test_organizations(account, org):
    """An organization can be added, changed and taken away."""
    other = account.add_organization("Other", sandbox=True)
    account.update_organization(other, active=False)
    assert account.organization(other)["sandbox"] is True
    assert account.organization(other)["active"] is False
    account.remove_organization(org)
    assert account.organizations == [other]


def test_threads(account, org):
    """Writers and readers at once lose nothing."""

    def work(_):
        record_id = account.create(org, "clients")
        account.update(org, "clients", record_id, {"name": "B"})
        return len(page(account, org, "clients", limit=5))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
    assert len(account.live(org, "clients")) == 200
