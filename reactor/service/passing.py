"""Descriptors in a message: how one process gives an open socket to another that runs already (unix(7)).

A descriptor is a number in one process.  Written beside a message on a Unix socket (SCM_RIGHTS), the kernel makes
of it a new number in the receiver, for the same open file: as ``dup`` does, across processes.  The rules:

- **The sender keeps its own** and may close it as soon as ``send_descriptors`` has returned; what is under way is
  kept open by the message itself.
- **The receiver owns what it receives**, and has a leak for each number that it does not close.  So what arrives is
  wrapped at once, in a ``Parcel``, which closes what nobody has taken out of it.
- **What was not asked for is not kept.**  A peer may add descriptors to any message.  Whoever reads with ``recv``
  has them closed by the kernel; here they are counted, and closed if they are too many.
- **Truncation is loss.**  If there was no room for all, or this process is out of descriptors, the kernel drops the
  rest and sets MSG_CTRUNC.  Which are missing nobody can tell, so all are closed, and that is an error.
- **They are not handed on**: each is close-on-exec from the moment in which it exists (MSG_CMSG_CLOEXEC), so that
  no ``fork`` and ``exec`` of another thread comes between.

The rejected choice, ``socket.recv_fds``, leaves all five to its caller.  The sockets may be streams or seqpackets;
on a stream the descriptors come with the first byte of what was sent with them.  Read next: ``handover``.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from reactor.errors import DescriptorsLost, OptionError

#: Descriptors that one message can carry (SCM_MAX_FD of Linux).
MOST = 253

#: Bytes of a C int, which is what a descriptor is in a message.
INT_BYTES = array.array("i").itemsize

_CLOEXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Parcel:
    """A message and the descriptors that came with it, which it owns until they are taken.

    ``data`` is b"" at the end of the connection.  Close it, or use it with ``with``.
    """

    __slots__ = ("_fds", "data")

    def __init__(self, data: bytes, fds: list[int]) -> None:
        self.data = data
        self._fds = fds

    def __len__(self) -> int:
        return len(self._fds)

    def take(self) -> list[int]:
        """Return the descriptors, which are the caller's own from now on."""
        fds, self._fds = self._fds, []
        return fds

    def close(self) -> None:
        """Close what was not taken.  Idempotent."""
        close_all(self.take())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        """What nobody wanted is no leak."""
        if hasattr(self, "_fds"):
            self.close()


def send_descriptors(channel: socket.socket, data: bytes, files: Iterable[Any]) -> int:
    """Send *data*, one byte at least, with *files* (descriptors, or objects with ``fileno()``) over a Unix socket.

    Return how many bytes of *data* were sent: maybe not all on a stream, and the rest is to be sent without the
    files.  Raises OptionError for no data or too many files, BlockingIOError if a non-blocking *channel* takes
    nothing now, OSError as sendmsg(2).  Nothing was sent then.
    """
    fds = array.array("i", [file if isinstance(file, int) else file.fileno() for file in files])
    if not data:
        raise OptionError("descriptors travel with at least one byte of data: a stream carries none without")
    if len(fds) > MOST:
        raise OptionError(f"one message carries at most {MOST} descriptors, not {len(fds)}")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else []
    return channel.sendmsg([data], rights)


def receive_descriptors(channel: socket.socket, size: int, most: int) -> Parcel:
    """Receive at most *size* bytes and *most* descriptors.

    Raises DescriptorsLost if more were sent, or if this process has no room for them: what came was closed.  Raises
    BlockingIOError if a non-blocking *channel* has nothing now, OSError as recvmsg(2).
    """
    if not 0 <= most <= MOST:
        raise OptionError(f"one message carries at most {MOST} descriptors: ask for 0 to {MOST}, not {most!r}")
    room = socket.CMSG_SPACE(most * INT_BYTES) if most else 0
    data, ancillary, flags, _ = channel.recvmsg(size, room, _CLOEXEC)
    fds = [fd for level, kind, payload in ancillary for fd in _rights(level, kind, payload)]
    # Alignment may leave room for one more than was asked for, so they are counted as well.
    if flags & socket.MSG_CTRUNC or len(fds) > most:
        close_all(fds)
        if len(fds) < most:
            reason = "this process has no room for more (ulimit -n), or its peer sent more than it should"
        else:
            reason = f"more than the {most} that are wanted were sent"
        raise DescriptorsLost(f"descriptors that came with a message were closed: {reason}")
    for fd in fds if not _CLOEXEC else ():
        os.set_inheritable(fd, False)
    return Parcel(data, fds)


def _rights(level: int, kind: int, payload: bytes) -> list[int]:
    """Return the descriptors of one piece of ancillary data, none if it is of another kind."""
    if (level, kind) != (socket.SOL_SOCKET, socket.SCM_RIGHTS):
        return []
    fds = array.array("i")
    fds.frombytes(payload[: len(payload) - len(payload) % INT_BYTES])
    return fds.tolist()


def close_all(fds: Iterable[int]) -> None:
    """Close each of *fds*; one that cannot be closed does not keep the others open."""
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass
