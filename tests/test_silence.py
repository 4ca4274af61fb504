"""Whether a stream is silent for too long: on histories of years, with nights, weekends and holidays."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.silence import (
    FEWEST_PAUSES,
    LONGEST_TIMES,
    MEAN_TIMES,
    NO_RHYTHM,
    SHORTEST_HISTORY_MS,
    SHORTEST_SILENCE_S,
    Rhythm,
    changed,
    limit_s,
    silent_since,
)

NOW_MS = 1_790_000_000_000
HOUR_S, DAY_S, YEAR_S = 3600, 86_400, 365 * 86_400
EVERY_S = 60
"""How often a stream is polled."""


def paced(*pauses_s, start_ms=NOW_MS):
    """The rhythm after these pauses between changes, and when the last of them was."""
    rhythm, now_ms = changed(NO_RHYTHM, start_ms, watched=True), start_ms
    for pause_s in pauses_s:
        now_ms += int(pause_s * 1000)
        rhythm = changed(rhythm, now_ms, watched=True)
    return rhythm, now_ms


def always(_time_s):
    return True


def office(time_s):
    """Monday to Friday, eight to five."""
    day, second = divmod(time_s, DAY_S)
    return day % 7 < 5 and 8 * HOUR_S <= second < 17 * HOUR_S


def holidays(time_s):
    """The same, without some single days a year, and the first of them a Friday."""
    return office(time_s) and time_s // DAY_S % 365 not in {4, 38, 109, 116, 176, 227, 304}


def shop(time_s):
    """Every day, much more by day than by night."""
    return 7 * HOUR_S <= time_s % DAY_S < 22 * HOUR_S or random.Random(time_s).random() < 0.05


def changes(rng, mean_s, open_at, span_s):
    """The times, in seconds, of polls that find changes: by chance, ``mean_s`` apart where the account is at work."""
    time_s = 0.0
    while (time_s := time_s + rng.expovariate(1 / mean_s)) < span_s:
        if open_at(int(time_s)):
            yield int(time_s) // EVERY_S * EVERY_S + EVERY_S


def alarms(times_s):
    """How often an alarm is raised falsely, and the rhythm in the end."""
    rhythm, raised, last_s = NO_RHYTHM, 0, None
    for time_s in times_s:
        if time_s == last_s:
            continue
        before_ms = NOW_MS + (time_s - EVERY_S) * 1000  # the last poll that found nothing
        raised += silent_since(None, rhythm, before_ms) is not None
        rhythm, last_s = changed(rhythm, NOW_MS + time_s * 1000, watched=True), time_s
    return raised, rhythm


RHYTHMS = [(always, 120), (always, HOUR_S), (always, DAY_S), (always, 4 * DAY_S)]
RHYTHMS += [(office, 300), (office, HOUR_S), (office, 4 * HOUR_S), (office, 3 * DAY_S), (shop, 600), (holidays, 1800)]


@pytest.mark.parametrize(("open_at", "mean_s"), RHYTHMS)
def test_less_than_one_false_alarm_in_a_year(figures, open_at, mean_s):
    """Over some years of each rhythm, the first weeks among them."""
    years = 4 if mean_s < HOUR_S else 40
    raised, _ = alarms(changes(random.Random(mean_s), mean_s, open_at, years * YEAR_S))
    figures(f"{open_at.__name__}, a change every {mean_s} s: {raised} false alarms in {years} years")
    assert raised < years / 10


@pytest.mark.parametrize("mean_s", [120, HOUR_S, DAY_S])
def test_a_stream_that_dies_is_noticed_within_40_of_its_usual_pauses(figures, mean_s):
    """Where it changes day and night."""
    _, rhythm = alarms(changes(random.Random(1), mean_s, always, 400 * mean_s + YEAR_S / 4))
    limit = limit_s(rhythm)
    figures(f"a change every {mean_s} s: silent after {limit / rhythm.mean_s:.1f} usual pauses")
    assert limit <= max(40 * rhythm.mean_s, SHORTEST_SILENCE_S)


def test_a_stream_with_weekends_that_dies_is_noticed_within_a_week(figures):
    """Which is a weekend and a half."""
    _, rhythm = alarms(changes(random.Random(1), 1800, office, YEAR_S))
    figures(f"office hours: silent after {limit_s(rhythm) / DAY_S:.1f} days")
    assert 2.7 < limit_s(rhythm) / DAY_S < 5


def test_nothing_is_concluded_from_too_little():
    """Too few pauses, or too few weeks."""
    few, _ = paced(*[2 * DAY_S] * (FEWEST_PAUSES - 1))
    short, now_ms = paced(*[HOUR_S] * 400)
    assert limit_s(few) is limit_s(short) is limit_s(NO_RHYTHM) is None
    assert silent_since(None, short, now_ms + 10 * YEAR_S * 1000) is None
    enough, _ = paced(*[2 * DAY_S] * FEWEST_PAUSES)
    assert enough.changed_ms - enough.since_ms >= SHORTEST_HISTORY_MS
    assert limit_s(enough) == pytest.approx((LONGEST_TIMES + MEAN_TIMES) * 2 * DAY_S, rel=0.01)


def test_it_is_reported_once_and_cleared_by_the_next_change():
    """Then it may be silent anew."""
    rhythm, now_ms = paced(*[2 * DAY_S] * 30)
    edge_ms = now_ms + int(limit_s(rhythm) * 1000)
    assert silent_since(None, rhythm, edge_ms) is None
    silent_ms = silent_since(None, rhythm, edge_ms + 1)
    assert silent_ms == edge_ms + 1
    assert silent_since(silent_ms, rhythm, edge_ms + 10**9) == silent_ms
    awake = changed(rhythm, edge_ms + 2, watched=True)
    assert silent_since(silent_ms, awake, edge_ms + 3) is None
    later_ms = edge_ms + 2 + int(limit_s(awake) * 1000) + 1
    assert silent_since(None, awake, later_ms) == later_ms


def test_no_hour_is_a_silence():
    """However busy the stream is."""
    rhythm, _ = paced(*[60] * (21 * 24 * 60 + 1))
    assert limit_s(rhythm) == SHORTEST_SILENCE_S


def test_a_pause_that_nobody_watched_says_nothing():
    """While poller was not running, or could not poll."""
    rhythm, now_ms = paced(*[HOUR_S] * 3)
    after = changed(rhythm, now_ms + 30 * DAY_S * 1000, watched=False)
    assert after == rhythm._replace(changed_ms=now_ms + 30 * DAY_S * 1000)


def test_a_clock_that_is_set_back_makes_no_pause():
    """And what follows is counted from it."""
    rhythm, now_ms = paced(*[HOUR_S] * 3)
    assert changed(rhythm, now_ms - 5000, watched=True) == rhythm._replace(changed_ms=now_ms - 5000)


def test_a_long_pause_fades():
    """In half a year to a half; in fifty pauses where they are long."""
    rhythm, _ = paced(30 * DAY_S, *[HOUR_S] * (182 * 24))
    assert rhythm.longest_s == pytest.approx(15 * DAY_S, rel=0.01)
    slow, _ = paced(100 * DAY_S, *[20 * DAY_S] * 50)
    assert slow.longest_s == pytest.approx(50 * DAY_S, rel=0.01)


@given(st.lists(st.floats(0.1, 10**8), max_size=80))
def test_the_limit_is_above_all_that_was_of_late(pauses_s):
    """Of the last 25 pauses none would have been a silence, beside what is known after it."""
    rhythm, _ = paced(*pauses_s)
    limit = limit_s(rhythm)
    assert limit is None or limit > max(pauses_s[-25:])
    assert rhythm == Rhythm(*list(rhythm))
