"""Bytes and pieces of files on one stream, in order; the pieces without a detour through this process.

sendfile(2) moves bytes from the page cache into a socket inside the kernel.  It goes past everything that a
stream does with what is written to it, so the question is only how the two are kept in order.  The answer is one
queue in front of the stream: whoever sends files on a stream writes to the ``FileSender`` and never to the stream
itself.  A file's piece is sent exactly when it is the first in the queue **and the stream has nothing left to
send** (``get_write_buffer_size() == 0``); bytes are handed to the stream exactly when they are the first.  So every
byte is counted in one place at a time, here or there, and what was written first leaves first.

Two things can delay a piece.  What is corked leaves at the end of the turn: it is tried again in the next one.
What the kernel refused is waited for by the stream, whose watermarks are set to zero, so that ``pause_writing``
means "something waits" and ``resume_writing`` "nothing does any more"; the protocol hands both on to here.  While
the *kernel* refuses a piece there is nothing in the stream, and this object watches the socket for writability
itself.

The end is the stream's.  ``close`` flushes only what was handed to it, so close it when ``pending_bytes`` is 0.
When the peer is gone a piece fails, nothing more is sent, and reading goes on: what the peer said before is still
to be read, and then the stream ends as it always does.  (sendfile(2) cannot be told to raise no SIGPIPE; Python
ignores that signal from its start, and a program that sends files must leave it so.)

A file that is not in memory makes sendfile(2) wait for the disk, and with it the loop: one piece of ``PIECE_BYTES``
at a time, about ten milliseconds of a slow disk.  Where the system cannot send a file to this kind of socket
(EINVAL, ENOSYS, ENOTSUP), the same piece is read and written.  Linux, and what has ``os.sendfile``.  Read next:
``connector``.
"""

from __future__ import annotations

import errno
from collections import deque

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from reactor.core.loop import Loop

    Then = Callable[[int, OSError | None], object]

    class Files(Protocol):
        """What is asked of the operating system; the module ``os`` has it."""

        def sendfile(self, out_fd: int, in_fd: int, offset: int, count: int, /) -> int: ...
        def pread(self, fd: int, length: int, offset: int, /) -> bytes: ...


#: Bytes of a file that are sent in one turn at most, before others have theirs.
PIECE_BYTES = 1024 * 1024

#: Bytes that are read at once where sendfile(2) does not work.
READ_BYTES = 128 * 1024

#: What sendfile(2) says of files and sockets that it cannot connect.
UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})

#: What it says when the peer is gone; other errors are the file's.
GONE = frozenset(
    {errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH,
     errno.ENETUNREACH, errno.ENETDOWN}
)  # fmt: skip


class Piece:
    """*left* bytes of *fd* from *offset* on, and whom to tell when they are sent."""

    __slots__ = ("fd", "left", "offset", "then")

    def __init__(self, fd: int, offset: int, left: int, then: Then) -> None:
        self.fd = fd
        self.offset = offset
        self.left = left
        self.then = then


