"""A descriptor that looks like a socket, as far as asyncore needs one: for pipes, terminals and the like.

The descriptor is duplicated, so that the wrapper can be closed without closing what it was made of.  It is
O_NONBLOCK that cannot be had twice: it belongs to the open file, not to the number, so making a terminal
non-blocking makes it so for everybody who has it.  Read next: ``asyncore.file_dispatcher``.
"""

from __future__ import annotations

import os
import socket
import warnings


class file_wrapper:
    """A duplicate of the descriptor *fd* with the methods of a socket that asyncore calls.

    *fd* stays its owner's.  Raises OSError as dup(2) does.
    """

    fd = -1

    def __init__(self, fd: int) -> None:
        self.fd = os.dup(fd)

    def __del__(self) -> None:
        """Warn if nobody closed it, and close it."""
        if self.fd >= 0:
            warnings.warn(f"unclosed file {self!r}", ResourceWarning, source=self, stacklevel=2)
        self.close()

    def recv(self, size: int) -> bytes:
        """Return at most *size* bytes, b"" at the end.  Raises OSError as read(2) does."""
        return os.read(self.fd, size)

    def send(self, data: bytes) -> int:
        """Write *data* and return how much of it was taken.  Raises OSError as write(2) does."""
        return os.write(self.fd, data)

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> int:
        """Answer the one question that asyncore asks: SO_ERROR is 0.  Raises NotImplementedError for any other."""
        if (level, optname) == (socket.SOL_SOCKET, socket.SO_ERROR) and not buflen:
            return 0
        raise NotImplementedError("a file has no socket options but SO_ERROR, which is 0")

    read = recv
    write = send

    def close(self) -> None:
        """Close the duplicate.  Idempotent, also after a failure."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def fileno(self) -> int:
        """Return the duplicate, -1 after ``close``."""
        return self.fd
