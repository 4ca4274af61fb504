"""Which addresses may be connected to."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.guard import refusal

NEVER = {  # an IPv4 address, and what it is called
    "169.254.169.254": "a link-local address",
    "169.254.0.1": "a link-local address",
    "224.0.0.1": "a multicast address",
    "239.255.255.250": "a multicast address",
    "255.255.255.255": "the broadcast address",
    "0.0.0.0": "an unspecified address",
    "0.1.2.3": "an unspecified address",
    "100.100.100.200": "a cloud's metadata service",
    "192.0.0.192": "a cloud's metadata service",
    "168.63.129.16": "a cloud's metadata service",
}
NEVER_6 = {
    "fe80::1": "a link-local address",
    "fe80::1%eth0": "a link-local address",
    "febf::1": "a link-local address",
    "ff02::1": "a multicast address",
    "::": "an unspecified address",
    "fd00:ec2::254": "a cloud's metadata service",
    "fd20:ce::254": "a cloud's metadata service",
}
PRIVATE = [
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1", "192.0.0.1"),
]
PRIVATE_6 = [
    "fd00::1",
    "fc00::1",
    "fec0::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
    "64:ff9b:1::808:808",
    "::1.2.3.4",
]
LOOPBACK = ["127.0.0.1", "127.255.255.254"]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.63.255.255", "100.128.0.1", "223.255.255.255", "192.0.3.1"]
PUBLIC_6 = ["2606:4700:4700::1111", "2a00:1450::1", "2001:4860:4860::8888"]


def mapped(address):
    return str(IPv6Address(0xFFFF << 32 | int(IPv4Address(address))))


def nat64(address):
    return str(IPv6Address(int(IPv6Address("64:ff9b::")) | int(IPv4Address(address))))


def nat64_of_ones_own(address):
    return str(IPv6Address(int(IPv6Address("64:ff9b:1:7::")) | int(IPv4Address(address))))


def six_to_four(address):
    return str(IPv6Address(0x2002 << 112 | int(IPv4Address(address)) << 80 | 1))


def teredo(address):
    """A client behind a public server."""
    return str(IPv6Address(int(IPv6Address("2001:0:808:808::")) | int(IPv4Address(address)) ^ 0xFFFFFFFF))


def teredo_server(address):
    """A public client of it."""
    return str(IPv6Address(0x20010000 << 96 | int(IPv4Address(address)) << 64 | 0x08080808 ^ 0xFFFFFFFF))


def translated(address):
    return str(IPv6Address(int(IPv6Address("::ffff:0:0:0")) | int(IPv4Address(address))))


def compatible(address):
    return str(IPv6Address(int(IPv4Address(address))))


CARRIERS = [mapped, nat64, nat64_of_ones_own, six_to_four, teredo, teredo_server, translated, compatible]


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("loopback", [False, True])
@pytest.mark.parametrize(("address", "name"), [*NEVER.items(), *NEVER_6.items()])
def test_some_addresses_are_never_connected_to(address, name, private, loopback):
    """Whatever is permitted; and the reason says what they are."""
    assert refusal(address, private=private, loopback=loopback) == f"{address} is {name}: that is never connected to"


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("address", [address for address in NEVER if not address.startswith("0.")])
def test_nor_are_they_in_disguise(address, carrier):
    """A gateway, a tunnel or the kernel would take the IPv4 address out again."""
    told = refusal(carrier(address), private=True, loopback=True)
    assert told == f"{carrier(address)} stands for {address}, {NEVER[address]}: that is never connected to"


@pytest.mark.parametrize("carrier", CARRIERS)
def test_nowhere_in_disguise_is_refused_too(carrier):
    """0.0.0.0 reaches this machine on Linux; the compatible form of it is the IPv6 one."""
    assert "unspecified" in refusal(carrier("0.0.0.0"), private=True, loopback=True)


@pytest.mark.parametrize("address", PRIVATE + PRIVATE_6)
def test_private_addresses_have_to_be_permitted(address):
    """The reason is the key to set; that a host is loopback permits them not."""
    for loopback in (False, True):
        assert "set allow_private = true" in refusal(address, private=False, loopback=loopback)
    assert refusal(address, private=True, loopback=False) is None


@pytest.mark.parametrize("address", [*LOOPBACK, "::1"])
def test_this_machine_is_for_hosts_that_say_so(address):
    """Or where private addresses are permitted."""
    assert "only localhost" in refusal(address, private=False, loopback=False)
    assert refusal(address, private=False, loopback=True) is None
    assert refusal(address, private=True, loopback=False) is None


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("address", PRIVATE + LOOPBACK)
def test_a_disguise_makes_nothing_public(address, carrier):
    """But it can be permitted like what is under it."""
    assert "allow_private" in refusal(carrier(address), private=False, loopback=False)
    assert refusal(carrier(address), private=True, loopback=False) is None


@pytest.mark.parametrize("address", PUBLIC + PUBLIC_6)
def test_public_addresses_are_allowed(address):
    """The ends of the ranges beside them do not reach them."""
    assert refusal(address, private=False, loopback=False) is None


@pytest.mark.parametrize("carrier", [mapped, nat64, six_to_four, teredo, teredo_server])
@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed_in_the_forms_that_are_in_use(address, carrier):
    """Behind NAT64 every IPv4 receiver has such an address."""
    assert refusal(carrier(address), private=False, loopback=False) is None


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "127.0.0.01", "1.2.3.4/32", "::g"])
def test_what_is_no_address_is_refused(text):
    """Resolvers give addresses."""
    assert refusal(text, private=True, loopback=True) == f"{text} is not an address"


@given(st.ip_addresses())
def test_permission_only_adds(address):
    """What is allowed without a permission is allowed with it, and every refusal names the address."""
    plain, loopback, private = (
        refusal(str(address), private=private, loopback=loopback)
        for private, loopback in [(False, False), (False, True), (True, False)]
    )
    assert plain or not (loopback or private)
    assert all(told is None or told.startswith(str(address)) for told in (plain, loopback, private))


@given(st.ip_addresses(v=4))
def test_what_is_allowed_in_the_open_is_global(address):
    """By Python's own table too, which knows less of multicast and metadata."""
    if refusal(str(address), private=False, loopback=False) is None:
        assert address.is_global
        assert not address.is_multicast
