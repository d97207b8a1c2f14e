"""Multicast: one datagram for everybody who has joined its group.

A group is an address that belongs to no machine: 224.0.0.0 to 239.255.255.255, or an IPv6 address that begins
with ff.  To receive, a socket is bound to the group's port and joins the group *on an interface*: the kernel
then tells the network there, and hands over what arrives.  To send, nothing is joined, but an interface is
chosen, and how far the datagram may travel: not beyond the local network unless told otherwise.

The two families have the same five options under different names, levels and layouts; they stand here side by
side, see ip(7) and ipv6(7).  Read next: ``destinations``, then ``endpoint``.
"""

from __future__ import annotations

import errno
import socket
import struct

from reactor.arguments import LARGEST_INT, checked_flag, checked_whole, shown
from reactor.errors import AddressError, BindFailed, os_error_text
from reactor.net.sockets.addresses import numeric_family

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import NoReturn

    from reactor.net.shared import Shared
    from reactor.ops import Ops

    #: An interface: its number, its name ("eth0"), or its IPv4 address; None lets the routing table decide.
    Interface = int | str | None

LEVEL = {socket.AF_INET: socket.IPPROTO_IP, socket.AF_INET6: socket.IPPROTO_IPV6}
JOIN = {socket.AF_INET: socket.IP_ADD_MEMBERSHIP, socket.AF_INET6: socket.IPV6_JOIN_GROUP}
LEAVE = {socket.AF_INET: socket.IP_DROP_MEMBERSHIP, socket.AF_INET6: socket.IPV6_LEAVE_GROUP}
SEND_FROM = {socket.AF_INET: socket.IP_MULTICAST_IF, socket.AF_INET6: socket.IPV6_MULTICAST_IF}
DISTANCE = {socket.AF_INET: socket.IP_MULTICAST_TTL, socket.AF_INET6: socket.IPV6_MULTICAST_HOPS}
LOOP = {socket.AF_INET: socket.IP_MULTICAST_LOOP, socket.AF_INET6: socket.IPV6_MULTICAST_LOOP}

#: What a person can do about some answers.
ADVICE = {
    errno.ENODEV: ": no interface fits; name one that is up",
    errno.EADDRINUSE: ": it is a member already",
    errno.EADDRNOTAVAIL: ": it is not a member, or no interface has that address",
    errno.ENOBUFS: ": too many groups; see net.ipv4.igmp_max_memberships",
}


class MulticastMember:
    """What an endpoint can do about multicast; it brings its socket and its shared."""

    __slots__ = ()

    _shared: Shared
    _sock: socket.socket

    def join_group(self, group: str, interface: Interface = None) -> None:
        """Receive what is sent to *group*, a multicast address, on *interface*: number, name, or IPv4 address.

        Raises AddressError if *group* is no such address, BindFailed (ENODEV, EADDRINUSE...) if the kernel refuses,
        WrongThread and ReactorClosed.
        """
        self._shared.loop.check()
        join_group(self._shared.ops, self._sock, group, interface)

    def leave_group(self, group: str, interface: Interface = None) -> None:
        """Stop receiving what is sent to *group*; *interface* and errors as for ``join_group``."""
        self._shared.loop.check()
        leave_group(self._shared.ops, self._sock, group, interface)

    def set_multicast(
        self, *, interface: Interface = None, hops: int | None = None, loop: bool | None = None
    ) -> None:
        """Choose for multicast datagrams the *interface* they leave by, how many *hops* they travel (1: this
        network), and whether they *loop* back to this machine; None changes nothing.

        Raises OptionError, BindFailed, WrongThread and ReactorClosed.
        """
        self._shared.loop.check()
        # All of them before the interface is changed: a refused call changes nothing.
        checked_interface(interface)
        checked_whole("hops", hops, 0, 255, none=True)
        if loop is not None:
            loop = checked_flag("loop", loop)
        if interface is not None:
            set_interface(self._shared.ops, self._sock, interface)
        if hops is not None:
            set_distance(self._sock, hops)
        if loop is not None:
            set_loop(self._sock, loop)


def join_group(ops: Ops, sock: socket.socket, group: str, interface: Interface = None) -> None:
    """Receive what is sent to *group*, on *interface*.

    Raises AddressError if *group* is no multicast address, BindFailed (ENODEV, EADDRINUSE...) if the kernel
    refuses.
    """
    _change_membership(ops, sock, JOIN, "join", group, interface)


def leave_group(ops: Ops, sock: socket.socket, group: str, interface: Interface = None) -> None:
    """Stop receiving what is sent to *group*; same *interface* and errors as for ``join_group``."""
    _change_membership(ops, sock, LEAVE, "leave", group, interface)


def set_interface(ops: Ops, sock: socket.socket, interface: Interface) -> None:
    """Send multicast datagrams out of *interface*.  Raises BindFailed if there is none such."""
    family = sock.family
    try:
        value = _request(ops, family, b"", interface)
        sock.setsockopt(LEVEL[family], SEND_FROM[family], value)
    except OSError as exc:
        _refuse(f"send multicast from {interface!r}", exc)


def set_distance(sock: socket.socket, hops: int) -> None:
    """Let multicast datagrams pass *hops* - 1 routers, 0 to 255; 1 is this network, the default; 0 this machine."""
    checked_whole("hops", hops, 0, 255)
    sock.setsockopt(LEVEL[sock.family], DISTANCE[sock.family], hops)


def set_loop(sock: socket.socket, flag: bool) -> None:
    """Let multicast datagrams come back to the members on this machine, or not; the default is yes."""
    sock.setsockopt(LEVEL[sock.family], LOOP[sock.family], int(checked_flag("loop", flag)))


def _change_membership(
    ops: Ops,
    sock: socket.socket,
    options: dict[socket.AddressFamily, int],
    verb: str,
    group: str,
    interface: Interface,
) -> None:
    checked_interface(interface)
    family = numeric_family(group) if isinstance(group, str) else 0
    raw = socket.inet_pton(family, group.partition("%")[0]) if family else b"\0"
    if not (raw[0] == 0xFF if family == socket.AF_INET6 else 224 <= raw[0] <= 239):
        raise AddressError(f"{shown(group)} is no multicast address: take one of 224.0.0.0/4 or ff00::/8")
    known = socket.AddressFamily(family)
    try:
        sock.setsockopt(LEVEL[known], options[known], _request(ops, family, raw, interface))
    except OSError as exc:
        _refuse(f"{verb} {group} on {interface or 'the default interface'}", exc)


def checked_interface(interface: Interface) -> Interface:
    """Return *interface* if it can be one.  Raises OptionError."""
    if not isinstance(interface, str):
        checked_whole("interface", interface, 0, LARGEST_INT, what="number, a name or an IPv4 address", none=True)
    return interface


def _request(ops: Ops, family: int, group: bytes, interface: Interface) -> bytes:
    """Return the structure that the kernel wants: group, if any, and interface."""
    if family == socket.AF_INET and isinstance(interface, str) and numeric_family(interface) == family:
        return group + socket.inet_pton(family, interface)  # struct ip_mreq
    index = ops.interface_index(interface) if isinstance(interface, str) else interface or 0
    if family == socket.AF_INET6:
        return group + struct.pack("@I", index)  # struct ipv6_mreq
    if not index:
        return group + bytes(4)
    return (group or bytes(4)) + bytes(4) + struct.pack("@i", index)  # struct ip_mreqn


def _refuse(what: str, exc: OSError) -> NoReturn:
    raise BindFailed(exc.errno, f"cannot {what}: {os_error_text(exc)}{ADVICE.get(exc.errno or 0, '')}") from exc
