"""Deadlines of the HTTP client hold for each step of a request, and a stop ends it."""

import socket
import threading
import time

import pytest
from asks import ask, seconds
from receiver import Receiver, dribble, dribble_head, flood, hang, hang_after_head

from poller import connection, exchange
from poller.http import Aborted, Client, ConnectFailed, TimedOut


@pytest.mark.parametrize("slow", [hang, hang_after_head, dribble, dribble_head, flood], ids=lambda slow: slow.__name__)
def test_fault_33_one_deadline_holds_for_the_whole_request(client, slow):
    """A server that is silent, slow or long-winded has no more time than any other."""
    with Receiver(slow()) as receiver:
        took_s, error = seconds(ask, client, receiver, deadline_s=0.3)
    assert isinstance(error, TimedOut)
    assert str(error) == f"http://127.0.0.1:{receiver.port}: the deadline of 0.3 s passed"
    assert 0.25 < took_s < 0.6


def test_the_deadline_holds_for_the_resolver(client, monkeypatch):
    """The system's resolver may take half a minute; nobody waits for it."""
    monkeypatch.setattr(connection, "_resolve", lambda *_: time.sleep(1) or [])
    took_s, error = seconds(client.request, "GET", "http://slow.invalid", deadline_s=0.1, max_bytes=1)
    assert isinstance(error, TimedOut)
    assert took_s < 0.4


def test_the_deadline_holds_for_writing(client):
    """A server that takes no more bytes ends the request, too."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        large = bytes(64 << 20)
        _, error = seconds(client.request, "POST", url, content=large, deadline_s=0.3, max_bytes=1)
    assert isinstance(error, TimedOut)


def test_connecting_has_a_limit_of_its_own(client, monkeypatch):
    """An address that drops packets costs ``CONNECT_S``, however long the deadline is."""
    monkeypatch.setattr(connection, "CONNECT_S", 0.1)
    monkeypatch.setattr(exchange, "SLICE_S", 0.05)
    with socket.socket() as full:  # a listener whose queue is full does not answer
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.settimeout(0)
            sock.connect_ex(full.getsockname())
        took_s, error = seconds(
            client.request, "GET", f"http://127.0.0.1:{full.getsockname()[1]}/x", deadline_s=5, max_bytes=1
        )
        for sock in waiting:
            sock.close()
    assert isinstance(error, ConnectFailed)
    assert "no connection within 0.1 s" in str(error)
    assert took_s < 1


def test_the_next_address_is_tried(client, monkeypatch):
    """A host whose first address refuses is reached at its second."""
    with Receiver() as receiver:
        found = connection._resolve("127.0.0.1", receiver.port)
        dead = [(family, ("127.0.0.1", 1)) for family, _ in found]
        monkeypatch.setattr(connection, "_resolve", lambda *_: dead + found)
        assert ask(client, receiver).status == 200


@pytest.mark.parametrize("slow", [hang, hang_after_head, dribble], ids=lambda slow: slow.__name__)
def test_stop_ends_a_request_under_way(slow):
    """A blocked read ends within a quarter of a second."""
    stop = threading.Event()
    client = Client(stop)
    with Receiver(slow()) as receiver:
        threading.Timer(0.1, stop.set).start()
        took_s, error = seconds(ask, client, receiver)
        client.close()
    assert isinstance(error, Aborted)
    assert took_s < 0.1 + 0.3


def test_after_stop_no_request_begins():
    """Nothing is sent any more."""
    stop = threading.Event()
    stop.set()
    client = Client(stop)
    with Receiver() as receiver:
        _, error = seconds(ask, client, receiver)
    client.close()
    assert isinstance(error, Aborted)
    assert receiver.records == []


def test_a_handshake_that_hangs_meets_the_deadline(client):
    """A server that accepts and stays silent."""
    with Receiver() as receiver:
        url = receiver.url.replace("http:", "https:")
        took_s, error = seconds(client.request, "GET", url, deadline_s=0.2, max_bytes=1)
    assert isinstance(error, TimedOut)
    assert took_s < 0.5
