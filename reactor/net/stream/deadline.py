"""A deadline for what a peer owes: a reply, taking what was sent to it, the end of a transfer.

``settimeout`` of a blocking socket bounds each call by itself.  Here no call waits, so there is nothing to bound
but what the program is waiting *for*, and only the program knows that.  It starts a deadline when something is owed
and stops it when that has come::

    self.reply_due = reactor.Deadline(loop, transport.fail, "a reply")     # made once for a connection
    transport.write(b"PING\\n"); self.reply_due.start(5.0)                   # here somebody owes
    self.reply_due.stop()                                                  # in data_received: here it has come

An idle timeout is another thing: it is pushed back by every byte that moves, so a peer that sends one byte a
second never meets it.  A deadline stays where it is.

Starting it anew costs a few assignments (see ``Timer.reschedule``), so one deadline may serve every request of a
connection.  What is called in the end is the program's choice: ``transport.fail`` ends the connection with the
OperationTimeout, which is told to ``connection_lost``; with datagrams it may be a method that sends again.

Loop thread.  ``fail`` and ``set_idle_timeout`` are ``transport``'s.  Read next: ``connector``.
"""

from __future__ import annotations

from reactor.arguments import checked_callable, checked_instance, checked_seconds
from reactor.core.loop import Loop
from reactor.errors import OperationTimeout, OptionError

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactor.core.handles import Timer


class Deadline:
    """Calls ``missed(exc)`` with an OperationTimeout unless *what*, a piece of a sentence, has come in time.

    It is not running when it is made, nor after it was missed.  ``start`` and ``stop`` raise WrongThread in another
    thread than the loop's, and change nothing.  Raises ArgumentError if *loop* is no reactor, or *missed* cannot be
    called.
    """

    __slots__ = ("_loop", "_missed", "_timeout", "_timer", "what")

    def __init__(self, loop: Loop, missed: Callable[[OperationTimeout], object], what: str = "a reply") -> None:
        self._loop = checked_instance("loop", loop, Loop, "a Reactor")
        self._missed = checked_callable("missed", missed)
        self._timer: Timer | None = None
        self._timeout = 0.0
        self.what = what

    def __repr__(self) -> str:
        state = f"{self._timeout:g} s" if self.is_running() else "not running"
        return f"<{type(self).__name__} for {self.what}, {state}>"

    def start(self, timeout: float) -> None:
        """Wait for *timeout* seconds from now on, also if it is running.

        Raises OptionError unless that is a positive number, and ReactorClosed after the reactor's end.
        """
        self._loop.check()
        if checked_seconds("timeout", timeout) is None:
            raise OptionError("timeout is a positive number of seconds, not None: stop() ends the waiting")
        self._timeout = timeout
        if self._timer is None:
            self._timer = self._loop.call_later(timeout, self._on_missed)
        else:
            self._timer.reschedule(self._loop.time() + timeout)

    def stop(self) -> None:
        """Stop waiting: it has come.  Calling it twice, too late, or after the reactor's end does nothing."""
        if not self._loop.is_closed():  # else the timer went with the reactor
            self._loop.check()
            if self._timer is not None:
                self._timer.cancel()
        self._timer = None

    def is_running(self) -> bool:
        """Return True if something is being waited for."""
        return self._timer is not None

    def _on_missed(self) -> None:
        self._timer = None
        self._missed(OperationTimeout(f"{self.what} did not come within {self._timeout:g} s"))
