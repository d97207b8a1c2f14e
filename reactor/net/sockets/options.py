"""What is told to an open socket, and what is asked of it.

One ``SocketOptions`` holds the settings of a listener and of all its connections, or of one client.  What they
mean in system calls is worked out once for each family, as a table of ``setsockopt`` arguments; a connection
then costs one call for each row, which with the defaults is a single one: TCP_NODELAY.  Nagle's algorithm is
off because the streams of this package already collect small writes, and its delay would come on top.

A setting that a family does not know (TCP_NODELAY of a Unix socket) is left out; one that the caller asked for
and this platform lacks, or the kernel refuses, is an OptionError, because to go on without it would be a
surprise later.

Read next: ``opening``, which opens sockets with these options.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from reactor.arguments import LARGEST_INT, checked_flag, checked_whole
from reactor.errors import ArgumentError, OptionError, os_error_text
from reactor.limits import KEEPALIVE_COUNT, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypedDict

    #: Level, name and value for setsockopt(2), and the argument of SocketOptions that it comes from.
    Setting = tuple[int, int, int, str]

    class SocketKeywords(TypedDict, total=False):
        """The keywords of ``SocketOptions``, for those who pass them on."""

        nodelay: bool
        keepalive: bool | tuple[int, int, int]
        user_timeout: float | None
        reuse_address: bool | None
        reuse_port: bool
        receive_buffer: int | None
        send_buffer: int | None
        broadcast: bool

INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})

#: What the three numbers of *keepalive* set: each may be missing, and has a largest value in Linux, see tcp(7).
KEEPALIVE_NAMES = (
    "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE",  # its name on macOS
    "TCP_KEEPINTVL",
    "TCP_KEEPCNT",
)
KEEPALIVE_LARGEST = (32_767, 32_767, 127)

#: A connection that the peer has reset already refuses settings on some systems; the next read will tell.
DEAD = frozenset({errno.EINVAL, errno.ECONNRESET, errno.ENOTCONN})


class SocketOptions:
    """Settings for sockets, checked when made, then applied to any number of them.  Immutable by convention.

    *nodelay* sends small packets at once (TCP_NODELAY).  *keepalive* probes a silent peer: True with the
    defaults of ``reactor.limits``, or ``(idle, interval, count)``: seconds, seconds, probes.  *user_timeout* is
    how many seconds sent bytes may stay unacknowledged before the connection is dropped (TCP_USER_TIMEOUT, left
    out where it is missing).

    *reuse_address* lets a server start again while connections of its predecessor linger; None means yes for
    listeners and no for datagrams, where it would let another program take the port as well.  *reuse_port*
    shares one port among several sockets, each with its queue.  *receive_buffer* and *send_buffer* are sizes in
    bytes (Linux doubles them, and cuts them to ``net.core.rmem_max``); a size that is set ends the kernel's own
    tuning.  *broadcast* permits IPv4 datagrams to broadcast addresses.  See socket(7) and tcp(7).

    Raises OptionError for a value out of range, and for *reuse_port* where the system does not have it.
    """

    __slots__ = (
        "_tables", "broadcast", "keepalive", "nodelay", "receive_buffer", "reuse_address", "reuse_port",
        "send_buffer", "user_timeout",
    )  # fmt: skip

    def __init__(
        self,
        *,
        nodelay: bool = True,
        keepalive: bool | tuple[int, int, int] = False,
        user_timeout: float | None = None,
        reuse_address: bool | None = None,
        reuse_port: bool = False,
        receive_buffer: int | None = None,
        send_buffer: int | None = None,
        broadcast: bool = False,
    ) -> None:
        self.nodelay = checked_flag("nodelay", nodelay)
        self.keepalive = _checked_keepalive(keepalive)
        self.user_timeout = _checked_timeout(user_timeout)
        self.reuse_address = None if reuse_address is None else checked_flag("reuse_address", reuse_address)
        self.reuse_port = checked_flag("reuse_port", reuse_port)
        self.receive_buffer = _checked_size("receive_buffer", receive_buffer)
        self.send_buffer = _checked_size("send_buffer", send_buffer)
        self.broadcast = checked_flag("broadcast", broadcast)
        self._tables: dict[int, tuple[Setting, ...]] = {}
        if reuse_port and not hasattr(socket, "SO_REUSEPORT"):
            raise OptionError("reuse_port: this system has no SO_REUSEPORT; use one listener, and share its socket")

    def __repr__(self) -> str:
        values = (f"{name}={getattr(self, name)!r}" for name in sorted(self.__slots__) if name[0] != "_")
        return f"SocketOptions({', '.join(values)})"

    def apply_stream(self, sock: socket.socket) -> None:
        """Set up a socket that is connected or about to be.  Raises OptionError for what the kernel refuses."""
        for level, name, value, argument in self.stream_settings(sock.family):
            try:
                sock.setsockopt(level, name, value)
            except OSError as exc:
                if exc.errno not in DEAD:
                    raise _refused(argument, value, exc) from exc

    def apply_listener(self, sock: socket.socket) -> None:
        """Set up a stream socket before it is bound.  Raises OptionError for what the kernel refuses."""
        _apply(sock, self._listener_settings(sock.family))

    def apply_datagram(self, sock: socket.socket) -> None:
        """Set up a datagram socket before it is bound.  Raises OptionError for what the kernel refuses."""
        _apply(sock, self._datagram_settings(sock.family))

    def stream_settings(self, family: int) -> tuple[Setting, ...]:
        """Return the rows that ``apply_stream`` sets on a socket of *family*; worked out once."""
        try:
            return self._tables[family]
        except KeyError:
            table = (*self._buffers(), *(self._tcp_settings() if family in INTERNET else ()))
            return self._tables.setdefault(family, table)

    def _tcp_settings(self) -> list[Setting]:
        table = []
        if self.nodelay:
            table.append((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1, "nodelay"))
        if self.keepalive is not None:
            table.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1, "keepalive"))
            for name, value in zip(KEEPALIVE_NAMES, self.keepalive, strict=True):
                option = getattr(socket, name, None)
                if option is not None:
                    table.append((socket.IPPROTO_TCP, option, value, "keepalive"))
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if self.user_timeout is not None and option is not None:
            table.append((socket.IPPROTO_TCP, option, int(self.user_timeout * 1000), "user_timeout"))
        return table

    def _listener_settings(self, family: int) -> list[Setting]:
        return [*self._buffers(), *(self._sharing(self.reuse_address is not False) if family in INTERNET else ())]

    def _datagram_settings(self, family: int) -> list[Setting]:
        table = self._buffers()
        if family in INTERNET:
            table += self._sharing(self.reuse_address is True)
        if self.broadcast and family == socket.AF_INET:
            table.append((socket.SOL_SOCKET, socket.SO_BROADCAST, 1, "broadcast"))
        return table

    def _sharing(self, reuse_address: bool) -> list[Setting]:
        table = []
        # Windows calls by the same name what lets any program take over a port in use.
        if reuse_address and os.name == "posix":
            table.append((socket.SOL_SOCKET, socket.SO_REUSEADDR, 1, "reuse_address"))
        if self.reuse_port:
            table.append((socket.SOL_SOCKET, socket.SO_REUSEPORT, 1, "reuse_port"))
        return table

    def _buffers(self) -> list[Setting]:
        sizes = (
            (socket.SO_RCVBUF, self.receive_buffer, "receive_buffer"),
            (socket.SO_SNDBUF, self.send_buffer, "send_buffer"),
        )
        return [(socket.SOL_SOCKET, option, size, name) for option, size, name in sizes if size is not None]


def options_for(verb: str, given: SocketKeywords, own: Iterable[str]) -> SocketOptions:
    """Return the SocketOptions that *verb* was *given* as keywords beyond those of its *own*.

    Raises ArgumentError for a keyword that neither has; it names the verb and what may have been meant.  Raises
    OptionError as ``SocketOptions``.
    """
    known = SocketOptions.__init__.__kwdefaults__ or {}
    for name in given:
        if name not in known:
            raise ArgumentError(f"{verb}() has no keyword {name!r}{_advice(name, [*own, *known])}")
    return SocketOptions(**given)


#: Keywords that other libraries have, and what takes their place here.
ELSEWHERE = {
    "happy_eyeballs_delay": "; it is called 'attempt_delay' here",
    "sock": "; adopt_listener(), adopt_stream() and adopt_datagram() take over an open socket",
}


def _advice(name: str, known: list[str]) -> str:
    """Return the end of a sentence about the unknown keyword *name*: what to write instead."""
    if name.startswith(("ssl", "tls", "server_hostname")):
        return ": TLS is not there yet; put a proxy that ends TLS (stunnel, HAProxy, nginx) in front"
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    import difflib  # here, because only a mistake needs it

    nearest = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; it has {', '.join(sorted(known))}"


def _apply(sock: socket.socket, settings: list[Setting]) -> None:
    for level, name, value, argument in settings:
        try:
            sock.setsockopt(level, name, value)
        except OSError as exc:
            raise _refused(argument, value, exc) from exc


def _refused(argument: str, value: int, exc: OSError) -> OptionError:
    return OptionError(f"{argument}: the system refuses {value}: {os_error_text(exc)}")


def _checked_keepalive(keepalive: bool | tuple[int, int, int]) -> tuple[int, int, int] | None:
    if isinstance(keepalive, bool):
        return (KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT) if keepalive else None
    try:
        idle, interval, count = keepalive
        if all(0 < value <= largest for value, largest in zip(keepalive, KEEPALIVE_LARGEST, strict=True)):
            return int(idle), int(interval), int(count)
    except (TypeError, ValueError):
        pass
    raise OptionError(
        "keepalive is True, False or (idle seconds, interval seconds, count), positive and at most "
        f"{KEEPALIVE_LARGEST}, not {keepalive!r}"
    )


def _checked_timeout(timeout: float | None) -> float | None:
    if timeout is not None and not (isinstance(timeout, int | float) and 0.001 <= timeout <= 86_400):
        raise OptionError(f"user_timeout is a number of seconds from 0.001 to 86400, or None, not {timeout!r}")
    return timeout


def _checked_size(name: str, size: int | None) -> int | None:
    checked: int | None = checked_whole(name, size, 1, LARGEST_INT, what="number of bytes", none=True)
    return checked


#: What sockets have unless they are told otherwise.
DEFAULT_OPTIONS = SocketOptions()


#: ``struct ucred``: pid, uid, gid.
UCRED = struct.Struct("iII")


class PeerCredentials:
    """Who is at the other end of a Unix socket: the process, user and group as they were when it connected.

    A pid of 0 is a process outside this pid namespace.
    """

    __slots__ = ("gid", "pid", "uid")

    def __init__(self, pid: int, uid: int, gid: int) -> None:
        self.pid = pid
        self.uid = uid
        self.gid = gid

    def __repr__(self) -> str:
        return f"PeerCredentials(pid={self.pid}, uid={self.uid}, gid={self.gid})"


def peer_credentials(sock: socket.socket) -> PeerCredentials:
    """Return who is at the other end of *sock*, a connected Unix stream socket: the kernel's word, not the peer's.

    See SO_PEERCRED in unix(7).  Raises OptionError for other sockets and where the system has no such option, and
    OSError as getsockopt(2).
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or sock.family != socket.AF_UNIX:
        raise OptionError("peer credentials are known of Unix sockets on Linux only: authenticate the peer")
    return PeerCredentials(*UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, option, UCRED.size)))


def set_reset_on_close(sock: socket.socket) -> None:
    """Have ``sock.close()`` drop what is unsent and reset the connection (SO_LINGER with a timeout of zero).

    Does nothing to a socket that is dead already.  See socket(7).
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError as exc:
        if exc.errno not in DEAD:
            raise
