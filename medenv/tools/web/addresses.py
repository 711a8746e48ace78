"""Which addresses belong to the public internet, and which must not be reached from here."""

from __future__ import annotations

import ipaddress

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_TUNNELS = tuple(
    ipaddress.IPv6Network(network)
    for network in ("::/96", "2002::/16", "2001::/32", "64:ff9b:1::/48", "fec0::/10")
)
"""Compatible, 6to4, Teredo, local NAT64 and site-local addresses: none leads where it says."""


def is_public(text: str) -> bool:
    """Return whether an address is a global unicast one.

    An IPv4 address written as an IPv6 one (mapped or NAT64) counts as the IPv4 address.

    Args:
        text: An address as a resolver gives it, with or without a zone.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        elif any(address in network for network in _TUNNELS):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