class FileSender:
    """Sends on *stream*, an open one of *loop* that nobody else writes to; *files* is the module ``os``.

    The protocol of the stream calls ``pause``, ``resume`` and ``drop`` from its ``pause_writing``,
    ``resume_writing`` and ``connection_lost``.  Loop thread only.
    """

    __slots__ = (
        "_can_sendfile", "_files", "_is_due", "_is_paused", "_is_watching", "_loop", "_queue", "_stream",
        "pending_bytes",
    )  # fmt: skip

    def __init__(self, loop: Loop, stream: Any, files: Files) -> None:
        #: Bytes that have not been handed to the kernel or the stream.
        self.pending_bytes = 0
        self._loop = loop
        self._stream = stream
        self._files = files
        self._queue: deque[bytes | Piece] = deque()
        self._can_sendfile = hasattr(files, "sendfile")
        #: The stream waits for the kernel; this object does; it will try again in the next turn.
        self._is_paused = self._is_watching = self._is_due = False
        # So the stream says pause_writing for the first byte that waits, and resume_writing when none does: only
        # then may a piece follow, which goes past the stream's own buffer straight into the socket.
        stream.set_write_buffer_limits(high=0)

    def write(self, data: bytes) -> None:
        """Send *data* behind all that came before it."""
        if self._queue:
            # A piece of a file is before it.  Written now, it would overtake that piece.
            self.pending_bytes += len(data)
            self._queue.append(data)
        else:
            self._stream.write(data)

    def send_file(self, fd: int, offset: int, size: int, then: Then) -> None:
        """Send *size* bytes, at least one, of the regular file *fd* from *offset* on, and afterwards call ``then(0,
        None)``, from the loop.

        If the file has fewer, it is ``then(missing, None)``, and ``then(missing, error)`` if it cannot be read: the
        rest of the piece has not been sent, and what stands behind it in the queue waits until ``then`` returns.
        After the end of the stream it is not called.
        """
        self.pending_bytes += size
        self._queue.append(Piece(fd, offset, size, then))
        self._try_soon()

    def pause(self) -> None:
        """The stream waits for the kernel.  It has taken the socket's writability for itself."""
        self._is_paused = True
        self._is_watching = False

    def resume(self) -> None:
        """The stream has nothing more to send."""
        self._is_paused = False
        self._try_soon()

    def drop(self) -> None:
        """Forget what waits: the stream has ended, or the peer is gone."""
        self._queue.clear()
        self.pending_bytes = 0
        if self._is_watching and not self._stream.is_closing():
            self._loop.remove_writer(self._stream.get_extra_info("socket"))
        self._is_watching = False

    # -- in turns ----------------------------------------------------------------------------------------------

    def _try_soon(self) -> None:
        """Try in the loop, not from inside a call of the protocol: there everything written is corked."""
        if not (self._is_due or self._is_paused or self._is_watching):
            self._is_due = True
            self._loop.call_soon(self._on_due)

    def _on_due(self) -> None:
        self._is_due = False
        self._advance()

    def _advance(self) -> None:
        """Send what can be sent now, at most one piece of a file."""
        if self._stream.is_closing():
            self.drop()
        self._hand_over()
        if self._queue and not self._is_paused:
            first = self._queue[0]
            assert isinstance(first, Piece)
            self._send(first)

    def _hand_over(self) -> None:
        """Give the stream the bytes that are not behind a piece; it keeps them in order, and waits if it has to."""
        while self._queue and not isinstance(first := self._queue[0], Piece):
            self._queue.popleft()
            self.pending_bytes -= len(first)
            self._stream.write(first)

    def _send(self, piece: Piece) -> None:
        if self._stream.get_write_buffer_size():
            # What the stream has collected in this turn is to leave first; it does so at the end of the turn.
            self._watch(False)
            self._try_soon()
            return
        try:
            sent = self._transmit(piece)
        except (BlockingIOError, InterruptedError):
            self._watch(True)  # the socket is full: the kernel says when there is room
            return
        except OSError as exc:
            self._on_failed(piece, exc)
            return
        if sent:
            self._stream.note_progress()  # the stream has not seen these bytes, and would take it for silence
        self.pending_bytes -= sent
        piece.offset += sent
        piece.left -= sent
        if not sent or not piece.left:
            self._end(piece, None)  # 0 sent: the file is shorter than it was said to be
        elif not self._is_paused:
            # Not at once, even if the socket would take more: others have their turn in between.
            self._watch(True)

    def _transmit(self, piece: Piece) -> int:
        """Have the kernel, or the stream, take some of *piece*; return how much, 0 at the end of the file."""
        if self._can_sendfile:
            out = self._stream.fileno()
            try:
                return self._files.sendfile(out, piece.fd, piece.offset, min(piece.left, PIECE_BYTES))
            except OSError as exc:
                if exc.errno not in UNSUPPORTED:
                    raise
                self._can_sendfile = False  # nothing was sent, so the same piece can be read instead
        data = self._files.pread(piece.fd, min(piece.left, READ_BYTES), piece.offset)
        self._watch(False)  # the stream may want to watch for itself
        self._stream.write(data)
        return len(data)

    def _on_failed(self, piece: Piece, exc: OSError) -> None:
        if exc.errno in GONE:
            self.drop()
            # While the stream reads, it meets the same error by itself, behind what the peer has sent before that.
            if not self._stream.is_reading():
                self._stream.abort()
        else:
            self._end(piece, exc)

    def _end(self, piece: Piece, error: OSError | None) -> None:
        """*piece* is sent, or ends before its time."""
        self._watch(False)
        self.pending_bytes -= piece.left
        rest, self._queue = self._queue, deque()
        rest.popleft()
        # What `then` writes comes before what waited behind the piece: it may have to fill a gap.
        try:
            piece.then(piece.left, error)
        except BaseException:
            self._stream.abort()  # as after any other call of a protocol that raises
            raise
        self._queue.extend(rest)
        self._hand_over()
        if self._queue:
            self._try_soon()

    def _watch(self, is_wanted: bool) -> None:
        if is_wanted != self._is_watching:
            self._is_watching = is_wanted
            sock = self._stream.get_extra_info("socket")
            if is_wanted:
                self._loop.add_writer(sock, self._advance)
            else:
                self._loop.remove_writer(sock)
