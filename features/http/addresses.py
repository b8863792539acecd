"""Which addresses of the internet may be connected to: public ones, whatever a name says it is."""

from __future__ import annotations

import ipaddress
import socket

from features.base.errors import ClipError

# Ranges that the standard library calls global although no video is served from there.
_RELAYS_OF_6TO4 = ipaddress.ip_network("192.88.99.0/24")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_TUNNELS_6TO4 = ipaddress.ip_network("2002::/16")
# Translates to IPv4 (RFC 6052); the last 32 bits are the address that is reached.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Return whether an address belongs to the public internet.

    An IPv4 address inside an IPv6 one (mapped, RFC 4291 2.5.5.2; NAT64, RFC 6052) counts as the IPv4 address.
    Not public: private, loopback, link-local, shared (100.64/10), unspecified, multicast, reserved, documentation,
    6to4, Teredo, and every IPv6 address outside 2000::/3.

    Args:
        address: As ``socket.getaddrinfo`` gives it, an IPv6 zone included.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if parsed not in _GLOBAL_UNICAST or parsed in _TUNNELS_6TO4:
            return False
    elif parsed in _RELAYS_OF_6TO4:
        return False
    return parsed.is_global and not parsed.is_multicast


def resolve(host: str, port: int, *, allow_private: bool) -> list[tuple[int, str]]:
    """Return (address family, address) of a host, in the system's order of preference, each checked.

    Whoever connects must connect to one of these and not resolve the name again: the second answer may differ
    (DNS rebinding).

    Raises:
        ClipError: ``address_not_allowed``: one of the addresses is not public.
        OSError: The name has no address.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [(int(family), str(address[0])) for family, _, _, _, address in found]
    for _, address in addresses:
        if not allow_private and not is_public(address):
            raise ClipError(
                "address_not_allowed", f"{host} is {address}, no public address; see allow_private_addresses"
            )
    return addresses
