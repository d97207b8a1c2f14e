"""How another thread wakes a loop that sleeps in the kernel: by making a descriptor readable that the loop watches.

The descriptor carries no message, only "look at your queue": the calls themselves lie in a queue beside it, so a
full pipe loses nothing.  A flag remembers that the bell has been rung and not yet been heard, so a thousand calls
from a thousand threads cost one write.  The order of steps is the whole trick::

    caller:  append to the queue, then ring if the flag is down
    loop:    silence the bell and lower the flag, then empty the queue

Whatever was appended before the flag went down is found in the queue; whatever comes after rings again.

A lock keeps ``ring`` from writing to a descriptor that ``close`` has just given back to the system, where it may
already be somebody else's file.  It is taken only by those who really ring.  Read next:
``engine``, which hangs the bell up; ``signals`` and ``forking`` are second reading.
"""

from __future__ import annotations

from reactor.ops import HAS_EVENTFD

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket

    from reactor.ops import Ops


class Wakeup:
    """A bell: ``ring`` from any thread or signal handler, ``silence`` from the loop."""

    __slots__ = ("_lock", "_ops", "_pair", "_rung", "fd")

    def __init__(self, ops: Ops) -> None:
        self._ops = ops
        # Reentrant: a signal handler may ring while ``ring`` is under way in the same thread.
        self._lock = ops.rlock()
        self._rung = False
        self._pair: tuple[socket.socket, socket.socket] | None = None
        if HAS_EVENTFD:
            self.fd = ops.eventfd()
        else:
            self._pair = ops.socketpair()
            self.fd = self._pair[0].fileno()

    def ring(self) -> None:
        """Make ``fd`` readable.  Any thread; does nothing after ``close``."""
        if self._rung:
            return  # nobody has heard it yet: a thousand callers cost one write, and this path takes no lock
        with self._lock:
            if self._rung or self.fd < 0:  # another thread was faster, or ``close`` was
                return
            try:
                # Before the write: the loop may hear it and lower the flag at once, and a flag that was raised
                # after that would stay up over a silent bell.
                self._rung = True
                if self._pair is None:
                    self._ops.eventfd_raise(self.fd)
                else:
                    self._pair[1].send(b"\0")
            except BaseException:
                # Ctrl-C may strike here too, and a bell that is believed to ring is never rung again.
                self._rung = False
                raise

    def silence(self) -> None:
        """Make ``fd`` unreadable and let the next ``ring`` ring again.  Loop thread."""
        try:
            if self._pair is None:
                self._ops.eventfd_clear(self.fd)
            else:
                self._pair[0].recv(16)
        except BlockingIOError:
            pass  # it had not rung: the loop hears it once too often rather than once too seldom
        finally:
            # After the read.  The other way round, a ring in between would be swallowed by the read, its flag up.
            self._rung = False

    def close(self) -> None:
        """Close ``fd``; a ``ring`` that is under way is waited for."""
        with self._lock:
            if self.fd >= 0:
                if self._pair is None:
                    self._ops.close(self.fd)
                else:
                    self._pair[0].close()
                    self._pair[1].close()
                self.fd = -1

    def forget_after_fork(self) -> None:
        """In a forked child: close this copy without ringing; the lock may be held by a thread that is not here."""
        self._lock = self._ops.rlock()
        self.close()
