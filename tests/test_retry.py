"""When to try again, and what a status means."""

import time
from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from poller.model import Delivered, Gone, Later, Refused
from poller.retry import (
    BLOCKING_ATTEMPTS,
    EVENT_WAITS_S,
    RETRY_AFTER_CEILING_S,
    backoff,
    event_wait_s,
    outcome,
    parse_retry_after,
    sink_wait_s,
)

NOW_MS = 1_790_000_000_000
chances = st.floats(0, 1)
counts = st.integers(0, 10_000)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status):
    """202 too: the receiver said that it has it."""
    assert outcome(status, {}, NOW_MS) == Delivered()


@pytest.mark.parametrize("status", [101, 300, 301, 302, 304, 308, 408, 425, 500, 502, 599, 999])
def test_trouble_of_the_receiver_is_for_later(status):
    """No event is to blame, and no time is asked for."""
    answer = outcome(status, {"retry-after": "7"}, NOW_MS)
    assert isinstance(answer, Later)
    assert answer.after_s is None
    assert answer.reason.startswith(f"status {status}: ")


@pytest.mark.parametrize("status", [400, 402, 406, 409, 411, 413, 415, 418, 422, 451, 499])
def test_trouble_with_the_event_refuses_it(status):
    """It has its own schedule, so it is not final."""
    answer = outcome(status, {}, NOW_MS)
    assert isinstance(answer, Refused)
    assert not answer.final
    assert not answer.strange


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "after_s"),
    [
        (None, 60),
        ("7", 7),
        ("0", 0),
        ("3600", 3600),
        ("7200", 3600),
        ("-5", 60),
        ("soon", 60),
        ("1.5", 60),
        (formatdate(NOW_MS / 1000 - 100, usegmt=True), 60),
        (formatdate(NOW_MS / 1000, usegmt=True), 0),
        (formatdate(NOW_MS / 1000 + 100, usegmt=True), 100),
        (formatdate(NOW_MS / 1000 + 9000, usegmt=True), 3600),
    ],
)
def test_fault_51_a_busy_receiver_says_how_long(status, value, after_s):
    """Seconds or a date, an hour at most; what is not usable counts as a minute."""
    headers = {} if value is None else {"retry-after": value}
    answer = outcome(status, headers, NOW_MS)
    assert isinstance(answer, Later)
    assert answer.reason.startswith(f"status {status}: ")
    assert answer.after_s == pytest.approx(after_s, abs=0.01)


