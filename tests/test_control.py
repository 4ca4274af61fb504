"""The local socket: one request a connection, a line in, a line out, for its owner alone."""

import errno
import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic

import pytest
from structlog.testing import capture_logs

from poller import log
from poller.control import Control, NotRunning, ask, socket_path
from poller.hidden import pattern
from poller.stores import StoreError


@pytest.fixture
def database(tmp_path):
    return tmp_path / "poller.db"


@pytest.fixture
def control(database):
    """A listener with a command that echoes, one that fails, and one that takes its time."""
    control = Control(socket_path(database), {"echo": lambda **said: said, "fail": lambda: 1 / 0, "ping": dict})
    yield control
    control.close()


@pytest.fixture
def sent(control, database):
    """Send raw bytes and read the answer to its end."""

    def sent(data, *, close=True):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(socket_path(database)))
            connection.sendall(data)
            if close:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer

    return sent


def test_a_command_is_carried_out_with_what_it_is_given(control, database):
    """Names, and values of any JSON."""
    assert ask(database, "echo", sink="crm", event_id=None, n=[1, "ž"]) == {
        "sink": "crm",
        "event_id": None,
        "n": [1, "ž"],
    }


def test_many_are_answered_one_after_the_other(control, database):
    """Each connection its own answer."""
    assert [ask(database, "echo", n=n) for n in range(50)] == [{"n": n} for n in range(50)]


def test_a_command_that_takes_long_holds_up_no_other(control, database, monkeypatch):
    """``poller health`` is answered while a million deliveries are sent again."""
    begun, go_on = threading.Event(), threading.Event()

    def work():
        begun.set()
        return {"done": go_on.wait(20)}

    monkeypatch.setitem(control._commands, "work", work)
    with ThreadPoolExecutor(1) as others:
        working = others.submit(ask, database, "work", 30.0)
        assert begun.wait(10)
        assert ask(database, "ping") == {}
        go_on.set()
        assert working.result() == {"done": True}


def test_the_socket_is_for_its_owner_alone(control, database):
    """Whatever the umask says; and that is as before."""
    assert socket_path(database).stat().st_mode & 0o777 == 0o600
    before = os.umask(0o022)
    os.umask(before)
    assert before != 0o177


def test_a_socket_left_by_a_kill_is_replaced(database):
    """The state's lock says that nobody listens there."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path(database)))
    control = Control(socket_path(database), {"ping": dict})
    assert ask(database, "ping") == {}
    control.close()


def test_without_a_poller_it_is_said_so(database):
    """Nothing there, and nobody behind a socket that a kill left."""
    with pytest.raises(NotRunning):
        ask(database, "ping")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path(database)))
    with pytest.raises(NotRunning):
        ask(database, "ping")


def test_a_poller_that_closed_does_not_run(control, database):
    """The socket is gone, and so is the thread."""
    control.close()
    with pytest.raises(NotRunning):
        ask(database, "ping")
    until = monotonic() + 5
    while any(thread.name == "control" for thread in threading.enumerate()):
        assert monotonic() < until
        threading.Event().wait(0.01)


def test_a_state_in_a_folder_that_is_not_there_has_no_poller(tmp_path):
    """However long its name is."""
    for folder in ("a", "a" * 120):
        with pytest.raises(NotRunning):
            ask(tmp_path / folder / "poller.db", "ping")


def test_a_long_path_is_no_trouble(tmp_path):
    """The system allows 107 bytes."""
    database = tmp_path / ("long" * 30) / "poller.db"
    database.parent.mkdir()
    control = Control(socket_path(database), {"ping": dict})
    assert ask(database, "ping") == {}
    control.close()
    assert not socket_path(database).exists()


def test_an_unknown_command_is_told(control, database):
    """A poller of another version may run."""
    assert "does not know that command" in ask(database, "launch")["error"]


def test_a_state_that_cannot_be_written_is_no_defect(control, database, monkeypatch):
    """It is told in its own words, without a traceback in the log."""

    def locked():
        raise StoreError("database is locked")

    monkeypatch.setitem(control._commands, "fail", locked)
    with capture_logs() as logs:
        assert ask(database, "fail") == {"error": "database is locked"}
    assert logs == []


def test_an_error_is_told_without_what_is_hidden(control, database, monkeypatch):
    """As in the log."""
    monkeypatch.setattr(log, "_hidden", [pattern(["hunter2!"])])
    monkeypatch.setitem(control._commands, "fail", lambda: int("hunter2!"))
    assert ask(database, "fail") == {"error": "ValueError: invalid literal for int() with base 10: '[redacted]'"}


def test_a_command_that_fails_is_told_by_its_error(control, database):
    """And the next one is answered."""
    assert ask(database, "fail") == {"error": "ZeroDivisionError: division by zero"}
    assert "TypeError" in ask(database, "fail", more=1)["error"]
    assert ask(database, "ping") == {}
    assert [series for row, series in control._meter.counters() if row.name == "defects"] == [{("control",): 2}]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"hello\n",
        b"[]\n",
        b"5\n",
        b"\xff\xfe\n",
        b'{"command": 5}\n',
        b'{"command": "ec',
        b"[" * 60_000 + b"\n",
    ],
    ids=lambda data: str(data[:12]),
)
def test_nonsense_is_answered_by_an_error(sent, data, database):
    """And the next one is answered."""
    assert "error" in json.loads(sent(data))
    assert ask(database, "ping") == {}


def test_a_request_without_end_is_not_read_to_its_end(sent, control, database):
    """64 KiB are enough for any; the next one is answered."""
    with suppress(ConnectionError):
        assert "error" in json.loads(sent(b"x" * 10_000_000, close=False))
    assert ask(database, "ping") == {}


def test_a_request_may_come_in_pieces(control, database):
    """It ends with its line."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(socket_path(database)))
        for piece in (b'{"comma', b'nd": "ec', b'ho", "n": 1}', b"\n"):
            connection.sendall(piece)
            threading.Event().wait(0.01)
        assert json.loads(connection.recv(100)) == {"n": 1}


def test_one_that_goes_away_stops_nobody(control, database):
    """Before its request, or before its answer."""
    for data in (b"", b'{"command": "ping"}\n'):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(socket_path(database)))
            connection.sendall(data)
    assert ask(database, "ping") == {}


def test_one_that_says_nothing_is_let_go(control, database, monkeypatch):
    """After a while, so that others get their turn."""
    monkeypatch.setattr("poller.control._TIMEOUT_S", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(socket_path(database)))
        threading.Event().wait(0.02)
        monkeypatch.setattr("poller.control._TIMEOUT_S", 5)
        assert ask(database, "ping") == {}


def test_too_many_open_files_end_no_listening(control, database, monkeypatch):
    """Once there is room again, it answers."""
    monkeypatch.setattr("poller.control.ACCEPT_RETRY_S", 0.01)
    accept, failures = socket.socket.accept, iter(range(2))

    def full(listener):
        if next(failures, None) is not None:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(listener)

    assert ask(database, "ping") == {}
    monkeypatch.setattr(socket.socket, "accept", full)
    assert ask(database, "ping") == {}  # the thread was within the accept before
    assert ask(database, "ping") == {}
