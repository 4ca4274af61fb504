"""Which addresses may be connected to: an address in, and out comes nothing, or the reason why not.

``ipaddress.is_global`` does not decide that: it allows 224.0.0.1, it allows 64:ff9b::a9fe:a9fe (which a NAT64
gateway hands to 169.254.169.254), and it changes between versions of Python. So the ranges stand here, from
IANA's special-purpose registries (RFC 6890 and its updates).
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

_Address = IPv4Address | IPv6Address


def refusal(address: str, *, private: bool, loopback: bool) -> str | None:
    """Why ``address``, as a resolver gives it, may not be connected to; None if it may.

    ``private`` permits what is not on the public internet, this machine included; ``loopback`` permits
    this machine alone, for a host that is written as such. Nothing permits what is never a receiver's.
    """
    outer = _parsed(address)
    if outer is None:
        return f"{address} is not an address"
    allowed = {_LOOPBACK, _PRIVATE} if private else {_LOOPBACK} if loopback else set()
    rows = [(inner, row) for inner in (outer, *_carried(outer)) if (row := _row(inner)) and row.rule not in allowed]
    if not rows:
        return None
    inner, row = min(rows, key=lambda found: found[1].rule != _NEVER)  # what nothing permits comes first
    what = f"is {row.name}" if inner is outer else f"stands for {inner}, {row.name}"
    return f"{address} {what}: {row.rule}"


_NEVER = "that is never connected to"
_LOOPBACK = "only localhost, 127.x and [::1] may be this machine, unless allow_private = true"
_PRIVATE = "to permit private addresses, set allow_private = true"


class _Row(NamedTuple):
    name: str
    rule: str
    networks: tuple[str, ...]


_ROWS = (  # the first that holds counts
    # AWS (its IPv6 services), Google, Alibaba, Oracle, Azure; at 169.254.169.254 they are link-local.
    _Row(
        "a cloud's metadata service",
        _NEVER,
        ("fd00:ec2::/32", "fd20:ce::254/128", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
    ),
    _Row("a link-local address", _NEVER, ("169.254.0.0/16", "fe80::/10")),
    _Row("a multicast address", _NEVER, ("224.0.0.0/4", "ff00::/8")),
    _Row("the broadcast address", _NEVER, ("255.255.255.255/32",)),
    _Row("an unspecified address", _NEVER, ("0.0.0.0/8", "::/128")),
    _Row("a loopback address", _LOOPBACK, ("127.0.0.0/8", "::1/128")),
    _Row("a private address", _PRIVATE, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")),
    _Row("a carrier's or an overlay network's address", _PRIVATE, ("100.64.0.0/10",)),
    _Row(
        "not a public address",
        _PRIVATE,
        (
            *("192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
            *("64:ff9b:1::/48", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "3fff::/20"),
        ),
    ),
)
_TABLE = tuple((row, tuple(ip_network(text) for text in row.networks)) for row in _ROWS)
_NOT_GLOBAL = _Row("not a public address", _PRIVATE, ())
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # IANA gives out public IPv6 addresses of no other range


class _Carrier(NamedTuple):
    """IPv6 addresses with an IPv4 address in them: so many bits from the right, and perhaps inverted."""

    network: IPv6Network
    shift: int
    inverted: bool = False


_CARRIERS = (
    _Carrier(IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped
    _Carrier(IPv6Network("64:ff9b::/96"), 0),  # NAT64
    _Carrier(IPv6Network("64:ff9b:1::/48"), 0),  # NAT64 by a prefix of one's own (RFC 8215), if that is a /96
    _Carrier(IPv6Network("2002::/16"), 80),  # 6to4
    _Carrier(IPv6Network("2001::/32"), 64),  # Teredo: the server
    _Carrier(IPv6Network("2001::/32"), 0, inverted=True),  # Teredo: the client
    _Carrier(IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated (RFC 2765)
    _Carrier(IPv6Network("::/96"), 0),  # IPv4-compatible, long deprecated; :: and ::1 are none
)
_TRANSPARENT = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))  # as public as what they carry


def _parsed(address: str) -> _Address | None:
    try:
        return ip_address(address.partition("%")[0])  # fe80::1%eth0
    except ValueError:
        return None


def _carried(address: _Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address) or int(address) <= 1:
        return []
    found = [carrier for carrier in _CARRIERS if address in carrier.network]
    return [
        IPv4Address((int(address) >> carrier.shift & 0xFFFFFFFF) ^ (0xFFFFFFFF if carrier.inverted else 0))
        for carrier in found
    ]


def _row(address: _Address) -> _Row | None:
    for row, networks in _TABLE:
        if any(address in network for network in networks):
            return row
    if isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST:
        return None
    return None if any(address in network for network in _TRANSPARENT) else _NOT_GLOBAL
