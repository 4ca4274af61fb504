"""What is to be done when, by the clock and by threads."""

import threading
import time
from contextlib import contextmanager

from structlog.testing import capture_logs

from poller.agenda import Agenda
from poller.meter import Meter
from poller.service import wall_ms

PATIENCE_S = 20.0


@contextmanager
def agenda(threads=2, meter=None):
    made = Agenda(threads, meter)
    made.begin()
    try:
        yield made
    finally:
        made.end()


def test_what_is_due_is_done():
    """What was planned before the begin too."""
    done = [threading.Event() for _ in range(3)]
    made = Agenda(2)
    made.at(wall_ms(), done[0].set, "first")
    made.begin()
    made.at(wall_ms() - 5000, done[1].set, "second")
    made.at(wall_ms() + 50, done[2].set, "third")
    assert all(event.wait(PATIENCE_S) for event in done)
    made.end()


def test_what_is_planned_again_is_done_once_at_the_new_time():
    """Sooner, and with what was said last."""
    told = []
    done = threading.Event()
    with agenda() as made:
        made.at(wall_ms() + 3_600_000, told.append, "it", "late")
        made.at(wall_ms() + 50, told.append, "it", "soon")
        made.at(wall_ms() + 300, done.set, "end")
        assert done.wait(PATIENCE_S)
    assert told == ["soon"]


def test_what_is_dropped_is_not_done():
    """Nor is anything planned that was due when it ended."""
    told = []
    done = threading.Event()
    with agenda() as made:
        made.at(wall_ms() + 100, told.append, "it", 1)
        made.drop("it")
        made.drop("nothing")
        made.at(wall_ms() + 300, done.set, "end")
        assert done.wait(PATIENCE_S)
    made.at(wall_ms(), told.append, "after", 2)
    time.sleep(0.1)
    assert told == []


def test_more_are_due_than_there_are_threads():
    """No more than so many at once; the others follow, the one that waits for longest first."""
    lock, order, now, most = threading.Lock(), [], 0, 0
    done = threading.Event()

    def job(number):
        nonlocal now, most
        with lock:
            order.append(number)
            now, most = now + 1, max(most, now + 1)
        time.sleep(0.01)
        with lock:
            now -= 1
            if len(order) == 30 and not now:
                done.set()

    began_ms = wall_ms()
    with agenda(threads=3) as made:
        for number in range(30):
            made.at(began_ms - 1000 + number, job, str(number), number)
        assert done.wait(PATIENCE_S)
    assert most <= 3
    assert sorted(order) == list(range(30))


def test_a_job_may_plan_itself_again_at_once():
    """As a stream does that is behind."""
    turns = []
    done = threading.Event()

    def job():
        turns.append(1)
        if len(turns) == 50:
            done.set()
        else:
            made.at(wall_ms(), job, "it")

    with agenda(threads=1) as made:
        made.at(wall_ms(), job, "it")
        assert done.wait(PATIENCE_S)


def test_a_job_that_breaks_breaks_nothing_else():
    """It is told, and the thread goes on."""
    done = threading.Event()
    meter = Meter()
    with capture_logs() as logs, agenda(threads=1, meter=meter) as made:
        made.at(wall_ms() - 10, lambda: 1 // 0, "bad")
        made.at(wall_ms(), done.set, "good")
        assert done.wait(PATIENCE_S)
    assert [(line["event"], line["job"]) for line in logs if line["event"] == "agenda.broken"] == [
        ("agenda.broken", "bad")
    ]
    assert [series for row, series in meter.counters() if row.name == "defects"] == [{("agenda",): 1}]


def test_a_clock_that_was_set_back_holds_up_nothing():
    """What was planned by it comes as soon as it would have come."""
    done = threading.Event()
    with agenda() as made:
        made.at(wall_ms() + 3_600_000, done.set, "it")
        made.set_back(3_600_000)
        assert done.wait(PATIENCE_S)
