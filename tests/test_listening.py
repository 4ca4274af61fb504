"""The table of the HTTP endpoint."""

import pytest
from pydantic import ValidationError

from poller.listening import Address, HttpTable

TOKEN = {"env": "POLLER_HTTP_TOKEN"}


@pytest.mark.parametrize(
    ("text", "address", "beyond"),
    [
        ("127.0.0.1:9464", Address("127.0.0.1", 9464), False),
        ("localhost:80", Address("127.0.0.1", 80), False),
        ("[::1]:9464", Address("::1", 9464), False),
        ("0.0.0.0:0", Address("0.0.0.0", 0), True),
        ("[::]:65535", Address("::", 65535), True),
        ("10.1.2.3:9464", Address("10.1.2.3", 9464), True),
    ],
)
def test_an_address_is_read(text, address, beyond):
    """And whether other machines reach it."""
    table = HttpTable(listen=text)
    assert (table.address, table.beyond_loopback) == (address, beyond)
    assert HttpTable(listen=address.shown) == table


@pytest.mark.parametrize(
    "text",
    ["", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "::1:9464", "127.0.0.1:65536", "a b:1", "[::1:9464", "1:2:3"],
)
def test_what_is_no_address_is_refused(text):
    """With an example of one."""
    with pytest.raises(ValidationError, match=r"such as|should be an IP"):
        HttpTable(listen=text)


def test_a_name_is_not_looked_up():
    """It might lead elsewhere tomorrow."""
    with pytest.raises(ValidationError, match=r'"example\.com" should be an IP address of this machine'):
        HttpTable(listen="example.com:9464")


def test_it_is_off_by_default():
    """And shows only."""
    table = HttpTable()
    assert (table.address, table.actions, table.beyond_loopback) == (None, False, False)


def test_actions_need_a_token():
    """Else whoever reaches it could act."""
    with pytest.raises(ValidationError, match="actions = true needs a token"):
        HttpTable(listen="127.0.0.1:1", actions=True)
    assert HttpTable.model_validate({"listen": "127.0.0.1:1", "actions": True, "token": TOKEN}).actions


@pytest.mark.parametrize("name", ["http://poller", "poller:9464", "a/b", "", "-a", "*"])
def test_a_host_is_a_name_alone(name):
    """Without scheme, port and path."""
    with pytest.raises(ValidationError, match="name of a host alone"):
        HttpTable.model_validate({"hosts": [name]})
