"""The words of the protocol, over real datagram sockets, and whom they are for."""

import os
import socket
import time
from contextlib import suppress

import pytest
from manager import Manager

from poller.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    address = tmp_path / "notify" if request.param == "path" else f"@poller-test-{os.getpid()}"
    with Manager(address, watchdog_s=6) as manager:
        yield manager


def test_it_says_what_happens(manager):
    """In the words of sd_notify(3), one datagram a message."""
    notifier = Notifier(manager.env)
    notifier.ready()
    notifier.status("10 streams")
    notifier.watchdog()
    notifier.stopping()
    assert manager.said == ["READY=1", "STATUS=10 streams", "WATCHDOG=1", "STOPPING=1"]


def test_a_reload_says_when_it_began(manager):
    """By the monotonic clock, so that the manager can tell it from the one before."""
    before = time.monotonic_ns() // 1000
    Notifier(manager.env).reloading()
    word, _, began = manager.said[0].partition("\nMONOTONIC_USEC=")
    assert word == "RELOADING=1"
    assert before <= int(began) <= time.monotonic_ns() // 1000


def test_a_status_is_one_line(manager):
    """Else the rest of it would be further messages."""
    Notifier(manager.env).status("well\nREADY=1\x00\u2028é")
    assert manager.said == ["STATUS=well READY=1  é"]


@pytest.mark.parametrize("address", [None, "", "relative", "vsock:2:1234", "/not/there", "@nobody-listens"])
def test_nobody_listens(address):
    """Then it is silent, and nothing is raised."""
    notifier = Notifier({} if address is None else {"NOTIFY_SOCKET": address})
    for say in (notifier.ready, notifier.reloading, notifier.stopping, notifier.watchdog):
        say()
    notifier.status("well")


def test_a_manager_that_does_not_read_holds_up_nobody(tmp_path):
    """Its socket is full: what cannot be sent is left out."""
    with Manager(tmp_path / "notify") as manager:
        notifier = Notifier(manager.env)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.settimeout(0)
            with suppress(BlockingIOError):
                for _ in range(100_000):
                    filler.sendto(b"X", str(tmp_path / "notify"))
        notifier.ready()
        assert len(manager.said) < 100_000
        assert "READY=1" not in manager.said


@pytest.mark.parametrize(
    ("more", "every_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 20.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 20.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_a_third_of_its_time(tmp_path, more, every_s):
    """If it waits for this very process; else never."""
    with Manager(tmp_path / "notify") as manager:
        notifier = Notifier(manager.env | more)
        notifier.watchdog()
        assert notifier.every_s == every_s
        assert manager.pings == (every_s is not None)


def test_a_watchdog_without_a_socket_is_not_waited_for():
    """There would be no way to feed it."""
    assert Notifier({"WATCHDOG_USEC": "60000000"}).every_s is None
