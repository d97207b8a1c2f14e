"""A queue of timers: a heap that is allowed to be wrong about timers that moved, as long as it is wrong early.

The heap holds ``(when, entry, timer)``.  The entry number makes equal instants run in the order in which they
were asked for, and keeps two timers from ever being compared.  It also says whether the heap's triple is still
the one that counts: a timer remembers the entry number of its live triple, and

- a *cancelled* timer forgets it, so its triple is dead and is dropped when it comes to the top;
- a timer moved to an *earlier* instant gets a new triple; the old one is dead;
- a timer moved to a *later* instant keeps its triple.  When that is due, too early, it is pushed again.  So an
  idle timeout that is pushed back ten thousand times costs one push, not ten thousand.

Dead triples are swept in one pass when they are the larger half, so a server that arms and cancels a timeout for
every request holds at most twice what is alive.  The rejected choice is a timer wheel (Netty): faster to insert,
but it rounds every instant to its tick, and a heap in C costs less than a wheel in Python.

This file knows no clock: time comes in as an argument.  ``engine`` asks what is due once a turn.  Read next:
``reactor.core.polling.contract``, for the other thing that a loop waits for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from reactor.arguments import seconds
from reactor.core.handles import NOT_QUEUED, Timer
from reactor.limits import TIMER_SWEEP_MIN


def nobody_minds() -> None:
    """Check nothing."""


class TimerQueue:
    """Timers in the order of their instants.  ``len()`` counts the live ones."""

    __slots__ = ("_dead", "_next_entry", "check", "heap", "moved_earlier")

    def __init__(self) -> None:
        #: Raises in a thread that must not touch the queue; a queue that no loop owns is for everybody.
        self.check: Callable[[], object] = nobody_minds
        #: Called with the new instant when a timer was moved and may now be the first: a host may have to be woken.
        self.moved_earlier: Callable[[float], object] | None = None
        #: Triples; empty if no timer waits.
        self.heap: list[tuple[float, int, Timer]] = []
        #: How many triples of the heap are dead, so that ``len`` and the sweep need not look.
        self._dead = 0
        self._next_entry = count().__next__

    def __len__(self) -> int:
        return len(self.heap) - self._dead

    def push(self, timer: Timer) -> None:
        """Queue *timer* at ``timer.when``."""
        # Tuples are compared from the left, and no two have the same entry: timers are never compared.
        timer._entry = entry = self._next_entry()
        heappush(self.heap, (timer.when, entry, timer))

    def move(self, timer: Timer, when: float) -> None:
        """Give *timer* the instant *when*, whether it is queued, due, or has run; one that is cancelled stays so.

        Raises what ``seconds`` raises, and what ``check`` raises.
        """
        self.check()
        when = seconds(when, "a timer's instant")
        if timer._target is None:
            return
        timer.callback = None  # it may be due already: whoever comes to run it passes over it
        queued = timer._entry != NOT_QUEUED  # a periodic one can be due, and queued for its next tick
        if queued and when >= timer.when:
            timer.when = when  # its triple is too early now; ``take_due`` finds that out, at no cost until then
            return
        timer.when = when
        if queued:
            # Its old triple cannot be taken out of the middle of a heap; it is dead from here on, and may be swept.
            timer._entry = NOT_QUEUED
            self.abandon_one()
        self.push(timer)
        if self.moved_earlier is not None:
            self.moved_earlier(when)

    def abandon_one(self) -> None:
        """Note that one triple of the heap is dead; sweep them if they are the larger half."""
        self._dead += 1
        if self._dead > TIMER_SWEEP_MIN and self._dead * 2 > len(self.heap):
            # Linear, but paid for by as many cancellations: a constant each.
            self.heap = [triple for triple in self.heap if triple[2]._entry == triple[1]]
            heapify(self.heap)
            self._dead = 0

    def take_due(self, now: float, make_ready: Callable[[Timer], object]) -> None:
        """Hand every timer with ``when <= now`` to *make_ready*, earliest first, its callback set.

        A periodic timer is queued again at the next multiple of its interval after *now*: ticks that were missed
        while the loop was busy are skipped, not fired in a burst, and the rhythm does not drift.  An interval
        shorter than a turn gives one tick a turn.
        """
        heap = self.heap
        while heap and heap[0][0] <= now:
            when, entry, timer = heappop(heap)
            if timer._entry != entry:
                # Cancelled, or moved to an earlier instant: this triple is dead.
                self._dead -= 1
            elif timer.when > when:
                # Moved to a later instant since it was pushed: this is where that is paid for.
                self.push(timer)
            else:
                timer._entry = NOT_QUEUED
                timer.callback = timer._target  # only now can it be run; see ``handles``
                if timer.interval is not None:
                    # The same as so many whole intervals and one more, but ``//`` overflows if the interval is
                    # tiny.
                    late = now - timer.when
                    beat = timer.when + (late - late % timer.interval) + timer.interval
                    # An interval that the clock cannot resolve must not be due again at this very instant.  The
                    # order counts: ``max`` keeps its first argument if *beat* is NaN, as it is after a move to
                    # -infinity.
                    timer.when = max(math.nextafter(now, math.inf), beat)
                    self.push(timer)
                make_ready(timer)

    def next_when(self) -> float | None:
        """Return the instant of the earliest timer, or one before it if that timer has been moved; None if there is
        none.

        To be right a turn would have to push anew every timer that was moved since the last one: in a busy server
        with idle timeouts, all of them.  This way each is pushed once in its old interval, and the loop wakes up
        once for it.
        """
        heap = self.heap
        while heap:
            when, entry, timer = heap[0]
            if timer._entry == entry:
                return when  # perhaps not its instant any more, but never a later one than that
            heappop(heap)
            self._dead -= 1
        return None

    def clear(self) -> None:
        """Forget every timer."""
        # A timer that outlives its loop may still be cancelled; it must not count itself as dead in here then.
        for _, _, timer in self.heap:
            timer._entry = NOT_QUEUED
        self.heap.clear()
        self._dead = 0
