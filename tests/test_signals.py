"""Signals reach the main thread, whatever it was about."""

import os
import signal
import time
from threading import Thread

import pytest

from poller.signals import Signals

LONG_S = 30.0


@pytest.fixture
def signals():
    """Those of this process, as they were afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    signals = Signals()
    signals.catch(*before)
    yield signals
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_one_that_came_before_is_not_waited_for(signals):
    """It is there at once."""
    os.kill(os.getpid(), signal.SIGTERM)
    assert (signals.next(LONG_S), signals.stopping) == (signal.SIGTERM, True)


def test_one_that_comes_meanwhile_ends_the_wait(signals):
    """From another thread, and from the system."""
    for act in (lambda: signals.send(signal.SIGHUP), lambda: os.kill(os.getpid(), signal.SIGHUP)):
        began = time.monotonic()
        Thread(target=lambda: (time.sleep(0.2), act())).start()  # noqa: B023
        found = None
        while found is None and time.monotonic() - began < LONG_S:
            found = signals.next(LONG_S)
        assert found == signal.SIGHUP
        assert time.monotonic() - began < LONG_S


def test_without_one_there_is_none(signals):
    """After the time that was given."""
    assert signals.next(0.01) is None
    assert not signals.stopping


def test_several_reloads_are_one(signals):
    """And none where the end was asked for."""
    for _ in range(3):
        signals.send(signal.SIGHUP)
    assert (signals.next(LONG_S), signals.next(0.0)) == (signal.SIGHUP, None)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
        signals.send(number)
    assert signals.next(LONG_S) == signal.SIGTERM


def test_more_than_the_pipe_holds(signals):
    """Are as good as one."""
    for _ in range(100_000):
        signals.send(signal.SIGHUP)
    assert signals.next(LONG_S) == signal.SIGHUP
