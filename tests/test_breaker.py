"""Whether a receiver may be asked: by every answer, and whatever the clock does."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller import retry
from poller.breaker import FAILURES, RAMP_MS, RECENT, Breaker, after, allowed, blames_endpoint, set_back, wait_s
from poller.model import Delivered, Delivery, Gone, Later, Refused

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
ONE = Delivery("it", 1, 1, "evt_a", "client.created", 0, 0, b"{}")
YES, NO, SLOW, STRANGE = Delivered(), Refused("400"), Later("no answer"), Refused("401", strange=True)


def answered(breaker, *outcomes, now_ms=NOW_MS, attempts=0, troubles=0, chance=0.5, concurrency=4):
    delivery = ONE._replace(attempts=attempts, troubles=troubles)
    for outcome in outcomes:
        breaker = after(breaker, delivery, outcome, now_ms=now_ms, chance=chance, concurrency=concurrency)
    return breaker


OPEN = answered(Breaker(), *[SLOW] * FAILURES)


# Closed


def test_a_good_receiver_is_asked_at_will():
    """All at once, without a wait."""
    breaker = answered(Breaker(), *[YES] * 50)
    assert (allowed(breaker, NOW_MS, 4), wait_s(breaker, NOW_MS), breaker.is_open) == (4, 0, False)


def test_trouble_in_a_row_opens_it():
    """Five times; it names the last reason."""
    almost = answered(Breaker(), *[SLOW] * (FAILURES - 1))
    assert (almost.is_open, wait_s(almost, NOW_MS), almost.error) == (False, 0, "no answer")
    opened = answered(almost, SLOW)
    times_ms = {"opened_ms": NOW_MS, "down_ms": NOW_MS, "wait_until_ms": NOW_MS + 5000}
    assert opened == replace(almost, failures=5, recent=0b111111, **times_ms) == OPEN
    assert (opened.is_open, allowed(opened, NOW_MS, 16)) == (True, 1)


@pytest.mark.parametrize("good", [YES, NO])
def test_an_answer_ends_the_row(good):
    """A refusal too: the receiver is there."""
    breaker = answered(Breaker(), *[SLOW] * 4, good)
    assert (breaker.failures, breaker.error) == (0, "")
    assert not answered(breaker, *[SLOW] * 4).is_open


@pytest.mark.parametrize(
    "before",
    [Breaker(), answered(Breaker(), *[SLOW] * 4), answered(Breaker(), *[STRANGE] * 4), OPEN, replace(OPEN, good=1)],
)
def test_what_was_never_sent_says_nothing_of_the_receiver(before):
    """A body that cannot be made ends no row, and is no good probe."""
    unsent = Refused("no such field", final=True, unsent=True)
    assert answered(before, unsent, now_ms=NOW_MS + 6000) == before


def test_trouble_in_half_of_the_answers_opens_it():
    """Of the last twenty; less than half never does."""
    breaker = answered(Breaker(), *[SLOW, YES] * 9)
    assert not breaker.is_open
    assert answered(breaker, SLOW).is_open
    assert not answered(Breaker(), *[SLOW, YES, YES] * 200).is_open


@given(st.lists(st.booleans(), min_size=RECENT + 1, max_size=60))
def test_only_the_last_twenty_answers_are_remembered(troubles):
    """As bits below a leading one."""
    breaker, seen = Breaker(), ""
    for trouble in troubles:
        breaker = replace(answered(breaker, SLOW if trouble else YES), opened_ms=0, failures=0)
        seen += str(int(trouble))
        assert bin(breaker.recent)[3:] == seen[-RECENT:]


def test_one_event_alone_does_not_open_it():
    """However often it meets trouble: it may be its own."""
    breaker = answered(Breaker(), SLOW)
    for troubles in range(1, 1000):
        breaker = answered(breaker, SLOW, troubles=troubles)
    assert (breaker.is_open, breaker.failures) == (False, 1)


# Half-open


def test_probes_are_farther_and_farther_apart():
    """After 5, 15, 60, 300, 300, ... seconds."""
    breaker, now_ms, waits = OPEN, NOW_MS, []
    for _ in range(6):
        waits.append(wait_s(breaker, now_ms))
        now_ms = breaker.wait_until_ms
        breaker = answered(breaker, SLOW, now_ms=now_ms)
    assert waits == [5, 15, 60, 300, 300, 300]


@pytest.mark.parametrize("good", [YES, NO])
def test_two_good_probes_close_it(good):
    """Also refusals; then one send at once, and one more each minute."""
    now_ms = OPEN.wait_until_ms
    half = answered(OPEN, good, now_ms=now_ms)
    assert (half.is_open, half.good, allowed(half, now_ms, 4)) == (True, 1, 1)
    closed = answered(half, good, now_ms=now_ms)
    assert closed == Breaker(ramp_ms=now_ms, ramp_from=1)
    assert [allowed(closed, now_ms + minute * RAMP_MS, 4) for minute in range(6)] == [1, 2, 3, 4, 4, 4]
    assert [allowed(closed, now_ms + minute * RAMP_MS - 1, 4) for minute in range(6)] == [1, 1, 2, 3, 4, 4]


def test_good_probes_do_not_resume():
    """Only an operator does; what was paused while it was open stays paused."""
    assert answered(replace(OPEN, paused="410"), YES, YES, now_ms=OPEN.wait_until_ms).paused == "410"


def test_a_bad_probe_takes_the_good_one_back():
    """Two in a row are needed."""
    now_ms = OPEN.wait_until_ms
    breaker = answered(OPEN, YES, SLOW, now_ms=now_ms)
    assert (breaker.good, breaker.probes, wait_s(breaker, now_ms)) == (0, 1, 15)


def test_an_event_that_always_fails_does_not_keep_it_open():
    """Where another one has just got through, its trouble is its own."""
    now_ms = OPEN.wait_until_ms
    half = answered(OPEN, YES, now_ms=now_ms)
    assert answered(half, SLOW, now_ms=now_ms, troubles=FAILURES) == half
    assert answered(half, SLOW, now_ms=now_ms, troubles=FAILURES - 1).good == 0
    assert answered(OPEN, SLOW, now_ms=now_ms, troubles=FAILURES).probes == 1


@pytest.mark.parametrize("outcome", [YES, NO, SLOW, Later("busy", 3000), STRANGE])
def test_answers_to_sends_from_before_it_opened_say_nothing(outcome):
    """They neither close it nor make it wait longer; the count of strange ones goes on."""
    breaker = answered(OPEN, outcome, outcome, outcome, now_ms=NOW_MS + 10)
    assert replace(breaker, strange=0) == OPEN


# What the receiver asks for


def test_a_receiver_that_asks_for_a_rest_gets_it():
    """All of it waits, then half as many go at once, and one more each minute."""
    breaker = answered(Breaker(), Later("busy", 30))
    assert (breaker.is_open, wait_s(breaker, NOW_MS)) == (False, 30)
    later_ms = NOW_MS + 30_000
    assert [allowed(breaker, later_ms + minute * 60_000, 4) for minute in range(4)] == [2, 3, 4, 4]


def test_the_longest_rest_counts():
    """A later, shorter one does not shorten it; each halves what is allowed, to one."""
    breaker = answered(Breaker(), Later("busy", 90), Later("busy", 20))
    assert (wait_s(breaker, NOW_MS), allowed(breaker, NOW_MS, 4)) == (90, 1)


@pytest.mark.parametrize(("concurrency", "half"), [(1, 1), (2, 1), (3, 1), (5, 2)])
def test_half_is_a_whole_number(concurrency, half):
    """Of sends at once; one at least."""
    assert allowed(answered(Breaker(), Later("busy", 30), concurrency=concurrency), NOW_MS, concurrency) == half


def test_a_yes_does_not_end_a_rest():
    """It is to a send from before."""
    assert wait_s(answered(Breaker(), Later("busy", 90), YES), NOW_MS) == 90


def test_a_receiver_that_asks_for_no_rest_is_not_hammered():
    """``Retry-After: 0`` for ever is one request a second at most."""
    assert wait_s(answered(Breaker(), Later("busy", 0)), NOW_MS) == 1


def test_an_open_breaker_waits_as_long_as_it_is_asked_to():
    """Also when it opens by that answer; never shorter than by itself."""
    assert wait_s(answered(Breaker(), *[SLOW] * 4, Later("busy", 3600)), NOW_MS) == 3600
    now_ms = OPEN.wait_until_ms
    assert wait_s(answered(OPEN, Later("busy", 3600), now_ms=now_ms), now_ms) == 3600
    assert wait_s(answered(OPEN, Later("busy", 3), now_ms=now_ms), now_ms) == 15


# A wrong address or secret


def test_one_strange_answer_is_the_event_s():
    """As any refusal."""
    breaker = answered(Breaker(), STRANGE)
    assert (breaker.failures, breaker.strange, blames_endpoint(breaker, STRANGE)) == (0, 1, False)


def test_strange_answers_to_five_events_in_a_row_blame_the_receiver():
    """So that no more events pay; five more open it."""
    breaker = answered(Breaker(), *[STRANGE] * FAILURES)
    assert (breaker.strange, breaker.failures, breaker.error) == (5, 1, "401")
    assert blames_endpoint(breaker, STRANGE)
    assert not blames_endpoint(breaker, NO)
    assert answered(breaker, *[STRANGE] * 4).is_open


def test_the_same_event_counts_once():
    """Its later attempts say nothing of others."""
    breaker = answered(Breaker(), STRANGE)
    assert answered(breaker, *[STRANGE] * 9, attempts=1).strange == 1


@pytest.mark.parametrize("other", [YES, NO])
def test_another_answer_ends_the_strange_row(other):
    """The address and the secret are right."""
    assert answered(Breaker(), *[STRANGE] * 4, other).strange == 0


def test_trouble_does_not_end_the_strange_row():
    """It says nothing of the secret."""
    assert answered(Breaker(), *[STRANGE] * 4, SLOW).strange == 4


def test_an_open_breaker_takes_a_strange_answer_as_trouble():
    """What answers may be a proxy that is up before the receiver."""
    breaker = answered(OPEN, STRANGE, now_ms=OPEN.wait_until_ms)
    assert (breaker.probes, breaker.error, blames_endpoint(breaker, STRANGE)) == (1, "401", True)


# Gone, paused


@pytest.mark.parametrize("before", [Breaker(), OPEN])
def test_a_receiver_that_is_gone_pauses_the_sink(before):
    """And what else is known stays."""
    assert answered(before, Gone("410")) == replace(before, paused="410", error="410", down_ms=NOW_MS)


# Since when it has been failing


def test_it_is_down_from_its_opening_to_the_answer_that_closes_it():
    """Whatever probes say meanwhile."""
    now_ms, breaker = NOW_MS, OPEN
    for outcome in (SLOW, YES, SLOW, YES):
        now_ms += 400_000
        breaker = answered(breaker, outcome, now_ms=now_ms)
        assert breaker.down_ms == NOW_MS
    closed = answered(breaker, YES, now_ms=now_ms)
    assert (closed.is_open, closed.down_ms) == (False, 0)


def test_a_resumed_sink_is_down_until_it_answers_well():
    """A refusal of one event, or a slow answer, says nothing of that."""
    resumed = Breaker(down_ms=NOW_MS)
    assert answered(resumed, NO, SLOW, STRANGE).down_ms == NOW_MS
    assert answered(resumed, YES).down_ms == 0


def test_a_sink_that_was_open_before_anybody_kept_since_when_is_down_from_now_on():
    """Its breaker was kept by an older version."""
    assert answered(replace(OPEN, down_ms=0), SLOW, now_ms=NOW_MS + 9).down_ms == NOW_MS + 9


@given(st.lists(st.sampled_from([YES, NO, SLOW, STRANGE, Later("busy", 60), Gone("410")])))
def test_whatever_is_open_or_gone_is_down(outcomes):
    """And while it is, the time stays."""
    before, now_ms = Breaker(), NOW_MS
    for outcome in outcomes:
        now_ms += 100_000
        breaker = answered(before, outcome, now_ms=now_ms)
        assert breaker.down_ms or not (breaker.is_open or outcome == Gone("410"))
        assert breaker.down_ms in {0, now_ms} or breaker.down_ms == before.down_ms
        before = breaker


@given(st.lists(st.sampled_from([YES, NO, SLOW, STRANGE, Later("busy", 60)])))
def test_no_answer_resumes(outcomes):
    """Only an operator does."""
    breaker, now_ms = Breaker(paused="by the operator"), NOW_MS
    for outcome in outcomes:
        breaker = answered(breaker, outcome, now_ms=now_ms)
        now_ms += 400_000
    assert breaker.paused == "by the operator"


# A clock that is set back


def test_a_wait_that_is_longer_than_any_ends():
    """The clock was set back by more than an hour."""
    assert wait_s(OPEN, NOW_MS - 2 * HOUR_MS) == 0
    longest = answered(Breaker(), Later("busy", 3600))
    assert (wait_s(longest, NOW_MS), wait_s(longest, NOW_MS - 1)) == (3600, 0)


def test_a_rest_is_not_measured_by_one_that_is_longer_than_any():
    """What is asked for after the clock was set back counts from then."""
    now_ms = NOW_MS - 2 * HOUR_MS
    assert wait_s(answered(answered(Breaker(), Later("busy", 90)), Later("busy", 30), now_ms=now_ms), now_ms) == 30


def test_a_ramp_that_begins_later_than_any_is_over():
    """Else a receiver would be asked one at a time for as long as the clock was set back."""
    closed = answered(OPEN, YES, YES, now_ms=OPEN.wait_until_ms)
    assert allowed(closed, NOW_MS - 2 * HOUR_MS, 4) == 4
    assert allowed(closed, NOW_MS, 4) == 1


def test_it_goes_along_with_a_clock_that_is_set_back():
    """What was left of a wait is left of it; and a closed breaker stays closed, even in 1970."""
    back = set_back(OPEN, HOUR_MS)
    assert (back.is_open, wait_s(back, NOW_MS - HOUR_MS)) == (True, wait_s(OPEN, NOW_MS))
    closed = answered(OPEN, YES, YES, now_ms=OPEN.wait_until_ms)
    back = set_back(closed, HOUR_MS)
    assert [allowed(back, NOW_MS - HOUR_MS + more, 4) for more in (0, 2 * RAMP_MS, 9 * RAMP_MS)] == [1, 2, 4]
    assert set_back(Breaker(), HOUR_MS) == Breaker()
    assert set_back(OPEN, 2 * NOW_MS).is_open


# What holds for all histories

outcomes = st.sampled_from([YES, NO, SLOW, STRANGE, Later("busy", 60), Later("busy", 0), Gone("410")])
steps = st.lists(st.tuples(outcomes, st.integers(-10_000, 400_000), st.integers(0, 9), st.floats(0, 1)), max_size=60)


@given(steps)
def test_it_is_never_out_of_bounds(steps):
    """Waits of an hour at most, at least one send at once and never too many, whatever came."""
    breaker, now_ms = Breaker(), NOW_MS
    for outcome, span_ms, troubles, chance in steps:
        breaker = answered(breaker, outcome, now_ms=now_ms, troubles=troubles, attempts=troubles, chance=chance)
        assert 0 <= wait_s(breaker, now_ms) <= retry.RETRY_AFTER_CEILING_S
        assert 1 <= allowed(breaker, now_ms, 4) <= 4
        assert breaker.recent.bit_length() <= RECENT + 1
        now_ms += span_ms


@given(steps, st.integers(1, 60), st.lists(st.floats(0, 1), min_size=60, max_size=60))
def test_an_outage_of_any_length_is_probed_within_six_minutes(steps, failures, chances):
    """Whatever came before; and two good probes end it."""
    breaker, now_ms = Breaker(), NOW_MS
    for outcome, span_ms, troubles, chance in steps:
        breaker = answered(breaker, outcome, now_ms=now_ms, troubles=troubles, chance=chance)
        now_ms += max(0, span_ms)
    now_ms += 4 * HOUR_MS  # no rest that was asked for is left
    for chance in chances[: failures + FAILURES]:
        breaker = answered(breaker, SLOW, now_ms=now_ms, chance=chance)
        assert wait_s(breaker, now_ms) <= 360
        now_ms += round(wait_s(breaker, now_ms) * 1000)
    assert breaker.is_open
    assert not answered(breaker, YES, YES, now_ms=now_ms).is_open