@pytest.fixture
def far_east():
    """A machine whose time is 14 hours ahead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "EAST-14")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("date", ["14:38:20 GMT", "14:38:20 -0000", "16:38:20 +0200"])
def test_a_date_means_the_same_everywhere(far_east, date):
    """Wherever this machine is, and also where the receiver does not say where itself is."""
    assert parse_retry_after(f"Mon, 21 Sep 2026 {date}", NOW_MS) == 1500


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_likely_mistake_in_the_settings_is_named(status):
    """The operator can put it right, the receiver cannot; one event alone may get it as well."""
    answer = outcome(status, {}, NOW_MS)
    assert "is the url or the secret wrong?" in answer.reason
    assert answer == Refused(answer.reason, strange=True)


def test_a_receiver_may_be_gone():
    """410 alone, whatever else it says."""
    assert outcome(410, {"retry-after": "7"}, NOW_MS) == Gone("status 410: gone; the receiver wants no more events")


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://user:secret@169.254.169.254/secret?secret", "redirected to 169.254.169.254, which"),
        ("/secret", "redirected, which"),
        ("https://[secret/", "redirected, which"),
        ("https://<secret>/", "redirected, which"),
        ("https://" + "a" * 253, f"redirected to {'a' * 253}, which"),
        ("https://" + "a" * 254, "redirected, which"),
        ("https://" + "secret" * 50, "redirected, which"),
    ],
)
def test_a_redirect_is_told_by_its_host_alone(location, told):
    """Not by its path, which may hold a token; and not where it is no host."""
    reason = outcome(302, {"location": location}, NOW_MS).reason
    assert told in reason
    assert "secret" not in reason


@given(st.integers(100, 999), st.dictionaries(st.sampled_from(["retry-after", "location"]), st.text()))
def test_every_status_has_an_outcome(status, headers):
    """Whatever a receiver sends."""
    assert isinstance(outcome(status, headers, NOW_MS), Delivered | Later | Refused | Gone)


@given(st.text() | st.integers().map(str) | st.datetimes().map(lambda moment: formatdate(moment.timestamp())))
def test_retry_after_is_within_the_ceiling_or_none(value):
    """Any text, any number, any date."""
    after_s = parse_retry_after(value, NOW_MS)
    assert after_s is None or 0 <= after_s <= RETRY_AFTER_CEILING_S


@pytest.mark.parametrize("value", [None, "", " ", "9" * 5000, "²", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_retry_after_takes_odd_values(value):
    """None of them raises; a number beyond measure is the ceiling."""
    assert parse_retry_after(value, NOW_MS) in (None, RETRY_AFTER_CEILING_S)


@given(counts, chances, st.floats(0.01, 100), st.floats(0.01, 1e6))
def test_backoff_stays_within_its_ceiling(failures, chance, base_s, ceiling_s):
    """However many failures."""
    assert 0 <= backoff(failures, chance, base_s, ceiling_s) <= ceiling_s


@given(st.integers(1, 100), chances)
def test_backoff_doubles(failures, chance):
    """Each wait is twice the one before, up to the ceiling; at least half of it is certain."""
    whole_s = min(2.0 ** (failures - 1), 1000.0)
    assert whole_s / 2 <= backoff(failures, chance, 1.0, 1000.0) <= whole_s
    assert (backoff(failures, 0.0, 1.0, 1000.0), backoff(failures, 1.0, 1.0, 1000.0)) == (whole_s / 2, whole_s)
    assert backoff(failures + 1, chance, 1.0, 1e40) == pytest.approx(2 * backoff(failures, chance, 1.0, 1e40)) or (
        failures >= 65
    )


def test_before_a_failure_there_is_no_wait():
    """Zero failures, zero seconds."""
    assert backoff(0, 1.0, 5.0, 60.0) == sink_wait_s(0, 1.0) == 0.0


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 5), (2, 15), (3, 60), (4, 300), (5, 300), (10_000, 300)])
def test_a_sink_rests_by_its_schedule(failures, wait_s):
    """In the middle of the jitter."""
    assert sink_wait_s(failures, 0.5) == pytest.approx(wait_s)


@given(st.integers(1, 10_000), chances)
def test_a_sink_is_asked_again_within_six_minutes(failures, chance):
    """However long it was away, and where the last attempt took its 15 seconds too; the jitter is 15 %."""
    wait_s, middle_s = sink_wait_s(failures, chance), sink_wait_s(failures, 0.5)
    assert 0.85 * middle_s - 1e-9 <= wait_s <= 1.15 * middle_s + 1e-9
    assert wait_s + 15 <= 360 + 1e-9


@given(counts, chances)
@example(9, 0.5)
@example(10, 0.5)
def test_an_event_is_tried_ten_times(attempts, chance):
    """By its schedule, +-20 %; then no more."""
    wait_s = event_wait_s(attempts, chance)
    if attempts >= 10:
        assert wait_s is None
    else:
        assert 0.8 * EVENT_WAITS_S[attempts] <= wait_s <= 1.2 * EVENT_WAITS_S[attempts] + 1e-9


def test_an_event_is_tried_for_three_days():
    """The schedule of Standard Webhooks: 75.6 hours from the first attempt to the tenth."""
    assert sum(event_wait_s(attempts, 0.5) for attempts in range(10)) / 3600 == pytest.approx(75.6, abs=0.1)


def test_an_event_holds_back_those_behind_it_for_less_than_eight_hours():
    """7.6, from its first attempt to the last one that they wait for."""
    waits_s = (event_wait_s(attempts, 0.5) for attempts in range(BLOCKING_ATTEMPTS))
    assert sum(waits_s) / 3600 == pytest.approx(7.6, abs=0.1)
