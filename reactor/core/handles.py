"""Callbacks that wait for their moment.

A handle is a callback with its arguments; cancelling it takes the callback away, and whoever comes to run it finds
``None``.  Nothing has to be searched for and removed from the queue it lies in: that is why cancelling is O(1).

A timer is a handle that becomes ready at an instant.  Its ``callback`` stays ``None`` until the timer queue finds
it due, so a timer that is cancelled or moved after it became due, but before it ran, does not run: the loop needs
no second rule for timers.  Read next: ``timers``.
"""

from __future__ import annotations

from collections.abc import Callable

from reactor.errors import ArgumentError
from reactor.telling.reports import describe

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any


def uncallable(verb: str, callback: object) -> ArgumentError:
    """Return the error for a *callback* that *verb* was given and that nobody can call."""
    return ArgumentError(f"{verb}() takes a function to be called, not a {type(callback).__name__}")


#: ``Timer._entry`` of a timer that lies in no queue.
NOT_QUEUED = -1


class Handle:
    """A callback to be run once, soon.

    Any thread may call ``cancel``: it is one assignment, which the loop either sees or comes to too late.  So the
    thread that asked with ``call_soon_threadsafe`` may take its request back, but only in the loop's own thread is
    it certain that a callback which has not run yet never will.
    """

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def __repr__(self) -> str:
        what = "cancelled" if self.callback is None else f"of {describe(self.callback)}"
        return f"<{type(self).__name__} {what}>"

    def cancel(self) -> None:
        """Take the callback back.  Calling it twice, or too late, does nothing.  Any thread; see above."""
        # The arguments stay.  If they were emptied here, a loop that has just read the callback would call it
        # without them.
        self.callback = None

    def is_cancelled(self) -> bool:
        """Return True if ``cancel`` was called."""
        return self.callback is None


class ForeignHandle(Handle):
    """A callback that another thread asked for: of a forked child it is not wanted, for the parent runs it."""

    __slots__ = ()


class Timer:
    """A callback to be run at the instant ``when``, by the reactor's clock; every ``interval`` seconds if that is
    set.

    Made by ``call_later``, ``call_at`` and ``call_every``.  ``cancel`` and ``reschedule`` raise WrongThread, and
    change nothing, in another thread than the one that runs the reactor: threads cannot share the heap.
    """

    __slots__ = ("_entry", "_queue", "_target", "args", "callback", "interval", "when")

    def __init__(
        self,
        when: float,
        target: Callable[..., object],
        args: tuple[Any, ...],
        queue: Any,
        interval: float | None = None,
    ) -> None:
        self.when = when
        self.interval = interval
        self._target: Callable[..., object] | None = target
        self.args = args
        self._queue = queue
        self.callback: Callable[..., object] | None = None
        self._entry = NOT_QUEUED

    def __repr__(self) -> str:
        what = "cancelled" if self._target is None else f"of {describe(self._target)} at {self.when:g}"
        return f"<{type(self).__name__} {what}>"

    def cancel(self) -> None:
        """Make sure that the callback never runs (again).  Calling it twice, or too late, does nothing."""
        self._queue.check()
        self.callback = self._target = None
        self.args = ()
        if self._entry != NOT_QUEUED:
            self._entry = NOT_QUEUED
            self._queue.abandon_one()

    def is_cancelled(self) -> bool:
        """Return True if ``cancel`` was called."""
        return self._target is None

    def postpone(self, when: float) -> None:
        """Move the timer to the instant *when*, as ``reschedule``.

        If the timer waits and *when* is a later float, as when an idle timeout is pushed back at every message,
        this is one assignment (70 ns).
        """
        if self._entry != NOT_QUEUED and type(when) is float and when >= self.when:
            # The thread is not checked here: that would cost 150 ns a message, and one assignment, which leaves the
            # heap alone, does no harm from any thread.
            self.when = when
        else:
            self.reschedule(when)

    def reschedule(self, when: float) -> None:
        """Move the timer to the instant *when*, whether it is still waiting, just due, or already ran.

        A cancelled timer stays cancelled.  Raises OptionError if *when* is NaN or does not fit into a float,
        TypeError if it is no number; the timer stays where it was then.
        """
        self._queue.move(self, when)
