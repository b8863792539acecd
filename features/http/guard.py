"""Checked addresses, and sockets with deadlines that end early when the run is stopped."""

from __future__ import annotations

import ipaddress
import math
import os
import select
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from features.base.errors import ClipError
from features.base.parallel import STOPPING, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

# Ranges that the standard library calls global, but that serve no public media.
_RELAYS_OF_6TO4 = ipaddress.ip_network("192.88.99.0/24")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_TUNNELS_6TO4 = ipaddress.ip_network("2002::/16")
# Translates to IPv4 (RFC 6052); the last 32 bits are the address that is reached.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Longest wait of a socket before it checks for a stopped run.
SLICE_SECONDS = 0.25


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


def resolve_host(host: str, port: int, *, allow_private: bool) -> list[tuple[int, str]]:
    """Return (address family, address) of a host, in the system's order of preference, each checked.

    The caller must connect to one of these and not resolve the name again: the second answer may differ (DNS
    rebinding).

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


class Guard:
    """The deadlines of one request.

    Args:
        timeout_seconds: Limit of the headers as a whole, and of each wait for data.
        max_seconds: Limit of the whole request, from now.
    """

    def __init__(self, timeout_seconds: float, max_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self.ends_at = time.monotonic() + max_seconds
        self._headers_end_at = math.inf
        self._in_headers = True

    def headers_are_here(self) -> None:
        """End the limit of the headers: from here on the request's limit applies."""
        self._in_headers = False

    def wait_until(self) -> float:
        """Return the monotonic deadline of a wait that begins now."""
        now = time.monotonic()
        if not self._in_headers:
            return min(now + self.timeout_seconds, self.ends_at)
            # On a reused connection the time counts from the first read, not from the opening.
        self._headers_end_at = min(self._headers_end_at, now + self.timeout_seconds, self.ends_at)
        return self._headers_end_at


_local = threading.local()


@contextmanager
def guarded(guard: Guard) -> Iterator[None]:
    """Apply ``guard`` to every socket that this thread reads inside the context."""
    _local.guard = guard
    try:
        yield
    finally:
        del _local.guard


def check_stopping() -> None:
    """Raise when the run is being stopped.

    Raises:
        StoppedError: Work in progress must not become an outcome.
    """
    if STOPPING.is_set():
        raise StoppedError("the run was stopped")


def _receive(opened: socket.socket, receive: Callable[[], int]) -> int:
    """Return what ``receive`` returns, called in slices of time until the guard's limit.

    Raises:
        TimeoutError: The deadline has passed.
        StoppedError: The run is being stopped.
    """
    guard: Guard = _local.guard
    until = guard.wait_until()
    while True:
        check_stopping()
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        slice_seconds = min(left, SLICE_SECONDS)
        # Each change is a system call.
        if opened.gettimeout() != slice_seconds:
            opened.settimeout(slice_seconds)
        try:
            return receive()
        except TimeoutError:
            continue


class GuardedSocket(socket.socket):
    """A socket whose reads obey the deadlines of the thread's guard."""

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Return the number of bytes read into ``buffer``."""
        return _receive(self, lambda: super(GuardedSocket, self).recv_into(buffer, nbytes, flags))


class GuardedTlsSocket(ssl.SSLSocket):
    """The same for TLS; the handshake as a whole obeys the socket's own timeout."""

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """Return the number of bytes read into ``buffer``."""
        return _receive(self, lambda: super(GuardedTlsSocket, self).recv_into(buffer, nbytes, flags))


def connect(addresses: list[tuple[int, str]], port: int, timeout_seconds: float) -> GuardedSocket:
    """Return a connection to the first of ``addresses`` that answers.

    Raises:
        OSError: None of them does within the time, which is for all of them.
        StoppedError: The run is being stopped.
    """
    until = time.monotonic() + timeout_seconds
    last = OSError("the name has no address")
    for family, address in addresses:
        opened = GuardedSocket(family, socket.SOCK_STREAM)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _connect(opened, (address, port), until)
            opened.settimeout(timeout_seconds)
        except OSError as error:
            opened.close()
            last = error
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise last


def _connect(opened: socket.socket, address: tuple[str, int], until: float) -> None:
    opened.settimeout(max(min(until - time.monotonic(), SLICE_SECONDS), 0.001))
    try:
        opened.connect(address)
    except TimeoutError:
        # The connection attempt continues in the background; the socket becomes writable when it has ended either way.
        watcher = select.poll()
        watcher.register(opened, select.POLLOUT)
        while not watcher.poll(SLICE_SECONDS * 1000):
            check_stopping()
            if time.monotonic() > until:
                raise
        number = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number)) from None
