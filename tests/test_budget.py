"""Where the next request goes when there are only so many."""

from math import inf, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller import budget
from poller.budget import Bounds, Candidate, History

DAY_S = 86400.0
BOUNDS = Bounds(5.0, 600.0)
WIDE = Bounds(0.001, 1e9)


def candidate(rate, org="o", cost=1.0, bounds=WIDE):
    return Candidate(org, rate, cost, bounds)


def paid(candidates, requests_s):
    """What each organization pays."""
    return budget.prices(candidates, requests_s)[1]


def asked(candidates, found):
    return sum(one.cost / budget.interval_s(one, found[one.org]) for one in candidates)


def spread(rates):
    """One stream in an organization of its own for each rate."""
    return [candidate(rate, f"org-{number}") for number, rate in enumerate(rates)]


def test_polls_take_what_there_is():
    """Neither more nor much less."""
    candidates = spread([0.1 / rank for rank in range(1, 101)])
    assert asked(candidates, paid(candidates, 10.0)) == pytest.approx(10, rel=0.02)


def test_four_times_the_changes_are_polled_twice_as_often():
    """That is where all waiting together is the least."""
    candidates = spread([0.04, *[0.01] * 9])
    found = paid(candidates, 1.0)
    often, seldom = (budget.interval_s(one, found[one.org]) for one in candidates[:2])
    assert seldom / often == pytest.approx(2)


def test_what_costs_four_times_as_much_is_polled_half_as_often():
    """A price list of many listings, say."""
    dear, cheap = candidate(0.01, cost=4.0), candidate(0.01)
    assert budget.interval_s(dear, 1.0) == 2 * budget.interval_s(cheap, 1.0)


@given(st.lists(st.floats(1e-6, 1.0), min_size=4, max_size=30))
def test_no_other_split_makes_changes_wait_less(rates):
    """The total of all waiting is that of the root law, within what the price may be off."""
    candidates = [candidate(rate) for rate in rates]
    found = paid(candidates, 1.0)
    waiting = sum(one.rate * budget.interval_s(one, found["o"]) / 2 for one in candidates)
    least = sum(map(sqrt, rates)) ** 2 / 2
    assert waiting <= least * 1.03
    assert waiting >= least * 0.97


def test_no_stream_waits_longer_than_its_bound():
    """However little is expected of it, and however little there is."""
    for price in (0.0, 1e3, inf):
        assert budget.interval_s(candidate(1e-12, bounds=BOUNDS), price) <= BOUNDS.longest_s


def test_no_stream_is_polled_without_a_pause():
    """However much is expected of it."""
    assert budget.interval_s(candidate(1e9, bounds=BOUNDS), 1e-9) == BOUNDS.shortest_s


def test_what_the_longest_intervals_need_may_be_more_than_there_is():
    """Then all are polled at those, as far as they can be."""
    candidates = [candidate(0.1, f"org-{number}", bounds=BOUNDS) for number in range(100)]
    found = paid(candidates, 0.1)
    assert {budget.interval_s(one, found[one.org]) for one in candidates} == {BOUNDS.longest_s * budget.PUNCTUAL}


def test_a_noisy_organization_takes_no_more_than_its_part():
    """Two fifths, while the others share the rest."""
    noisy = [candidate(1000.0, "noisy") for _ in range(10)]
    others = spread([0.01] * 99)
    found = paid([*noisy, *others], 10.0)
    assert asked(noisy, found) == pytest.approx(4, rel=0.05)
    assert asked(others, found) == pytest.approx(6, rel=0.05)


def test_a_single_organization_takes_all():
    """There is nobody to share with."""
    alone = [candidate(1.0), candidate(0.01)]
    assert asked(alone, paid(alone, 5.0)) == pytest.approx(5, rel=0.02)


def test_nobody_to_poll():
    """Before the first look at the organizations."""
    assert paid([], 5.0) == {}


class Followed:
    """A stream's history, poll after poll."""

    def __init__(self):
        self.history, self.now_s = budget.after_poll(History(), 0, 1, DAY_S), DAY_S

    def polled(self, found, after_s=60.0, times=1):
        for _ in range(times):
            self.now_s += after_s
            self.history = budget.after_poll(self.history, found, 1, self.now_s)
        return self


def test_a_history_tells_the_rate():
    """One change a minute, for a week."""
    followed = Followed().polled(1, times=7 * 1440)
    assert budget.usual_rate(followed.history) == pytest.approx(1 / 60, rel=0.2)  # not all of the prior is gone
    assert budget.recent_rate(followed.history, followed.now_s) == pytest.approx(1 / 60, rel=0.1)


def test_without_a_history_a_change_a_day_is_expected():
    """Of each stream alike, so that all are polled alike at first."""
    assert budget.usual_rate(History()) * DAY_S == 1


def test_what_is_going_on_just_now_is_over_soon():
    """After ten minutes without news half of it is left."""
    followed = Followed().polled(5)
    now = budget.recent_rate(followed.history, followed.now_s)
    assert budget.recent_rate(followed.history, followed.now_s + 600) == pytest.approx(now / 2)


def test_an_import_of_thousands_counts_as_twenty():
    """It says little of what comes next."""
    assert Followed().polled(5000).history == Followed().polled(budget.MOST_CHANGES).history


def test_a_sitting_is_expected_in_all_streams_of_the_organization():
    """As much of it in each as usual."""
    quiet = Followed().polled(0, times=100).history
    usual = budget.usual_rate(quiet)
    asleep = budget.expected_rate(quiet, org_usual=usual * 10, org_recent=0.0, now_s=DAY_S)
    awake = budget.expected_rate(quiet, org_usual=usual * 10, org_recent=1.0, now_s=DAY_S)
    assert asleep < usual < awake == pytest.approx(0.1)


def test_a_clock_that_was_set_back_is_no_harm():
    """Time that did not pass changes nothing."""
    followed = Followed().polled(3)
    again = budget.after_poll(followed.history, 0, 1, followed.now_s - 5000)
    assert again.recent == followed.history.recent
    assert budget.recent_rate(again, followed.now_s - 9000) > 0
