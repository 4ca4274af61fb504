"""The endpoint goes after its table."""

import errno
import socket
from contextlib import closing

import pytest

from poller.front import Front
from poller.listening import HttpTable
from poller.settings import SettingError
from poller.web import Inside, server

TOKEN = {"env": "POLLER_TEST_HTTP"}


@pytest.fixture
def front(monkeypatch):
    monkeypatch.setenv("POLLER_TEST_HTTP", "first-of-many-tokens")
    with closing(Front(Inside(health=str, ready=str, status=lambda _: {}))) as front:
        yield front


@pytest.fixture
def port():
    """One that is free."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def listens(port):
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0


def table(port, **keys):
    return HttpTable.model_validate({"listen": f"127.0.0.1:{port}"} | keys)


def test_it_is_off_until_a_table_says_where_to_listen(front, port):
    """And again after one that does not."""
    front.follow(HttpTable())
    assert not listens(port)
    front.follow(table(port))
    assert listens(port)
    front.follow(HttpTable())
    assert not listens(port)
    front.close()


def test_the_same_table_disturbs_nobody(front, port, monkeypatch):
    """Sessions go on; another token ends them."""
    front.follow(table(port, token=TOKEN))
    first = front._endpoint
    front.follow(table(port, token=TOKEN))
    assert front._endpoint is first
    monkeypatch.setenv("POLLER_TEST_HTTP", "second-of-many-tokens")
    front.follow(table(port, token=TOKEN))
    assert front._endpoint is not first
    assert listens(port)


def test_what_changes_is_changed_in_its_place(front, port):
    """At the same address."""
    front.follow(table(port))
    front.follow(table(port, actions=True, token=TOKEN))
    assert front._endpoint.table.actions
    assert listens(port)


def test_it_moves(front, port):
    """And leaves nothing behind."""
    front.follow(table(port))
    front.follow(table(0))
    assert not listens(port)


@pytest.mark.parametrize(("before", "after"), [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")])
def test_it_opens_up_and_shuts_itself_off_at_its_port(front, port, before, after):
    """One address is among the others: both cannot be listened on at once."""
    front.follow(table(port, listen=f"{before}:{port}"))
    front.follow(table(port, listen=f"{after}:{port}"))
    assert front._endpoint.address == (after, port)
    assert listens(port)


@pytest.mark.parametrize("why", ["taken", "token"])
def test_what_cannot_be_changes_nothing(front, port, monkeypatch, why):
    """The old one goes on."""
    front.follow(table(port))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = table(taken.getsockname()[1]) if why == "taken" else table(port, token={"env": "NOT_SET_AT_ALL"})
        with pytest.raises(SettingError, match=r"http\."):
            front.follow(wanted)
    assert listens(port)
    assert front._endpoint.table == table(port)


def test_too_many_open_files_leave_the_old_one(front, port, monkeypatch):
    """A server takes more than its socket."""

    def full(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    front.follow(table(port))
    with monkeypatch.context() as patched:
        patched.setattr(server, "create_server", full)
        with pytest.raises(SettingError, match="Too many open files"):
            front.follow(table(0))
    assert front._endpoint.table == table(port)
    assert listens(port)
