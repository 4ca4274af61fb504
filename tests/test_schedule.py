"""When a stream is polled next."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.model import Resource, Stream
from poller.plan import Watch
from poller.schedule import CEILING_S, JITTER, after_poll, first_poll_ms
from poller.sources import Denied, Unreachable
from poller.stores import Progress, Standing, StoreError

NOW_MS = 1_790_000_000_000
STREAM = Stream("o", "clients")
WATCH = Watch(Resource("clients", "client", "Client", "clients"), 60.0, 21600.0, 300.0)
chances = st.floats(0, 1)


def after(standing=None, error=None, *, took_ms=0, chance=0.5, watch=WATCH):
    standing = standing or Standing(STREAM)
    return after_poll(standing, watch, error, began_ms=NOW_MS - took_ms, now_ms=NOW_MS, chance=chance)


def first(next_poll_ms, *, spread_s=10.0, chance=0.5, watch=WATCH):
    standing = Standing(STREAM, next_poll_ms=next_poll_ms)
    return first_poll_ms(standing, watch, now_ms=NOW_MS, spread_s=spread_s, chance=chance) - NOW_MS


def test_a_good_poll_is_followed_by_one_an_interval_after_its_begin():
    """So that a long poll does not put the next one off."""
    assert after(took_ms=20_000).next_poll_ms == NOW_MS + 40_000


def test_a_poll_longer_than_its_interval_is_followed_at_once():
    """And never by one in the past."""
    assert after(took_ms=300_000).next_poll_ms == NOW_MS


def test_a_good_poll_ends_all_trouble():
    """The failures, the reason and the suspension are gone; the progress is not touched."""
    troubled = Standing(STREAM, Progress(polls=7), failures=3, error="no", suspended=True)
    standing = after(troubled)
    assert (standing.failures, standing.error, standing.suspended) == (0, "", False)
    assert (standing.polled_ms, standing.progress) == (NOW_MS, troubled.progress)


@given(chances)
def test_intervals_vary_a_little(chance):
    """By the jitter to either side."""
    wait_s = (after(chance=chance).next_poll_ms - NOW_MS) / 1000
    assert 60 * (1 - JITTER) - 0.001 <= wait_s <= 60 * (1 + JITTER)


@pytest.mark.parametrize("error", [Unreachable("no answer"), StoreError("disk full")])
@pytest.mark.parametrize(("failures", "wait_s"), [(0, 60), (1, 120), (3, 480), (4, 900), (1000, 900)])
def test_trouble_keeps_a_stream_away_longer_and_longer(error, failures, wait_s):
    """From its interval up to the ceiling; when it was last polled well stays."""
    standing = after(Standing(STREAM, failures=failures, polled_ms=5), error, chance=1.0)
    assert standing.next_poll_ms == NOW_MS + wait_s * 1000
    assert (standing.failures, standing.error, standing.polled_ms) == (failures + 1, str(error), 5)
    assert not standing.suspended


def test_a_rare_poll_is_not_made_more_often_by_trouble():
    """A stream polled once a day is not tried every quarter of an hour."""
    daily = replace(WATCH, every_s=86400.0)
    assert after(error=Unreachable("no"), chance=1.0, watch=daily).next_poll_ms == NOW_MS + 86_400_000


def test_denied_access_suspends_at_the_ceiling_at_once():
    """From the first time on, and it says so."""
    standing = after(error=Denied("401"), chance=0.0)
    assert (standing.suspended, standing.error) == (True, "401")
    assert standing.next_poll_ms == NOW_MS + CEILING_S * 1000


def test_the_first_polls_of_new_streams_are_spread():
    """Somewhere within the spread, or within their interval where that is shorter."""
    assert first(0, spread_s=10, chance=0.5) == 5_000
    assert first(0, spread_s=10_000, chance=0.5) == 30_000


def test_a_restart_keeps_to_the_stored_time():
    """It neither storms nor forgets."""
    assert first(NOW_MS + 45_000) == 45_000


def test_what_was_due_while_nothing_ran_is_due_now():
    """Once, however often it was missed."""
    assert first(NOW_MS - 86_400_000) == 0


def test_a_time_further_off_than_any_wait_means_a_clock_set_back():
    """Then it is now; the longest wait itself is kept."""
    assert first(NOW_MS + int(CEILING_S * 1000)) == CEILING_S * 1000
    assert first(NOW_MS + int(CEILING_S * 1000) + 1) == 0


@pytest.mark.parametrize(
    ("standing", "wait_s"),
    [
        (Standing(STREAM, polled_ms=NOW_MS - 20_000), 43.0),
        (Standing(STREAM, polled_ms=NOW_MS - 62_000), 5.0),
        (Standing(STREAM, polled_ms=NOW_MS - 500_000), 5.0),
        (Standing(STREAM, polled_ms=NOW_MS - 500_000, failures=3), 800.0),
    ],
    ids=["not yet", "nearly", "overdue", "in trouble"],
)
def test_a_shorter_interval_counts_from_the_last_good_poll(standing, wait_s):
    """What is overdue by it comes within ten seconds here, half way by chance; trouble is not hurried."""
    how = {"now_ms": NOW_MS, "spread_s": 10.0, "chance": 0.5}
    planned = replace(standing, next_poll_ms=NOW_MS + 800_000)
    assert first_poll_ms(planned, WATCH, **how) == NOW_MS + wait_s * 1000
    assert first_poll_ms(replace(standing, next_poll_ms=NOW_MS + 1000), WATCH, **how) == NOW_MS + 1000


@given(chances, chances, st.integers(0, 70_000))
def test_a_restart_under_the_same_interval_changes_no_plan(chance, other, passed_ms):
    """Whatever chance made of it; what became due meanwhile is due now."""
    standing = after(took_ms=5_000, chance=chance)
    found = first_poll_ms(standing, WATCH, now_ms=NOW_MS + passed_ms, spread_s=10.0, chance=other)
    assert found == max(NOW_MS + passed_ms, standing.next_poll_ms)


def test_under_a_budget_the_shorter_interval_is_the_longest_allowed():
    """Polls came every hour before."""
    watch = replace(WATCH, every_s=3600.0, longest_s=600.0)
    standing = Standing(STREAM, polled_ms=NOW_MS - 100_000, next_poll_ms=NOW_MS + 3_000_000)
    found = first_poll_ms(standing, watch, now_ms=NOW_MS, spread_s=10.0, chance=0.5)
    assert found == NOW_MS + 530_000
