"""A piece of a file on its way into a stream, without a detour through this process.

sendfile(2) moves bytes from the page cache into a socket inside the kernel.  It goes past all that a stream does
with what is written to it, so the question is how the two are kept in order.  The answer is that a file waits where
bytes wait: it is an entry of the stream's ``outbox``.  What was written before it leaves before it, what is written
meanwhile waits behind it, and ``close`` and ``write_eof`` come after all of that.

A file that is first waits for the socket to be writable, and then sends ``PIECE_BYTES`` at most in a turn, about
ten milliseconds of a slow disk: a file that is not in memory makes sendfile(2) wait for the disk, and with it the
loop.  Its bytes are in nobody's memory, so the watermarks do not count them; Netty counts no FileRegion either.

sendfile(2) cannot be told to raise no SIGPIPE.  Python ignores that signal from its start, and a program that sends
files must leave it so.

What the system cannot send by itself is read, ``READ_BYTES`` at a time, and sent: objects that have ``seek`` and
``read`` and are no plain file (a BytesIO, a GzipFile, whose descriptor would give the compressed bytes), and every
file where sendfile(2) says EINVAL, ENOSYS or ENOTSUP, or does not exist.

The descriptor of a file object is asked for at each piece, so one that was closed in the midst is an error of that
file, and never the bytes of whatever has its number now.  Read next: ``outbox``.
"""

from __future__ import annotations

import errno
from io import FileIO
from operator import index

from reactor.core.handles import uncallable
from reactor.errors import OptionError, UsageError
from reactor.net.stream.outgoing import NO_SIGNAL, frozen

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Protocol

    from reactor.ops import Ops

    class Readable(Protocol):
        """A file that is read, for want of a descriptor."""

        def seek(self, offset: int, /) -> object: ...
        def read(self, size: int, /) -> bytes: ...

    class Described(Protocol):
        """A file with a descriptor."""

        def fileno(self) -> int: ...

    #: What can be sent.
    Source = int | Described | Readable


#: Bytes of a file that are sent in one turn at most, before others have theirs.
PIECE_BYTES = 1024 * 1024

#: Bytes that are read at once where sendfile(2) does not work.
READ_BYTES = 128 * 1024

#: The end of the largest file that the system knows, off_t.
MOST_BYTES = 2**63 - 1

#: What sendfile(2) says of files and sockets that it cannot connect.
UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})

#: What it says when the peer is gone; other errors are the file's.
GONE = frozenset(
    {errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH,
     errno.ENETUNREACH, errno.ENETDOWN}
)  # fmt: skip


class FileSending:
    """A file that a stream sends, or has sent: what ``Stream.send_file`` returns.

    It is a future (``done``, ``result``), so ``run_until`` takes it.  ``file`` is what was given; ``sent`` says how
    many bytes of it the kernel has taken so far, of ``count`` (None: as many as there are); ``error`` is why it has
    ended early.  Any thread may read these; ``cancel`` belongs to the loop's.
    """

    __slots__ = (
        "_cancel", "_has_kernel", "_is_cancelled", "_is_done", "_is_plain", "_offset", "_on_done", "_unsent",
        "count", "error", "file", "sent",
    )  # fmt: skip

    def __init__(
        self,
        file: Source,
        offset: int,
        count: int | None,
        on_done: Callable[[FileSending], object] | None,
        cancel: Callable[[FileSending], object],
    ) -> None:
        self.file: Any = file
        self._offset = checked_number("offset", offset)
        self.count = None if count is None else checked_number("count", count)
        if self._offset + (self.count or 0) > MOST_BYTES:
            raise OptionError(f"offset and count end behind byte {MOST_BYTES}, where no file has any")
        if on_done is not None and not callable(on_done):
            raise uncallable("send_file", on_done)
        self._is_plain = is_plain(file)
        #: The kernel is asked to send it, not to read it.
        self._has_kernel = self._is_plain
        self._on_done = on_done
        self._cancel = cancel
        self._is_done = self._is_cancelled = False
        #: What was read and is not sent.
        self._unsent = memoryview(b"")
        self.sent = 0
        self.error: Exception | None = None

    def __repr__(self) -> str:
        state = (
            "cancelled" if self._is_cancelled else "failed" if self.error else "done" if self._is_done else "open"
        )
        of = "" if self.count is None else f" of {self.count}"
        return f"<{type(self).__name__} {state}, {self.sent}{of} bytes of {self.file!r}>"

    def done(self) -> bool:
        """Return True if nothing more of the file is sent: it is through, or has ended before its time."""
        return self._is_done

    def result(self) -> int:
        """Return how many bytes went: fewer than ``count`` if the file had no more, or it was cancelled.

        Raises what reading the file raised, mostly OSError; TransportClosed if the connection ended before, with
        what ended it as ``__cause__``; UsageError if it is not done.
        """
        if not self._is_done:
            raise UsageError("the file is still being sent: wait for on_done(), or run_until() it is done")
        if self.error is not None:
            raise self.error
        return self.sent

    def cancel(self) -> None:
        """Send no more of the file; what is behind it goes on.  ``on_done`` is called, from the loop.

        Calling it twice, or too late, does nothing.  Raises WrongThread, and ReactorClosed.
        """
        if not self._is_done:
            self._cancel(self)

    def is_cancelled(self) -> bool:
        """Return True if it was cancelled before it was done."""
        return self._is_cancelled

    # -- for the stream ----------------------------------------------------------------------------------------

    def _push(self, ops: Ops, sock: socket.socket) -> int:
        """Have the kernel take one piece; return how many bytes it took, 0 if it takes none at present.

        It is ``done`` afterwards if that was the last one, or the file cannot be read.  Raises OSError when the
        peer takes nothing more.
        """
        before = self.sent
        try:
            if self._has_kernel:
                self._push_file(ops, sock)
            if not (self._has_kernel or self._is_done):
                self._push_bytes(ops, sock)
        except (BlockingIOError, InterruptedError):
            pass
        if self.sent == self.count and not self._is_done:
            self._end()
        return self.sent - before

    def _push_file(self, ops: Ops, sock: socket.socket) -> None:
        left = PIECE_BYTES if self.count is None else min(PIECE_BYTES, self.count - self.sent)
        while left:
            try:
                taken = ops.sendfile(sock.fileno(), self._descriptor(), self._offset + self.sent, left)
            except (BlockingIOError, InterruptedError):
                return
            except (OSError, ValueError) as exc:  # a ValueError: the file was closed
                code = getattr(exc, "errno", None)
                if code in GONE:
                    raise
                if code in UNSUPPORTED:
                    self._has_kernel = False  # nothing was sent, so the same piece can be read instead
                else:
                    self._end(exc)
                return
            if not taken:
                self._end()  # the file has no more
                return
            self.sent += taken
            left -= taken
            if self.count is not None:
                return  # the socket is full, and that the file should be at its end is unlikely
            # Else ask again at once: a file that is sent to its end, whatever that is, mostly ends here.

    def _push_bytes(self, ops: Ops, sock: socket.socket) -> None:
        if not self._unsent:
            size = READ_BYTES if self.count is None else min(READ_BYTES, self.count - self.sent)
            try:
                data = self._read(ops, size) if size else b""
            except Exception as exc:
                self._end(exc)
                return
            if not data:
                self._end()
            if self._is_done:  # at its end; or the file's own code has cancelled it, or ended the stream
                return
            self._unsent = memoryview(data)
        taken = sock.send(self._unsent, NO_SIGNAL)
        self._unsent = self._unsent[taken:]
        self.sent += taken

    def _read(self, ops: Ops, size: int) -> bytes:
        place = self._offset + self.sent
        if self._is_plain:
            return ops.pread(self._descriptor(), size, place)
        self.file.seek(place)  # somebody else may have moved it, another sending of the same file for one
        return frozen(self.file.read(size))[:size]

    def _descriptor(self) -> int:
        return self.file if isinstance(self.file, int) else int(self.file.fileno())

    def _end(self, error: Exception | None = None, *, is_cancelled: bool = False) -> None:
        """Send nothing more of it.  The position of a file object is then behind the last byte that was sent, as
        after asyncio's ``sendfile``; that of a descriptor stays where it was."""
        self._forget(error)
        self._is_cancelled = is_cancelled
        try:
            self.file.seek(self._offset + self.sent)
        except Exception:  # it has no position, or was closed
            pass

    def _forget(self, error: Exception | None) -> None:
        """End it and leave the file alone: in a forked child its position is the parent's as well."""
        self._is_done = True
        self.error = error
        self._unsent = memoryview(b"")

    def _tell(self) -> None:
        """Call ``on_done``."""
        if self._on_done is not None:
            self._on_done(self)


def checked_number(name: str, value: int) -> int:
    """Return the argument *name*.  Raises OptionError if it is negative, TypeError if it is no whole number."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number of bytes, not {type(value).__name__}") from None
    if number < 0:
        raise OptionError(f"{name} is a number of bytes, not {number}")
    return number


def is_plain(file: Any) -> bool:
    """Return True if *file* is bytes behind a descriptor: a number, what ``open(path, "rb")`` returns, or an object
    that has nothing but its ``fileno``.  False: it can be read.

    Raises OptionError for a file in text mode and a number that is no descriptor, ValueError for a closed file,
    TypeError for what is no file.
    """
    if isinstance(file, int):
        if file < 0 or isinstance(file, bool):
            raise OptionError(f"a descriptor is a number from 0 on, not {file}")
        return True
    if hasattr(file, "encoding"):  # its ``mode`` does not say it: that of a file in a ZIP archive is "r"
        raise OptionError("send_file() sends bytes, and the file is in text mode: open(path, 'rb')")
    can_be_read = hasattr(file, "seek") and hasattr(file, "read")
    if isinstance(getattr(file, "raw", file), FileIO) or (hasattr(file, "fileno") and not can_be_read):
        file.fileno()  # refused now if it is closed
        return True
    if not can_be_read:
        raise TypeError(f"send_file() takes an open binary file or a descriptor, not {type(file).__name__}")
    return False
