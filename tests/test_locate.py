"""Where records are gone, found by counting."""

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.locate import Count, Known, Ranks, step

LISTS = ("", "a", "b")


def named(numbers):
    return [f"{number:08d}" for number in numbers]


def ranks_of(ids, page):
    return Ranks(len(ids), page, tuple(ids[page - 1 :: page]))


def located(remembered, there, page):
    """What there is to list in the end, and how many counts that took; by parent, what is remembered and what is."""
    counted = {parent: {0: len(there[parent])} for parent in remembered}
    known = {parent: Known(ranks_of(ids, page), counted[parent]) for parent, ids in remembered.items()}
    counts = 0
    while isinstance(found := step(known), Count):
        assert found.place not in counted[found.parent], "a count is asked for twice"
        above = there[found.parent][bisect_right(there[found.parent], found.after) :]
        counted[found.parent][found.place] = len(above)
        counts += 1
    return found, counts


def within(stretch, ids):
    return [one for one in ids if one > stretch.after and (stretch.upto is None or one <= stretch.upto)]


@st.composite
def losses(draw):
    """What is remembered of some listings, what is still there, and how finely ids are counted."""
    remembered = {parent: named(range(draw(st.integers(0, 400)))) for parent in LISTS[: draw(st.integers(1, 3))]}
    every = [(parent, one) for parent, ids in remembered.items() for one in ids]
    gone = set(draw(st.lists(st.sampled_from(every), max_size=30))) if every else set()
    there = {parent: [one for one in ids if (parent, one) not in gone] for parent, ids in remembered.items()}
    return remembered, there, draw(st.sampled_from([1, 7, 10]))


@given(losses())
def test_all_that_is_gone_is_in_what_is_left_to_list(world):
    """Each stretch lacks exactly as many as it says, and no record is in two of them."""
    remembered, there, page = world
    stretches, _ = located(remembered, there, page)
    if stretches is None:
        return
    gone = {(parent, one) for parent, ids in remembered.items() for one in {*ids} - {*there[parent]}}
    listed = [(each.parent, one) for each in stretches for one in within(each, remembered[each.parent])]
    assert gone <= set(listed)
    assert len(listed) == len(set(listed))
    for each in stretches:
        ids = within(each, remembered[each.parent])
        assert len(ids) - len(within(each, there[each.parent])) == each.gone > 0


@given(losses())
def test_it_takes_hardly_more_requests_than_a_sweep(world):
    """Counts and pages together a fifth more at the most, wherever the records were."""
    remembered, there, page = world
    stretches, counts = located(remembered, there, page)
    pages = sum(ranks_of(ids, page).pages for ids in remembered.values())
    listed = sum(-(-len(within(each, remembered[each.parent])) // page) for each in stretches or ())
    assert counts + listed <= 1.2 * pages


@pytest.mark.parametrize("place", [0, 99, 100, 4_999, 5_000, 9_900, 9_999])
def test_one_of_ten_thousand_takes_a_handful_of_counts(place):
    """Three pages are left at the most, wherever it was."""
    ids = named(range(10_000))
    (stretch,), counts = located({"": ids}, {"": ids[:place] + ids[place + 1 :]}, 100)
    assert counts <= 6
    assert ids[place] in within(stretch, ids)
    assert len(within(stretch, ids)) <= 300


def test_where_everything_would_be_listed_it_is_a_sweep():
    """Of three pages a single record, of a hundred one of each: little is counted first, or nothing."""
    few, many = named(range(30)), named(range(1000))
    assert located({"": few}, {"": few[1:]}, 10) == (None, 0)
    assert located({"": many}, {"": [one for one in many if not one.endswith("7")]}, 10) == (None, 3)


def test_many_that_lie_side_by_side_are_few_pages():
    """However many they are: an import that was taken back."""
    ids = named(range(1000))
    stretches, counts = located({"": ids}, {"": ids[:300] + ids[500:]}, 10)
    assert counts < 10
    assert sum(len(within(each, ids)) for each in stretches) <= 500


def test_other_listings_are_left_alone():
    """Which one lacks a record is known from the counts of each."""
    ids = named(range(5))
    (stretch,), counts = located(dict.fromkeys(LISTS, ids), dict.fromkeys(LISTS, ids) | {"a": ids[1:]}, 10)
    assert (stretch.parent, stretch.after, stretch.upto, stretch.gone, counts) == ("a", "", None, 1, 0)


def test_a_record_more_is_left_to_a_sweep():
    """In one listing, while another lacks one: what shows up late, or was put there by hand."""
    ids = named(range(50))
    assert located({"a": ids, "b": ids}, {"a": ids[2:], "b": [*ids, "x"]}, 10) == (None, 0)


@pytest.mark.parametrize("counted", [99, 51, 48])
def test_counts_that_contradict_each_other_tell_nothing(counted):
    """99 of 100 are there: above the middle more than are remembered, or so few that more than one is gone."""
    known = Known(ranks_of(named(range(100)), 10), {0: 99})
    asked = step({"": known})
    assert (asked.place, asked.after) == (5, "00000049")
    assert step({"": known._replace(counted={0: 99, 5: counted})}) is None


def test_a_stretch_cannot_lack_more_than_it_had():
    """80 of 100 are gone, and all of the upper half is there."""
    known = Known(ranks_of(named(range(100)), 10), {0: 20, 5: 50})
    assert step({"": known}) is None


def test_nothing_remembered_has_nothing_to_list():
    """No listing at all, an empty one, and an empty one in which something is counted."""
    assert not step({})
    assert not step({"": Known(Ranks(0, 10), {0: 0})})
    assert step({"": Known(Ranks(0, 10), {0: 3})}) is None
