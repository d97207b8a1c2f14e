"""As whom the other end of a connection is remembered, before it has said who it is.

Limits for each client need a name for the client that it cannot change at will, and an address of a socket is
not yet one: the port is another for each connection, and whoever has one IPv6 address mostly has all of the
2**64 that begin with the same 64 bits.  On a Unix socket there is no address at all, but the kernel knows the
user.

The rejected choice is the whole IPv6 address: one machine would then be more clients than any table has room for.
Read next: ``gate``.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reactor.net.stream.transport import Transport

#: How an IPv6 socket that takes IPv4 as well writes an IPv4 client: ::ffff:192.0.2.1.
MAPPED = bytes(10) + b"\xff\xff"


def peer_identity(transport: Transport) -> object:
    """Return a value that is the same for all connections of one party, as far as that can be known.

    It is an IPv4 address, the first 64 bits of an IPv6 address, or the user id at the other end of a Unix socket.
    Whoever cannot be told apart has the same identity, None.
    """
    address = transport.get_extra_info("peername")
    if isinstance(address, tuple):
        return _network_of(address[0])
    credentials = transport.get_extra_info("peercred")
    return None if credentials is None else ("uid", credentials.uid)


def _network_of(host: str) -> bytes | str:
    try:
        if ":" not in host:
            return socket.inet_pton(socket.AF_INET, host)
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return host
    return packed[12:] if packed.startswith(MAPPED) else packed[:8]
