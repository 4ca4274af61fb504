"""Passing trouble of the v1 API is tried again, lasting trouble given up; pauses are kept to, and a stop ends all."""

from threading import Event, Thread, Timer
from time import monotonic, time

import pytest
from listings import asked, listed, settled, until_error

from poller.simulator import faults
from poller.simulator.http import http_date
from poller.sources import Unreachable, spaceinvoices
from poller.sources.spaceinvoices import TRIES


@pytest.mark.parametrize(
    "fault",
    [
        faults.server_error,
        faults.bad_gateway,
        faults.maintenance,
        faults.rate_limited(),
        faults.rate_limited("soon"),
        faults.rate_limited("-5"),
        faults.rate_limited("0"),
        faults.reset,
        faults.cut,
    ],
    ids=["500", "502", "503", "429", "429 soon", "429 -5", "429 0", "reset", "cut"],
)
def test_fault_26_32_passing_trouble_is_tried_again(world, source, clients, fault):
    """Three times in one listing, and nobody notices."""
    ids = world.bulk_create(clients.org, "clients", 3)
    world.simulator.faults.next(fault, TRIES - 1)
    assert [record.id for record in listed(source, clients)] == ids


@pytest.mark.parametrize("fault", [faults.unauthorized, faults.forbidden, faults.html, faults.truncated])
def test_what_would_not_change_is_not_tried_again(world, source, clients, fault):
    """One request, one answer."""
    world.simulator.faults.always(fault)
    until_error(source, clients)
    assert len(asked(world, clients.org)) == 1


def test_lasting_trouble_is_given_up(world, source, clients):
    """After as many tries as there are."""
    world.simulator.faults.always(faults.server_error)
    _, error = until_error(source, clients)
    assert isinstance(error, Unreachable)
    assert len(asked(world, clients.org)) == TRIES


def busy(date):
    """429 with a date a second ahead, and the header ``Date`` or none."""

    def fault(request, proper):
        now_ms = int(time() * 1000)
        return faults.rate_limited(http_date(now_ms + 1000))(request, proper).header("Date", date and http_date(now_ms))

    return fault


def test_retry_after_is_for_all_threads(world, source, clients):
    """One was asked to wait, and none asks meanwhile."""
    world.simulator.faults.next(faults.rate_limited("1"))
    times = []
    world.simulator.on_request = lambda _: times.append(monotonic())

    def other():
        listed(source, clients)
        source._client().close()

    thread = Thread(target=other)
    thread.start()
    while not source._bucket._pace.open_s:
        Event().wait(0.01)
    listed(source, clients)
    thread.join()
    assert len(times) == 3
    assert all(0.9 < later - times[0] < 2 for later in times[1:])


@pytest.mark.parametrize("date", [True, None])
def test_a_date_to_retry_after_is_by_the_server_s_clock_or_ours(world, source, clients, date):
    """Without a date of the answer too: else that server would be left alone for an hour."""
    world.simulator.faults.next(busy(date))
    began = monotonic()
    assert listed(source, clients) == []
    assert monotonic() - began < 2


def test_a_long_pause_ends_the_poll_and_is_kept_to(world, source, clients):
    """No thread sits through it, and no request is made before its end."""
    world.simulator.faults.next(faults.rate_limited("120"))
    _, error = until_error(source, clients)
    assert isinstance(error, Unreachable)
    assert "429" in str(error)
    _, error = until_error(source, clients)
    assert "asked for a pause of another 1" in str(error)
    assert len(asked(world, clients.org)) == 1


def test_a_slow_server_meets_the_deadline(world, source, clients, monkeypatch):
    """One that dribbles too."""
    monkeypatch.setattr(spaceinvoices, "DEADLINE_S", 0.1)
    monkeypatch.setattr(spaceinvoices, "TRIES", 2)
    for fault in (faults.hang(), faults.dribble(0.02)):
        world.simulator.faults.always(fault)
        _, error = until_error(source, clients)
        assert isinstance(error, Unreachable)
        assert "deadline" in str(error)
    settled(world, clients.org, 4)


@pytest.mark.parametrize(
    "fault", [faults.hang(), faults.rate_limited("30"), faults.server_error], ids=["hang", "429", "500"]
)
def test_a_stop_ends_every_wait_at_once(world, made, stop, clients, fault):
    """In a request, in a pause that was asked for, in a back-off."""
    source = made(chance=lambda: 1.0)
    world.simulator.faults.always(fault)
    Timer(0.2, stop.set).start()
    began = monotonic()
    _, error = until_error(source, clients)
    assert isinstance(error, Unreachable)
    assert monotonic() - began < 1
    settled(world, clients.org, 1)


def test_nothing_is_asked_after_a_stop(world, source, stop, clients):
    """The error is at once."""
    stop.set()
    _, error = until_error(source, clients)
    assert isinstance(error, Unreachable)
    assert asked(world, clients.org) == []
