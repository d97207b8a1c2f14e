"""Opening the sockets that wait for somebody: listeners and datagram sockets, for the Internet and for Unix paths.

A listener is four calls (socket, options, bind, listen), and any of them can fail after others have succeeded.
So everything that opens a socket here closes it again before it raises: the caller gets all that he asked for,
or nothing and a BindFailed, with the errno of the system and the reason that a person needs: who has the port,
which file is in the way.

One matter has more policy in it than calls: **all interfaces** means one IPv6 socket that takes IPv4 as well
(IPV6_V6ONLY off), so that there is one queue and one port; where the system has no IPv6, an IPv4 socket.  Several
sockets, for the several addresses of a name, have one port too: with port 0 the first is given one, and the others
must get the same.

Read next: ``protocol`` and ``stream`` for what happens on a connection; ``listener`` opens its sockets here.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable

from reactor.arguments import LARGEST_INT, checked_flag, checked_whole, shown
from reactor.errors import AddressError, ArgumentError, BindFailed, OptionError, ResolutionFailed, os_error_text
from reactor.net.sockets.addresses import (
    checked_host,
    checked_port,
    checked_unix_path,
    format_address,
    is_abstract,
    numeric_family,
)
from reactor.net.sockets.options import (
    DEFAULT_OPTIONS,
    PeerCredentials,
    SocketOptions,
    peer_credentials,
    set_reset_on_close,
)
from reactor.net.sockets.unix_paths import bind_unix_path, remove_unix_path

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

    from reactor.ops import Ops

    #: Family, kind, protocol and socket address: getaddrinfo(3) without the canonical name.
    Target = tuple[int, int, int, Any]

__all__ = [
    "DEFAULT_OPTIONS", "PeerCredentials", "SocketOptions", "adopted_socket", "check_listener",
    "open_datagram_socket", "open_tcp_listeners", "open_unix_listener", "peer_credentials", "remove_unix_path",
    "set_reset_on_close",
]  # fmt: skip

#: How often a common free port for several addresses is looked for before giving up.
PORT_TRIES = 8

#: The address does not exist on this machine, or its family does not: no reason to give up the other addresses of
#: a name ("localhost" where IPv6 is switched off).
UNAVAILABLE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})


# -- listening for TCP -----------------------------------------------------------------------------------------


def open_tcp_listeners(
    ops: Ops,
    host: str | None,
    port: int,
    *,
    backlog: int,
    options: SocketOptions = DEFAULT_OPTIONS,
    dual_stack: bool | None = None,
    addresses: Iterable[Target] | None = None,
) -> list[socket.socket]:
    """Return one listening socket for each address of *host*, all on the same port, or raise and leave nothing
    open.

    *host* None or "" means all interfaces.  *addresses* spares the look-up if the caller knows them; otherwise
    a host that is a name is looked up here and now, which may block.  *port* 0 lets the system choose.

    *dual_stack* None prefers one IPv6 socket that takes IPv4 as well for all interfaces, and keeps the families
    apart for an explicit host; True makes every IPv6 socket take IPv4 and does without the fallback; False
    never does, so that all interfaces are one socket for each family.

    Raises BindFailed (errno of socket(2), bind(2) or listen(2)), ResolutionFailed, OptionError, AddressError.
    """
    checked_port(port)
    checked_whole("backlog", backlog, 0, LARGEST_INT)
    if dual_stack is not None:
        dual_stack = checked_flag("dual_stack", dual_stack)
    is_everywhere = host is None or (isinstance(host, str) and not host)
    if addresses is None and is_everywhere:
        return _listen_everywhere(ops, port, backlog, options, dual_stack)
    if addresses is None:
        addresses = _look_up(ops, checked_host(host or ""), port, socket.SOCK_STREAM)
    targets = list(dict.fromkeys((family, _with_port(address, port)) for family, _, _, address in addresses))
    return _listen_on_all(ops, targets, backlog, options, bool(dual_stack))


def _look_up(ops: Ops, host: str | None, port: int, kind: int) -> list[Target]:
    try:
        found = ops.getaddrinfo(host, port, 0, kind, 0, socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as exc:
        number, text = getattr(exc, "errno", socket.EAI_NONAME), getattr(exc, "strerror", str(exc))
        raise ResolutionFailed(f"{host!r} has no address: {exc}", number, text) from exc
    return [(family, kind, proto, address) for family, kind, proto, _, address in found]


def _with_port(address: Any, port: int) -> Any:
    return (address[0], port, *address[2:])


def _listen_everywhere(
    ops: Ops, port: int, backlog: int, options: SocketOptions, dual_stack: bool | None
) -> list[socket.socket]:
    internet4, internet6 = (socket.AF_INET, ("0.0.0.0", port)), (socket.AF_INET6, ("::", port, 0, 0))
    if dual_stack is False:
        return _listen_on_all(ops, [internet6, internet4], backlog, options, False)
    try:
        # One socket for both: IPv4 clients appear on it with addresses such as ::ffff:192.0.2.1, see ipv6(7).
        return [_listen_on(ops, *internet6, backlog, options, True)]
    except BindFailed as exc:
        if dual_stack or exc.errno not in UNAVAILABLE:
            raise
    return [_listen_on(ops, *internet4, backlog, options, False)]


def _listen_on_all(
    ops: Ops, targets: list[tuple[int, Any]], backlog: int, options: SocketOptions, dual_stack: bool
) -> list[socket.socket]:
    """Listen on every target with one port; if the system chose it and another has it elsewhere, choose again."""
    if not targets:
        raise AddressError("there is no address to listen on")
    tries_left = PORT_TRIES
    while True:
        tries_left -= 1
        opened: list[socket.socket] = []
        try:
            _listen_in_turn(ops, targets, backlog, options, dual_stack, opened)
            return opened
        except BaseException as exc:
            for sock in opened:
                sock.close()
            # The system chose a port that is free for the first address; another program may have it for the next.
            is_collision = isinstance(exc, BindFailed) and exc.errno == errno.EADDRINUSE
            if not (is_collision and opened and targets[0][1][1] == 0 and tries_left):
                raise


def _listen_in_turn(
    ops: Ops,
    targets: list[tuple[int, Any]],
    backlog: int,
    options: SocketOptions,
    dual_stack: bool,
    opened: list[socket.socket],
) -> None:
    unavailable: BindFailed | None = None
    for family, address in targets:
        if opened:  # the first socket has the port by now, which the system may have chosen
            address = _with_port(address, opened[0].getsockname()[1])
        try:
            opened.append(_listen_on(ops, family, address, backlog, options, dual_stack))
        except BindFailed as exc:
            # "localhost" has an IPv6 address also on machines without IPv6.  One address that works is enough.
            if exc.errno not in UNAVAILABLE:
                raise
            unavailable = unavailable or exc
    if unavailable is not None and not opened:
        raise unavailable


def _listen_on(
    ops: Ops, family: int, address: Any, backlog: int, options: SocketOptions, dual_stack: bool
) -> socket.socket:
    def set_up(sock: socket.socket) -> None:
        options.apply_listener(sock)  # before bind(2), which SO_REUSEADDR and SO_REUSEPORT are about
        if family == socket.AF_INET6:
            # Always said, for the default is the machine's (net.ipv6.bindv6only).
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
        sock.bind(address)
        sock.listen(backlog)

    return _opened(ops, family, socket.SOCK_STREAM, address, set_up)


def _opened(
    ops: Ops, family: int, kind: int, address: Any, set_up: Callable[[socket.socket], None]
) -> socket.socket:
    """Return a new socket that *set_up* has made ready for *address*; closed again if that fails."""
    sock: socket.socket | None = None
    try:
        sock = ops.socket(family, kind)
        set_up(sock)
        return sock
    except BaseException as exc:
        if sock is not None:
            sock.close()
        if isinstance(exc, OSError) and not isinstance(exc, BindFailed):
            raise _bind_failed(ops, kind, address, exc) from exc
        if isinstance(exc, OverflowError | TypeError):
            raise AddressError(f"{format_address(address)} is no address of its family: {exc}") from exc
        raise


def _bind_failed(ops: Ops, kind: int, address: Any, exc: OSError) -> BindFailed:
    """Return what tells a person why *address* cannot be had, and what to do about it."""
    reason = _reason(ops, kind, address, exc.errno)
    return BindFailed(exc.errno, f"cannot bind {format_address(address)}: {os_error_text(exc)}{reason}")


def _holder(ops: Ops, kind: int, host: str, port: int) -> str | None:
    """Return who has the port; None if that cannot be found out, or where nothing more can be loaded."""
    try:
        from reactor.net.sockets.port_holder import find_port_holder
    except (ImportError, OSError):
        return None
    return find_port_holder(ops, kind, host, port)


def _reason(ops: Ops, kind: int, address: Any, number: int | None) -> str:
    is_internet = isinstance(address, tuple)
    if number == errno.EADDRINUSE and is_internet:
        holder = _holder(ops, kind, *address[:2]) or "another program"
        return f": {holder} has it; stop that, take another port, or set reuse_port in both"
    if number == errno.EACCES and is_internet and address[1]:
        return ": ports below net.ipv4.ip_unprivileged_port_start (1024) need root or CAP_NET_BIND_SERVICE"
    if number == errno.EACCES:
        return ": the folder does not let this user create a file in it"
    if number == errno.EADDRNOTAVAIL:
        return ": no interface of this machine has that address"
    if number == errno.ENOENT:
        return ": the folder does not exist; create it first"
    return ""


# -- Unix paths ------------------------------------------------------------------------------------------------


def open_unix_listener(
    ops: Ops,
    path: str | bytes | os.PathLike[str],
    *,
    backlog: int,
    mode: int | None = None,
    replace_stale: bool = True,
    options: SocketOptions = DEFAULT_OPTIONS,
    kind: int = socket.SOCK_STREAM,
) -> socket.socket:
    """Return a socket that listens on *path*, or on an abstract name ("@name"), or raise and leave nothing behind.

    *kind* may be SOCK_SEQPACKET instead, where the system has it for Unix sockets: else BindFailed
    (EPROTONOSUPPORT).
    *mode* is set on the file (such as 0o660) before anybody can connect.  With *replace_stale* the socket file
    of a dead process is removed first; a live socket, or a file that is no socket, is left alone and is a
    BindFailed.  Raises AddressError for a path that the system cannot take.
    """
    target = checked_unix_path(path)
    checked_whole("backlog", backlog, 0, LARGEST_INT)
    checked_flag("replace_stale", replace_stale)
    checked_whole("mode", mode, 0, 0o777, what="number: permissions such as 0o660", none=True)

    def set_up(sock: socket.socket) -> None:
        options.apply_listener(sock)
        bind_unix_path(ops, sock, target, replace_stale)
        try:
            # Until listen(2), whoever connects is refused: nobody slips in before the mode is right.
            if mode is not None and not is_abstract(target):
                ops.chmod(target, mode)
            sock.listen(backlog)
        except BaseException:
            remove_unix_path(ops, target, ops.path_identity(target))
            raise

    return _opened(ops, socket.AF_UNIX, kind, target, set_up)


# -- datagrams -------------------------------------------------------------------------------------------------


def open_datagram_socket(
    ops: Ops,
    local: Any = None,
    remote: Any = None,
    *,
    options: SocketOptions = DEFAULT_OPTIONS,
    replace_stale: bool = True,
) -> socket.socket:
    """Return a datagram socket bound to *local* and connected to *remote*, where these are not None.

    Both are ``(host, port)``, for IPv6 perhaps with flow and scope, or both are Unix paths, of which a stale
    *local* one is replaced.  The host "" means every interface: IPv6 and IPv4 in one socket where possible, IPv4
    alone if *options* permit broadcasts, which IPv6 does not have.  Without any address it is an IPv4 socket, to
    send from.  A name is looked up here and now, which may block.

    Raises BindFailed (errno of socket(2), bind(2) or connect(2)), AddressError, OptionError, ResolutionFailed, and
    leaves nothing open.
    """
    unavailable: BindFailed | None = None
    for family, here, there in _datagram_ends(ops, local, remote, options):
        try:
            return _open_datagrams(ops, family, here, there, options, replace_stale)
        except BindFailed as exc:
            if exc.errno not in UNAVAILABLE:
                raise
            unavailable = unavailable or exc
    raise unavailable or AddressError(f"{local!r} and {remote!r} have no address family in common")


def _datagram_ends(ops: Ops, local: Any, remote: Any, options: SocketOptions) -> list[tuple[int, Any, Any]]:
    """Return family, local and remote address of each socket that would do, the best one first."""
    given = [end for end in (local, remote) if end is not None]
    if not given:
        return [(socket.AF_INET, None, None)]
    if not any(isinstance(end, tuple) for end in given):
        for end in given:
            if isinstance(end, str) and any(map(numeric_family, (end, end.rpartition(":")[0].strip("[]")))):
                raise AddressError(f"{end!r} would be the path of a Unix socket: a UDP address is (host, port)")
        here, there = (None if end is None else checked_unix_path(end) for end in (local, remote))
        return [(socket.AF_UNIX, here, there)]
    if not all(isinstance(end, tuple) and len(end) >= 2 for end in given):
        raise AddressError(f"local and remote are both (host, port) or both paths, not {local!r} and {remote!r}")
    heres, theres = (_datagram_targets(ops, end, options) for end in (local, remote))
    if local is None:
        return [(family, None, there) for family, there in theres]
    if remote is None:
        return [(family, here, None) for family, here in heres]
    return [(family, here, there) for family, here in heres for other, there in theres if family == other]


def _datagram_targets(ops: Ops, end: Any, options: SocketOptions) -> list[tuple[int, Any]]:
    if end is None:
        return []
    host, port = end[0], checked_port(end[1])
    if host == "<broadcast>":
        return [(socket.AF_INET, ("255.255.255.255", port))]
    if host:
        found = _look_up(ops, host, port, socket.SOCK_DGRAM)
        return [(family, _with_scope(address, end)) for family, _, _, address in found]
    internet6, internet4 = (socket.AF_INET6, ("::", port, 0, 0)), (socket.AF_INET, ("0.0.0.0", port))
    return [internet4] if options.broadcast else [internet6, internet4]


def _with_scope(address: Any, end: Any) -> Any:
    """Return *address* with flow and scope of *end*, if that is an IPv6 address in full."""
    return (*address[:2], *end[2:]) if len(address) == len(end) == 4 and "%" not in end[0] else address


def _open_datagrams(
    ops: Ops, family: int, local: Any, remote: Any, options: SocketOptions, replace_stale: bool
) -> socket.socket:
    def set_up(sock: socket.socket) -> None:
        options.apply_datagram(sock)
        if local is not None and family == socket.AF_UNIX:
            bind_unix_path(ops, sock, local, replace_stale)
        elif local is not None:
            if local[0] == "::":
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(local)
        if remote is not None:
            _connect_datagrams(ops, sock, local, remote)

    return _opened(ops, family, socket.SOCK_DGRAM, remote if local is None else local, set_up)


def _connect_datagrams(ops: Ops, sock: socket.socket, local: Any, remote: Any) -> None:
    """Fix the peer: for datagrams nothing is sent, so this never waits."""
    try:
        sock.connect(remote)
    except OSError as exc:
        if sock.family == socket.AF_UNIX and local is not None:
            remove_unix_path(ops, local, ops.path_identity(local))
        text = f"cannot send datagrams to {format_address(remote)}: {os_error_text(exc)}"
        raise BindFailed(exc.errno, text) from exc


# -- what somebody else has opened -----------------------------------------------------------------------------


def adopted_socket(
    ops: Ops,
    sock: socket.socket | int,
    kinds: tuple[int, ...],
    options: SocketOptions | None = None,
    *,
    must_listen: bool = False,
) -> socket.socket:
    """Return *sock*, or the socket of that descriptor, non-blocking and with *options*, if it is of one of *kinds*.

    Raises ArgumentError for what is neither, OptionError if it is of another kind, or the number is none of a
    descriptor, and OSError for what is no socket; it stays its owner's then.
    """
    if isinstance(sock, int):
        checked_whole("sock", sock, 0, LARGEST_INT, what="number of a descriptor")
    elif not all(hasattr(sock, name) for name in ("fileno", "setblocking", "type")):
        raise ArgumentError(f"sock is a socket, or the descriptor of one, not {shown(sock)}")
    adopted = ops.socket_from_fd(sock) if isinstance(sock, int) else sock
    try:
        if adopted.type not in kinds:
            wanted = " or ".join(socket.SocketKind(kind).name for kind in kinds)
            raise OptionError(
                f"a socket of kind {wanted} is needed here, not {socket.SocketKind(adopted.type).name}"
            )
        adopted.setblocking(False)
        if must_listen:
            check_listener(adopted)
        if options is not None:
            options.apply_stream(adopted)
    except BaseException:
        if isinstance(sock, int):
            adopted.detach()  # else the socket object closes the caller's descriptor when it is collected
        raise
    return adopted


def check_listener(listener: Any) -> None:
    """Raise ArgumentError, or OptionError, unless connections can be taken from *listener* without waiting."""
    if not all(hasattr(listener, name) for name in ("accept", "fileno", "gettimeout")):
        raise ArgumentError(f"a listener is a listening socket, not {shown(listener)}")
    if listener.gettimeout() != 0:
        # When its queue is empty accept(2) waits for the next client, and with it the whole loop.
        raise OptionError("a listener must not block the loop: call its setblocking(False) first")
    is_real = isinstance(listener, socket.socket) and listener.fileno() >= 0
    if is_real and not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise OptionError(f"{listener!r} does not listen: call its listen() first")
