"""The alarms of a stream on a real store: raised once, told where a route asks, cleared by what ends them."""

import json
from dataclasses import replace

import acts
import pytest
from lives import life
from points import unwatched
from structlog.testing import capture_logs
from upstream import Change

from poller import report
from poller.alarms import alarmed, raised
from poller.model import Stream
from poller.silence import Rhythm, limit_s
from poller.stores import Progress, Standing, Step
from poller.stores.reading import View

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
CLIENTS = Stream("o", "clients")
DAILY = Rhythm(NOW_MS - 60 * DAY_MS, NOW_MS - 30 * DAY_MS, 30, 86_400.0, 100_000.0)
SILENT = Standing(CLIENTS, Progress(rhythm=DAILY), polled_ms=NOW_MS)


def test_a_silence_is_raised_once_and_cleared_by_a_change():
    """After the poll that finds it."""
    found = alarmed(SILENT, 60.0, NOW_MS)
    assert found == replace(SILENT, silent_ms=NOW_MS)
    [notice] = raised(SILENT, found)
    assert (notice.trigger, notice.began_ms, notice.at_ms) == ("poller.stream.silent", DAILY.changed_ms, NOW_MS)
    assert notice.data["expected_s"] == round(limit_s(DAILY))
    again = alarmed(found, 60.0, NOW_MS + DAY_MS)
    assert (again, list(raised(found, again))) == (found, [])
    changed = replace(found, progress=Progress(rhythm=DAILY._replace(changed_ms=NOW_MS + 1)))
    over = alarmed(changed, 60.0, NOW_MS + 2)
    assert (over.silent_ms, list(raised(changed, over))) == (None, [])


@pytest.mark.parametrize("trouble", [{"failures": 2}, {"suspended": True}])
def test_a_poll_that_failed_hears_no_silence(trouble):
    """And ends none."""
    for silent_ms in (None, 5):
        assert alarmed(replace(SILENT, silent_ms=silent_ms, **trouble), 60.0, NOW_MS).silent_ms == silent_ms


def test_trouble_is_raised_once_until_a_poll_is_well():
    """By the fifth failure; a denial in between is no other trouble."""
    well = standing = Standing(CLIENTS, polled_ms=NOW_MS)
    told = []
    for failures in range(1, 9):
        failed = replace(standing, failures=failures, suspended=failures == 7, error="HTTP 500")
        after = alarmed(failed, 60.0, NOW_MS + failures)
        told += raised(standing, after)
        standing = after
    assert [(notice.trigger, notice.began_ms, notice.data["failures"]) for notice in told] == [
        ("poller.stream.failing", NOW_MS + 5, 5)
    ]
    assert alarmed(replace(standing, failures=0, suspended=False), 60.0, NOW_MS + 99) == replace(well, error="HTTP 500")


@pytest.fixture
def lived():
    """A life with one stream that usually changes every day."""
    with life(records=4) as lived, capture_logs() as logs:
        lived.configure(("all", "loose"), routes=1)
        lived.act(lived.restart)
        acts.poll(lived, "clients")
        lived.logs = logs
        yield lived


def notices(lived, trigger):
    sql = "SELECT unpacked(dictionary, body) FROM event WHERE trigger = ? ORDER BY sequence"
    return [json.loads(body)["data"]["object"] for (body,) in unwatched(lived.store._connection, sql, trigger)]


def silent(lived):
    with View(lived.path) as view:
        return report.status(view, ["clients"], None)


def test_a_silent_stream_is_told_once_in_every_place(lived):
    """The log, the status, an event; through a restart; and it is over with the next change."""
    stream = Stream(lived.world.org, "clients")
    now_ms = lived.now_ms()
    rhythm = Rhythm(now_ms - 60 * DAY_MS, now_ms, 30, 86_400.0, 100_000.0)
    progress = replace(lived.store.standing(stream).progress, rhythm=rhythm)
    lived.store.commit(stream, Step(progress), now_ms)
    for _ in range(30):
        lived.world.clock.advance(DAY_MS)
        assert acts.poll(lived, "clients") == ""
    lived.act(lived.restart)
    acts.poll(lived, "clients")
    [told] = notices(lived, "poller.stream.silent")
    assert (told["id"], told["silent_s"]) == (stream.name, 12 * 86_400)
    found = silent(lived)
    assert [row["stream"] for row in found["silent"]] == [stream.name]
    assert f"SILENT: {stream.name} has not changed since" in report.status_text(found)
    lived.world.change(Change("update", "clients", 0, 7))
    acts.poll(lived, "clients")
    assert silent(lived)["silent"] == []
    assert len(notices(lived, "poller.stream.silent")) == 1
    names = [line["event"] for line in lived.logs if line.get("stream") == stream.name]
    assert (names.count("stream.silent"), names.count("stream.changes_again")) == (1, 1)


def test_changes_make_a_pace(lived):
    """One pause a poll, however many pages; the first listing and quiet polls make none."""
    stream = Stream(lived.world.org, "clients")
    assert lived.store.standing(stream).progress.rhythm == Rhythm()
    for pause_ms in (60_000, 120_000, 180_000):
        lived.world.clock.advance(pause_ms)
        for number in range(2):
            lived.world.change(Change("update", "clients", number, pause_ms))
        acts.poll(lived, "clients")
        acts.poll(lived, "clients")
    rhythm = lived.store.standing(stream).progress.rhythm
    assert (rhythm.pauses, round(rhythm.mean_s), round(rhythm.longest_s)) == (2, 150, 180)


def test_what_nobody_watched_is_no_pause(lived):
    """A day without a poll says nothing of when the change was."""
    stream = Stream(lived.world.org, "clients")
    for pause_ms in (60_000, DAY_MS):
        lived.world.clock.advance(pause_ms)
        lived.world.change(Change("update", "clients", 0, pause_ms))
        acts.poll(lived, "clients")
    rhythm = lived.store.standing(stream).progress.rhythm
    assert (rhythm.pauses, rhythm.changed_ms // DAY_MS) == (0, lived.now_ms() // DAY_MS)


def test_an_organization_that_is_not_there_is_told_of(lived):
    """Each of its streams that is followed, once."""
    for _ in range(2):
        lived.service.suspend_unseen([])
    told = notices(lived, "poller.stream.failing")
    assert [(one["id"], one["denied"]) for one in told] == [(f"{lived.world.org}/clients", True)]


def test_an_organization_that_was_taken_out_is_not(lived):
    """It is the operator's own wish that it is not followed."""
    lived.service.plan = replace(lived.service.plan, organizations=("another",))
    lived.service.suspend_unseen(["another"])
    assert lived.store.standing(Stream(lived.world.org, "clients")).suspended
    assert notices(lived, "poller.stream.failing") == []
