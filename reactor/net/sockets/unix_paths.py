"""Unix socket paths, which outlive their sockets.

bind(2) makes a file, and nobody removes it: not close(2), not a crash.  The next bind then says "in use",
although nobody is there.  So a server that finds a file in its place must find out whether it is stale, and
there is one way to ask: connect.  A socket file that *refuses* has no socket behind it any more and is removed;
a file that answers in any other way stays, and so does whatever is no socket.

For the same reason a server removes its file when it closes, but only if it is still its own: somebody may have
removed it meanwhile and put a new server in its place.  Device and inode number tell.  Between looking and
removing remains a moment in which another process may do the same; flock(2) on a file beside it is the only
cure, and rarely worth it.

Names in the abstract namespace ("@name", Linux) have no file and none of these troubles.  Read next: ``opening``.
"""

from __future__ import annotations

import errno
import os
import socket

from reactor.errors import BindFailed, os_error_text
from reactor.net.sockets.addresses import format_address, is_abstract

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from reactor.ops import Ops

#: What connect(2) says of a Unix socket that somebody serves: nothing, "queue full", or "of another kind".
ANSWERED = frozenset({0, errno.EAGAIN, errno.EINPROGRESS, errno.EPROTOTYPE})


def bind_unix_path(ops: Ops, sock: socket.socket, path: str | bytes, replace_stale: bool) -> None:
    """Bind *sock* to *path*, from ``checked_unix_path``; with *replace_stale* remove a stale file first.

    Raises BindFailed (EADDRINUSE) that says what is in the way, and OSError as bind(2).
    """
    try:
        sock.bind(path)
    except OSError as exc:
        if exc.errno != errno.EADDRINUSE:
            raise
        obstacle = _obstacle(ops, sock.type, path, replace_stale)
        if obstacle is not None:
            text = f"cannot bind {format_address(path)}: {os_error_text(exc)}: {obstacle}"
            raise BindFailed(exc.errno, text) from exc
        sock.bind(path)


def _obstacle(ops: Ops, kind: int, path: str | bytes, replace_stale: bool) -> str | None:
    """Say what stands at *path*; None if it was stale and has been removed."""
    identity = ops.path_identity(path)
    if is_abstract(path):
        return "another socket has this name"
    if identity is None:
        return None
    if not ops.is_socket_path(path):
        return "there is a file that is not a socket; remove it yourself if it is not needed"
    number = _probe(ops, kind, path)
    if number == errno.ENOENT:
        return None
    if number != errno.ECONNREFUSED:
        if number in ANSWERED:
            return "somebody serves it"
        return f"whether anybody serves it cannot be found out: {os.strerror(number)}"
    if not replace_stale:
        return "nobody serves it; remove it, or set replace_stale"
    remove_unix_path(ops, path, identity)
    return None


def _probe(ops: Ops, kind: int, path: str | bytes) -> int:
    """Return the errno of connecting to *path*, 0 if that succeeds."""
    probe = ops.socket(socket.AF_UNIX, kind)
    try:
        return probe.connect_ex(path)
    finally:
        probe.close()


def remove_unix_path(ops: Ops, path: str | bytes, identity: tuple[int, int] | None) -> None:
    """Remove *path* if it is still the file that ``ops.path_identity`` told to be *identity*; never raises OSError.

    Somebody else may have removed it and bound a socket of his own to the path since.
    """
    if identity is None or is_abstract(path) or ops.path_identity(path) != identity:
        return
    try:
        ops.unlink(path)
    except OSError:
        pass
