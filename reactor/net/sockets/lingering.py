"""Closing without destroying the last reply.

When a TCP socket is closed while bytes lie unread in its receive buffer, or arrive afterwards, the kernel answers
the peer with a reset, and a reset makes the *peer's* kernel throw away what it has received and not yet handed
out: the very reply that was sent just before the close (RFC 1122, section 4.2.2.13; RFC 9112, section 9.6).  A
server that answers "too large" to an upload and closes is not heard.

So a stream that is closed before its peer has finished goes into here: its writing side is shut down, what still
comes is read and thrown away, and the socket is closed when the peer closes its side, or after ``LINGER_TIMEOUT``
seconds, or ``LINGER_BYTES`` bytes, whichever is first.  The protocol has been told ``connection_lost`` by then:
this is between the two kernels.  At most ``LINGER_STREAMS`` sockets linger; above that the oldest is closed.
Nobody can hold descriptors here by being slow.  nginx calls it ``lingering_close``.  Read next: ``stream``.
"""

from __future__ import annotations

import socket
from functools import partial
from selectors import EVENT_READ

from reactor.core.polling.forked import ForkedPoller
from reactor.limits import LINGER_BYTES, LINGER_STREAMS, LINGER_TIMEOUT

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.core.handles import Timer
    from reactor.core.loop import Loop


class Lingering:
    """The sockets of one reactor that are closed as far as their protocols know."""

    __slots__ = ("_loop", "_open", "_scratch", "_timer")

    def __init__(self, loop: Loop, scratch: memoryview) -> None:
        self._loop = loop
        self._scratch = scratch
        #: In the order in which they came: the first is the first to be due.
        self._open: dict[LingeringSocket, None] = {}
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._open)

    def take(self, sock: socket.socket, receive: Callable[[memoryview], int], closed: Callable[[], object]) -> None:
        """Close *sock*, which is not registered and has nothing left to send, when its peer is done; then call
        ``closed()``.  *receive* receives into a buffer, as ``sock.recv_into``, and returns 0 at the end only."""
        entry = LingeringSocket(sock, receive, closed, self._loop.time() + LINGER_TIMEOUT)
        if isinstance(self._loop.registry.poller, ForkedPoller) or self._loop.is_closed():
            # In a forked child: to shut the connection down would do it to the parent's as well.  In a loop that is
            # being closed: nobody waits any more.
            entry.close()
            return
        try:
            # Sends the FIN: the peer reads our last reply and then the end, and has no reason to send any more.
            sock.shutdown(socket.SHUT_WR)
            # Most peers have nothing under way.  One look now spares them the registration.
            is_done = self._drain(entry)
            if not is_done:
                self._loop.registry.add(sock, EVENT_READ, partial(self._on_readable, entry))
        except OSError:
            is_done = True  # it is broken, or cannot be watched: there is nothing to wait for
        except BaseException:  # Ctrl-C: nobody else knows of this socket any more
            entry.close()
            raise
        if is_done:
            entry.close()
            return
        if len(self._open) >= LINGER_STREAMS:
            # The oldest goes: it had the most time, and peers that drip cannot keep the place from others.
            self._finish(next(iter(self._open)))
        self._open[entry] = None
        # One timer for all: each waits equally long, so the first that came is always the first that is due.
        if self._timer is None:
            self._timer = self._loop.call_later(LINGER_TIMEOUT, self._close_due)

    def close(self) -> None:
        """Close everything now."""
        for entry in list(self._open):
            self._finish(entry)

    def forget_after_fork(self) -> None:
        """In a forked child: close our copies; the parent goes on to drain its own."""
        for entry in self._open:
            self._loop.registry.remove(entry.sock, EVENT_READ)
            entry.sock.close()  # close(2) of one copy sends nothing while the parent has the other
            self._loop.call_soon(entry.closed)
        self._open.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_readable(self, entry: LingeringSocket) -> None:
        if self._drain(entry):
            self._finish(entry)

    def _drain(self, entry: LingeringSocket) -> bool:
        """Throw away what has arrived, one buffer of it; return True if the socket is done."""
        try:
            size = entry.receive(self._scratch)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True  # a reset from the peer: our reply has arrived, or is lost whatever we do
        entry.drained_bytes += size
        # 0 is the peer's own FIN: both directions have ended, and closing now resets nothing.
        return size == 0 or entry.drained_bytes > LINGER_BYTES

    def _finish(self, entry: LingeringSocket) -> None:
        del self._open[entry]
        self._loop.registry.remove(entry.sock, EVENT_READ)  # before the close, after which its number may be reused
        entry.close()
        if not self._open and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_due(self) -> None:
        """Close those whose time is over, and sleep until the next one's is."""
        now = self._loop.time()
        for entry in list(self._open):  # a copy: ``_finish`` takes entries out
            if entry.deadline > now:
                break  # all wait equally long, so those behind it are due later
            self._finish(entry)
        if self._timer is not None and self._open:
            self._timer.reschedule(next(iter(self._open)).deadline)


class LingeringSocket:
    """One socket, how to read from it, whom to tell when it is closed, when that is at the latest, and how much was
    thrown away for it."""

    __slots__ = ("closed", "deadline", "drained_bytes", "receive", "sock")

    def __init__(
        self,
        sock: socket.socket,
        receive: Callable[[memoryview], int],
        closed: Callable[[], object],
        deadline: float,
    ) -> None:
        self.sock = sock
        self.closed = closed
        self.receive = receive
        self.deadline = deadline
        self.drained_bytes = 0

    def close(self) -> None:
        """Close the socket and say so."""
        self.sock.close()
        self.closed()
