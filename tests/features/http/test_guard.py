from __future__ import annotations

import socket

import pytest

from features.base.errors import ClipError
from features.http.guard import is_public, resolve_host


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:82b::200e",
     "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"],
)  # fmt: skip
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3",  # noqa: S104
     "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1",
     "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
     "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1",
     "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1",
     "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8", "2002:7f00:1::", "2002:808:808::1", "2001:0:808:808::1",
     "2001:db8::1", "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "5f00::1"],
)  # fmt: skip
def test_others_are_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "0", "::1"],
)
def test_every_spelling_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(ClipError, match=r"address_not_allowed: .* no public address; see allow_private_addresses"):
        resolve_host(host, 80, allow_private=False)
    assert resolve_host(host, 80, allow_private=True)


def test_a_trailing_dot_is_no_way_round() -> None:
    # Some systems know the name with its dot, some do not; none may give an address to connect to.
    with pytest.raises((ClipError, socket.gaierror)):
        resolve_host("localhost.", 80, allow_private=False)


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", mixed)
    with pytest.raises(ClipError, match=r"two\.example is 10\.0\.0\.1"):
        resolve_host("two.example", 80, allow_private=False)
