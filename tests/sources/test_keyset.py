"""Paging by key: what is asked next, and which answers are refused."""

import pytest

from poller.model import Page, Record, format_time
from poller.sources import Incomplete, Sweep
from poller.sources.keyset import PAGE_RECORDS, STAMPS, ById, Changes

SINCE_MS = 1770818527093


def record(record_id, after_ms=0):
    updated_ms = None if after_ms is None else SINCE_MS + after_ms
    return Record(record_id, updated_ms, deleted=False, body=b"", digest=b"")


def page(*records):
    return Page(tuple(one.id for one in records), records)


def test_an_increment_begins_with_what_changed_since():
    """One operator a property, tombstones included, and a tie-break that makes the order whole."""
    assert Changes(SINCE_MS).filter() == {
        "where": {"updatedAt": {"gte": "2026-02-11T14:02:07.093Z"}},
        "order": ["updatedAt ASC", "id ASC"],
        "limit": PAGE_RECORDS,
        "deleted": True,
    }


def test_an_increment_goes_on_above_its_last_key():
    """Later stamps, or the same stamp and a higher id."""
    listing = Changes(SINCE_MS)
    listing.advance(page(record("b"), record("a", 1), record("c", 1)))
    assert listing.filter()["where"] == {
        "or": [
            {"updatedAt": {"gt": format_time(SINCE_MS + 1)}},
            {"and": [{"updatedAt": format_time(SINCE_MS + 1)}, {"id": {"gt": "c"}}]},
        ]
    }


@pytest.mark.parametrize(
    "pages",
    [
        [[record("a"), record("a")]],
        [[record("b"), record("a")]],
        [[record("a", 1), record("b")]],
        [[record("a", -1)]],
        [[record("a"), record("b")], [record("a"), record("b")]],
        [[record("a"), record("b")], [record("b")]],
        [[record("b", 5)], [record("c", 4)]],
    ],
)
def test_an_increment_that_repeats_or_turns_back_is_refused(pages):
    """Within a page, from page to page, and before what was asked for."""
    listing = Changes(SINCE_MS)
    for records in pages[:-1]:
        listing.advance(page(*records))
    with pytest.raises(Incomplete):
        listing.advance(page(*pages[-1]))


@pytest.mark.parametrize(
    "pages",
    [
        [[]],
        [[record("a"), record("b")], []],
        [[record("a"), record("b")], [record("c")], []],
        [[record("b"), record("a", 1)], [record("b", 1), record("a", 2)]],
        [[record("a"), record("x", None), record("b")], [record("c")]],
        [[record("a", 10**12)]],
    ],
)
def test_an_increment_in_order_is_taken(pages):
    """Ties, dates of the far future, and records without one among others, too."""
    listing = Changes(SINCE_MS)
    for records in pages:
        listing.advance(page(*records))


def test_a_record_without_a_date_is_no_place_to_go_on_from():
    """It is named, and the last one with a date stays where to go on."""
    listing = Changes(SINCE_MS)
    assert listing.advance(page(record("x", None))) == {"x"}
    assert listing.filter() == Changes(SINCE_MS).filter()
    assert listing.advance(page(record("a", 5), record("x", None))) == {"x"}
    going_on = listing.filter()
    assert listing.advance(page(record("x", None), record("y", None))) == {"x", "y"}
    assert listing.filter() == going_on


def test_a_sweep_asks_for_ids_and_stamps():
    """From the beginning, without a condition that could be wrong."""
    assert ById(Sweep("", bodies=False)).filter() == {
        "fields": STAMPS,
        "order": ["id ASC"],
        "limit": PAGE_RECORDS,
        "deleted": True,
    }


def test_a_sweep_goes_on_above_its_last_id():
    """Also where it resumes; with bodies all fields are asked for."""
    listing = ById(Sweep("k", bodies=True))
    assert listing.filter() == {
        "where": {"id": {"gt": "k"}},
        "order": ["id ASC"],
        "limit": PAGE_RECORDS,
        "deleted": True,
    }
    assert listing.advance(page(record("l"), record("m", None))) == set()
    assert listing.filter()["where"] == {"id": {"gt": "m"}}


@pytest.mark.parametrize(
    "pages",
    [
        [["a", "a"]],
        [["b", "a"]],
        [["j"]],
        [["k"]],
        [["l", "m"], ["l", "m"]],
        [["l", "m"], ["m", "n"]],
        [["l", "m"], ["k"]],
    ],
)
def test_a_sweep_that_repeats_or_turns_back_is_refused(pages):
    """Within a page, from page to page, and before where it resumed."""
    listing = ById(Sweep("k", bodies=True))
    for ids in pages[:-1]:
        listing.advance(page(*map(record, ids)))
    with pytest.raises(Incomplete, match="repeats or is out of order"):
        listing.advance(page(*map(record, pages[-1])))
