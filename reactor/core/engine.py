"""One turn of the loop: the machine that waits, and runs what has become possible.

Everything that a reactor does, it does in *turns*, and ``Engine.turn`` reads like the list of its steps:

1. the wait is computed: none if anything is ready, else until the next timer, rounded up, never early;
2. the poller waits, in the only place where this program sleeps;
3. what is ready when the poller returns runs, not what it adds: a callback that calls itself soon, forever, takes
   its place in every turn and never keeps the descriptors waiting;
4. the callbacks of ready descriptors run: accepting, reading, writing;
5. timers that are due by now run;
6. what was put off to the end of the turn is done: bytes that were held back leave in one piece, and connections
   that have ended say so and are closed.

So what was asked for first runs first, as in asyncio: a call before a descriptor that became ready later, and a
timer, which promises only not to be early, last.  Calls of other threads lie in the same queue as the loop's own.

Steps 3 to 6 are bounded in *time* as well (``TURN_SECONDS``): when the callbacks of a step have taken so long, it
is broken off.  What was left of it keeps its order and comes first in the next turn, so everybody is served once in
each round, and the others, signals and calls from threads have their turn in between.

Steps 3 to 6 each go through an iterator of work, and ``_carry_out`` has them do so.  A callback that raises does
not kill the loop: that is reported, and the step goes on *with what is left of the same iterator*.  The rejected
choice, a ``try`` around each call, has the same meaning and one more frame for each callback.
``KeyboardInterrupt`` and ``SystemExit`` pass through; the loop can be run again afterwards, and nothing that was
ready is lost.  Python raises the former between any two instructions, ours included: what was just being received
or sent at that instant may be lost then.  A program that wants to go on handles SIGINT with
``add_signal_handler``.

Read next: ``loop``, the face that programs see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from selectors import EVENT_READ, EVENT_WRITE

from reactor.core.handles import ForeignHandle, Handle, Timer
from reactor.core.polling.contract import Poller
from reactor.core.process.signals import Signals
from reactor.core.registry import Registry
from reactor.core.timers import TimerQueue
from reactor.core.wakeup import Wakeup
from reactor.limits import TURN_BATCH, TURN_SECONDS
from reactor.ops import Ops
from reactor.telling.counters import Counters
from reactor.telling.reports import Reports

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from selectors import SelectorKey
    from typing import Any

    from reactor.telling.probe import Probe

    Run = Callable[..., object] | None
    Step = Callable[[int, Iterator[Any], Run], None]


class Engine:
    """The parts of a loop, and the turn that drives them.  A loop has one.

    Not thread-safe, but for ``ready``, where calls of other threads are put, and ``wakeup``, which is rung then.
    """

    __slots__ = (
        "callback", "clock", "counters", "due", "flushes", "is_stopping", "ops", "probe", "ready", "registry",
        "reports", "signals", "timers", "told", "unserved", "wakeup",
    )  # fmt: skip

    def __init__(self, poller: Poller, clock: Callable[[], float], ops: Ops) -> None:
        self.ops = ops
        self.counters = Counters()
        self.reports = Reports(clock, self.counters)
        self.registry = Registry(poller, self.counters, self.reports.failure)
        self.probe: Probe | None = None
        self.clock = clock
        self.timers = TimerQueue()
        #: Calls that wait for the next turn, and timers whose instant has come.  Other threads append to the first
        #: without a lock, which ``collections.deque`` allows at either end.
        self.ready: deque[Handle] = deque()
        self.due: deque[Timer] = deque()
        self.flushes: deque[Callable[[], object]] = deque()
        self.is_stopping = False
        #: Descriptors that a turn which took too long did not come to; and when the poller told of them, as a turn.
        self.unserved: list[tuple[SelectorKey, int]] = []
        self.told = 0
        #: What is being called, for the report if it raises; None between two turns.
        self.callback: Callable[..., object] | None = None
        self.open_wakeup()
        self.signals = Signals(ops, self.wakeup.ring, self._watch_reads, self._unwatch_reads)

    def open_wakeup(self) -> None:
        """Make the bell by which other threads wake the poller, and watch it.  Raises OSError."""
        self.wakeup = Wakeup(self.ops)
        try:
            self._watch_reads(self.wakeup.fd, self.hear)
        except BaseException:
            self.wakeup.close()
            raise

    def _watch_reads(self, fileobj: object, callback: Callable[[], object]) -> None:
        self.registry.add(fileobj, EVENT_READ, callback)

    def _unwatch_reads(self, fileobj: object) -> None:
        self.registry.remove(fileobj, EVENT_READ)

    def turn(self, limit: float | None) -> None:
        """One turn; the wait is at most *limit* seconds."""
        registry, ready = self.registry, self.ready
        wait = 0 if ready else self.wait(limit)  # ``wait`` would find that out too: a busy loop saves the call
        # Before the poll: who registers from here on is too young to be meant by what the poller is about to tell.
        registry.turn = turn = registry.turn + 1
        if self.probe is not None:
            self.probe.turn_began(turn, wait)
        poller = registry.poller
        if self.unserved or poller.has_backlog:
            # These come first, in their order, and nobody else is looked for before they are served: else those who
            # are answered and ask again would be served again and again before the last has had its turn.
            self.hear()  # the poller, which is not asked, would have told of the bell
        if self.unserved:
            events, self.unserved = self.unserved, []
        else:
            events = poller.select(wait)  # here this program sleeps
            if poller.strays or poller.closed:
                registry.repair()
            self.told = turn  # what is carried over into later turns stays as old as this answer
        if self.probe is not None:
            self.probe.polled(len(events))
        if ready:
            # The size is taken now: what these calls add lies behind it.  Each is popped just before it runs, so
            # one that raises, or Ctrl-C, takes no other along.
            size = len(ready)
            self._carry_out(turn, self._run, islice(iter(ready.popleft, None), size), size)
        if events:
            work = iter(events)
            self._carry_out(turn, self._dispatch, work, len(events))
            # The iterator still holds what was broken off.  After a fork in a callback that is the parent's.
            if len(events) > TURN_BATCH and registry.turn == turn:
                self.unserved = list(work)
        # The clock is read here, behind all the callbacks: a timer that came due meanwhile is not late by a turn.
        if self.timers.heap or self.due:
            self.timers.take_due(self.clock(), self.due.append)
            size = len(self.due)
            self._carry_out(turn, self._run, islice(iter(self.due.popleft, None), size), size)
        if self.flushes:
            size = len(self.flushes)
            self._carry_out(turn, self._flush, islice(iter(self.flushes.popleft, None), size), size)
        self.callback = None  # or what it belongs to would live as long as the loop sleeps

    def wait(self, limit: float | None) -> float | None:
        """Return how long the poller may wait: None forever, 0 if anything is ready."""
        # Also for what a turn did not come to: nobody would wake the poller for the sake of that.
        if (
            self.ready or self.due or self.is_stopping or self.flushes or self.unserved
            or self.registry.poller.has_backlog
        ):  # fmt: skip
            return 0
        when = self.timers.next_when() if self.timers.heap else None
        if when is None:
            return limit
        left = max(when - self.clock(), 0)
        return left if limit is None or left < limit else limit

    def run_what_is_ready(self) -> None:
        """Do steps 3 and 6 alone, without a bound in time: when a reactor is closed its last callbacks run."""
        for step, queue in ((self._run, self.ready), (self._flush, self.flushes)):
            self._carry_out(self.registry.turn, step, islice(iter(queue.popleft, None), len(queue)))

    def _carry_out(self, turn: int, step: Step, work: Iterator[Any], size: int = 0) -> None:
        """Have *step* do *work*, in spite of the callbacks that raise: each is reported, and the step goes on
        behind it.  Work of a certain *size* is broken off when it has taken ``TURN_SECONDS``.

        What a step does before it takes a piece of work must not raise: it would be repeated forever.  So the
        probe, which is somebody else's code, is asked outside; what it raises there ends the run.
        """
        if size > TURN_BATCH:
            deadline = self.clock() + TURN_SECONDS
            for _ in range(0, size, TURN_BATCH):
                self._carry_out(turn, step, islice(work, TURN_BATCH))
                if self.clock() >= deadline:
                    break
            return
        while True:
            run = None if self.probe is None else self.probe.run
            try:
                return step(turn, work, run)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:
                # The step is entered again with the same iterator, which stands behind the call that raised.
                self.reports.failure(exc, self.callback)

    # Each of the three looks again at each call, because the one before may have changed everything.  The number of
    # the turn changes between two calls only in a child that a callback forked: what is left of that turn is the
    # parent's to do.  From these three places, and no others, this program calls what it was given.

    def _dispatch(self, turn: int, events: Iterator[tuple[SelectorKey, int]], run: Run) -> None:
        """Run the callbacks of the descriptors that are ready; see ``registry`` for whom a readiness is meant."""
        registry, told = self.registry, self.told
        for key, mask in events:
            registration = key.data
            # Both directions are asked for when it is their turn: the reader may have removed the writer.
            if mask & EVENT_READ and registration.reader_since < told and registry.turn == turn:
                callback = self.callback = registration.reader
                if callback is not None:
                    callback() if run is None else run(callback)
            if mask & EVENT_WRITE and registration.writer_since < told and registry.turn == turn:
                callback = self.callback = registration.writer
                if callback is not None:
                    callback() if run is None else run(callback)

    def _run(self, turn: int, handles: Iterator[Handle | Timer], run: Run) -> None:
        """Run calls and timers; each leaves its queue when it is its turn."""
        registry = self.registry
        if registry.turn != turn:
            return
        for handle in handles:
            callback = self.callback = handle.callback
            if callback is not None:  # else it was cancelled, or moved, since it became ready
                callback(*handle.args) if run is None else run(callback, *handle.args)
                if registry.turn != turn:
                    return  # before the next is popped: a child that reopens the loop runs it then

    def _flush(self, turn: int, callbacks: Iterator[Callable[[], object]], run: Run) -> None:
        """Run what asked to be run at the end of this turn."""
        registry = self.registry
        if registry.turn != turn:
            return
        for callback in callbacks:
            self.callback = callback
            callback() if run is None else run(callback)
            if registry.turn != turn:
                return

    def hear(self) -> None:
        """The bell rang: for a call that lies in the queue, or for signals, whose callbacks are put there now."""
        self.wakeup.silence()  # first: a signal that comes from here on rings again
        for callback, args in self.signals.take_arrived():
            self.ready.append(Handle(callback, args))

    def forget_after_fork(self) -> None:
        """In a forked child: what threads asked for, and who was ready, is the parent's."""
        self.unserved.clear()
        own = [handle for handle in self.ready if not isinstance(handle, ForeignHandle)]
        self.ready.clear()
        self.ready.extend(own)
