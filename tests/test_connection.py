"""What is connected to: each address after name resolution passes the guard."""

import socket

import pytest
from receiver import Receiver, answer, close

from poller import connection
from poller.http import Client, ConnectFailed, Link

OPEN = Link(allow_private=True)
STRICT = Link()


@pytest.fixture
def client():
    clients = []

    def make(link=STRICT):
        clients.append(Client(link=link))
        return clients[-1]

    yield make
    for made in clients:
        made.close()


@pytest.fixture
def resolver(monkeypatch):
    """Names stand for what they are told to: at each lookup the next list of addresses, then the last again."""

    def script(*answers):
        left, asked = list(answers), []

        def resolve(host, port):
            asked.append(host)
            addresses = left.pop(0) if len(left) > 1 else left[0]
            return [
                (socket.AF_INET6, (address, port, 0, 0)) if ":" in address else (socket.AF_INET, (address, port))
                for address in addresses
            ]

        monkeypatch.setattr(connection, "_resolve", resolve)
        return asked

    return script


def ask(client, host, port):
    return client.request("POST", f"http://{host}:{port}/hook", deadline_s=5, max_bytes=100).status


def test_fault_56_a_name_that_is_bound_anew_is_refused(client, resolver):
    """First an allowed address, then the metadata service: each connection is checked."""
    asked = resolver(["127.0.0.1"], ["169.254.169.254"])
    with Receiver(answer(headers=[("Connection", "close")])) as receiver:
        mine = client(OPEN)
        assert ask(mine, "hooks.test", receiver.port) == 200
        with pytest.raises(ConnectFailed) as caught:
            ask(mine, "hooks.test", receiver.port)
    assert str(caught.value) == (
        f"http://hooks.test:{receiver.port}: 169.254.169.254 is a link-local address: that is never connected to"
    )
    assert len(receiver.records) == 1
    assert asked == ["hooks.test"] * 2  # once for each connection: what was checked is what is connected to


def test_a_stale_connection_is_made_anew_under_guard(client, resolver):
    """The receiver closed it; by now the name stands for something else."""
    resolver(["127.0.0.1"], ["fd00:ec2::254"])
    with Receiver(answer(), close()) as receiver:
        mine = client(OPEN)
        ask(mine, "hooks.test", receiver.port)
        with pytest.raises(connection.HttpError):
            ask(mine, "hooks.test", receiver.port)
        with pytest.raises(ConnectFailed, match="metadata service"):
            ask(mine, "hooks.test", receiver.port)


@pytest.mark.parametrize("bad", ["169.254.169.254", "ff02::1", "64:ff9b::a9fe:a9fe"])
def test_a_bad_address_is_skipped(client, resolver, bad):
    """A good one of the same name is used."""
    for order in ([bad, "127.0.0.1"], ["127.0.0.1", bad]):
        resolver(order)
        with Receiver() as receiver:
            assert ask(client(OPEN), "hooks.test", receiver.port) == 200


def test_all_addresses_bad_are_refused_with_the_first_reason(client, resolver):
    """None of them is tried."""
    resolver(["10.0.0.1", "169.254.169.254", "::1"])
    with pytest.raises(ConnectFailed, match=r"10\.0\.0\.1 is a private address.*set allow_private = true"):
        ask(client(), "hooks.test", 80)


def test_that_the_good_one_does_not_answer_is_what_is_told(client, resolver):
    """Not that others were refused."""
    resolver(["169.254.169.254", "127.0.0.1"])
    with pytest.raises(ConnectFailed, match="connection refused"):
        ask(client(OPEN), "hooks.test", 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::ffff:192.168.0.1", "100.64.0.1", "fd12::1"])
def test_a_name_is_not_this_machine_or_a_private_one(client, resolver, address):
    """Unless that is permitted."""
    resolver([address])
    with pytest.raises(ConnectFailed, match="allow_private"):
        ask(client(), "localhost.test", 80)


def test_a_host_that_is_loopback_by_name_may_be_loopback_only(client, resolver):
    """Whatever the hosts file says of it."""
    resolver(["127.0.0.1"])
    with Receiver() as receiver:
        assert ask(client(), "localhost", receiver.port) == 200
    resolver(["192.168.0.1"])
    with pytest.raises(ConnectFailed, match=r"192\.168\.0\.1 is a private address"):
        ask(client(), "localhost", 80)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"])
def test_other_spellings_are_judged_by_what_they_mean(client, host):
    """The resolver reads numbers as the C library does."""
    with Receiver() as receiver:
        with pytest.raises(ConnectFailed, match=r"127\.0\.0\.1.* a loopback address"):
            ask(client(), host, receiver.port)
        assert receiver.records == []


def test_without_a_link_private_addresses_are_allowed(client, resolver):
    """For the API, whose URL is the operator's own; what is never connected to is refused there too."""
    resolver(["127.0.0.1"], ["169.254.169.254"])
    with Receiver(answer(headers=[("Connection", "close")])) as receiver:
        mine = client(None)
        assert ask(mine, "api.test", receiver.port) == 200
        with pytest.raises(ConnectFailed, match="never connected to"):
            ask(mine, "api.test", receiver.port)


def test_a_name_without_addresses_is_told(client, resolver):
    """It is not that they were refused."""
    resolver([])
    with pytest.raises(ConnectFailed, match="the name has no address"):
        ask(client(), "hooks.test", 80)
