"""Where one datagram socket may send to.

A socket accepts less than a user may write.  It wants addresses of its own family, in the form of that family;
when it is connected, it takes no other; and given a name instead of a number, Python would look it up there and
then, while everybody waits.  All of that is decided here, before the system is asked, and remembered for the
address that was used last: most endpoints answer whom they have just heard, or talk to one peer.

Read next: ``endpoint``.
"""

from __future__ import annotations

import socket

from reactor.errors import AddressError
from reactor.net.sockets.addresses import (
    checked_port,
    checked_unix_path,
    format_address,
    numeric_family,
    scoped_address,
)

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Destinations:
    """The addresses that a socket of *family*, connected to *remote* (None: to nobody), can send to.

    *interface_index* is ``ops.interface_index``.
    """

    __slots__ = ("_answer", "_asked", "_family", "_interface_index", "_remote")

    def __init__(self, family: int, remote: Any, interface_index: Callable[[str], int]) -> None:
        self._family = family
        self._remote = remote
        self._interface_index = interface_index
        #: What was asked last, and the answer; None is not remembered: it may be no answer at all.
        self._asked: Any = None
        self._answer: Any = None

    def checked(self, address: Any) -> Any:
        """Return *address* as the socket wants it; None for the one it is connected to, which may be given as None.

        Raises AddressError for an address of the wrong form or family, for a name, for another address than the one
        it is connected to, and for None if it is not connected.
        """
        if address is None:
            if self._remote is None:
                raise AddressError("sendto() without an address: this endpoint is connected to none")
            return None
        if address != self._asked:
            if self._remote is None:
                self._answer = self._unconnected(address)
            else:
                self._check_remote(address)
            self._asked = address
        return self._answer

    def _check_remote(self, address: Any) -> None:
        remote = self._remote
        if address != remote and not (isinstance(remote, tuple) and address == remote[:2]):
            raise AddressError(
                f"this endpoint is connected to {format_address(remote)} and cannot send to "
                f"{format_address(address)}: open another one without a remote address"
            )

    def _unconnected(self, address: Any) -> Any:
        if self._family != socket.AF_UNIX:
            return scoped_address(_internet_address(self._family, address), self._interface_index)
        if not isinstance(address, str | bytes):
            raise AddressError(f"a Unix datagram goes to a path, not to {address!r}")
        return checked_unix_path(address)


def _internet_address(family: int, address: Any) -> Any:
    """Return *address* in the form that a socket of *family* sends to.  Raises AddressError."""
    if not (isinstance(address, tuple) and 2 <= len(address) <= 4):
        raise AddressError(f"a datagram goes to (numeric host, port), not {address!r}")
    host, port = address[0], checked_port(address[1])
    if host == "<broadcast>":
        host = "255.255.255.255"
    found = numeric_family(host) if isinstance(host, str) else 0
    if not found:
        raise AddressError(f"{host!r} is not a numeric address; look the name up first: see loop.resolver.lookup")
    if found == family:
        return (host, port, *address[2:])
    if family == socket.AF_INET6:
        return (f"::ffff:{host}", port)
    raise AddressError(f"an IPv4 socket cannot send to {format_address(address)}: bind to '' or '::' for both")
