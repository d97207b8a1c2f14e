"""A clock that moves only when it is told to.

A reactor takes its clock as an argument, so a test need not wait for an hour to see what happens after an hour.
The clock is called for the present instant; it advances by hand, or by the ``ScriptedPoller``, which advances it by
the time that it was asked to wait.  It never goes back: ``time.monotonic`` does not either.  Read next: ``poller``.
"""

from __future__ import annotations

from reactor.errors import OptionError


class VirtualClock:
    """An instant in seconds, returned by calling the clock.  One thread at a time."""

    __slots__ = ("now",)

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the present instant."""
        return self.now

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.now:g}>"

    def advance(self, seconds: float) -> float:
        """Move on by *seconds* and return the new instant.  Raises OptionError if they are negative or NaN."""
        if not seconds >= 0:
            raise OptionError(f"a monotonic clock cannot move by {seconds!r} seconds")
        self.now += seconds
        return self.now

    def advance_to(self, when: float) -> float:
        """Move on to the instant *when* if it is still to come; return the instant reached."""
        self.now = max(self.now, when)
        return self.now
