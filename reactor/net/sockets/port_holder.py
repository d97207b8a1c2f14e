"""Who holds a port: the question behind every "Address already in use".

The kernel says that somebody has the port, not who.  On Linux the answer is in proc(5), in two steps:
``/proc/net/tcp`` and its siblings list all sockets with their local address and inode; and the descriptors of
each process are links such as ``socket:[4711]``, with that inode.  The second step sees only processes of the
same user, unless it is root; then the first still tells which user it is.

This runs once, when a bind has failed, and it never fails itself: no answer is an answer.  Read next: ``opening``.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from reactor.ops import Ops

#: The tables of sockets for each kind, and the state in which a socket holds its port for itself: TCP_LISTEN,
#: and for UDP the TCP_CLOSE that all unconnected sockets are in.
TABLES = {
    socket.SOCK_STREAM: (("tcp", "tcp6"), "0A"),
    socket.SOCK_DGRAM: (("udp", "udp6"), "07"),
}

MAPPED = b"\0" * 10 + b"\xff\xff"
ANYWHERE = frozenset({b"\0" * 16, MAPPED + b"\0" * 4})


def find_port_holder(ops: Ops, kind: int, host: str, port: int) -> str | None:
    """Return who keeps *host* (a numeric address) and *port* from being bound, None if that cannot be found out.

    The answer is a piece of a sentence: "nginx (pid 812)", "this process", "a process of user id 33".
    """
    try:
        wanted = _packed(host)
        for local, local_port, uid, inode in _sockets(ops, kind):
            if local_port == port and (local == wanted or local in ANYWHERE or wanted in ANYWHERE):
                return _owner_of(ops, inode) or f"a process of user id {uid}"
    except (OSError, ValueError, IndexError):
        pass
    return None


def _packed(host: str) -> bytes:
    """Return *host* as the sixteen bytes of an IPv6 address, mapped if it is an IPv4 address."""
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return MAPPED + socket.inet_pton(socket.AF_INET, host)


def _sockets(ops: Ops, kind: int) -> Iterator[tuple[bytes, int, int, str]]:
    """Yield local address, port, user id and inode of each socket of *kind* that holds its port."""
    tables, state = TABLES[socket.SocketKind(kind)]
    for table in tables:
        try:
            lines = ops.read_file(f"/proc/net/{table}").decode("ascii").splitlines()
        except OSError:
            continue
        for line in lines[1:]:
            columns = line.split()
            if columns[3] == state:
                address, _, port = columns[1].partition(":")
                yield _unpacked(address), int(port, 16), int(columns[7]), columns[9]


def _unpacked(digits: str) -> bytes:
    """Return an address from its digits: the kernel prints each four bytes as one integer of this machine."""
    words = (int(digits[start : start + 8], 16) for start in range(0, len(digits), 8))
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return raw if len(raw) == 16 else MAPPED + raw


def _owner_of(ops: Ops, inode: str) -> str | None:
    """Return the process that has the socket *inode* open; the oldest of those that share it."""
    mark = f"socket:[{inode}]"
    for pid in sorted(int(name) for name in ops.list_folder("/proc") if name.isdigit()):
        if _has_open(ops, pid, mark):
            if ops.read_link("/proc/self") == str(pid):
                return "this process"
            name = ops.read_file(f"/proc/{pid}/comm").decode("utf-8", "replace").strip()
            return f"{name} (pid {pid})"
    return None


def _has_open(ops: Ops, pid: int, mark: str) -> bool:
    """Return True if a descriptor of process *pid* is *mark*; no, where it cannot be seen."""
    folder = f"/proc/{pid}/fd"
    try:
        fds = ops.list_folder(folder)
    except OSError:
        return False
    for fd in fds:
        try:
            if ops.read_link(f"{folder}/{fd}") == mark:
                return True
        except OSError:
            continue  # closed while we were looking
    return False
