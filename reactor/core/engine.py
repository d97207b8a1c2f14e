"""One turn of the loop: the machine that waits, and runs what has become possible.

Everything that a reactor does, it does in *turns*, and ``Engine._turn`` reads like the list of its steps:

1. timers that are due become ready;
2. the wait is computed: none if anything is ready, else until the next timer, rounded up, never early;
3. the poller waits, in the only place where this program sleeps;
4. the callbacks of ready descriptors run: accepting, reading, writing;
5. what is ready when this step begins runs, not what it adds: a callback that calls itself soon, for ever, takes
   its place in every turn and never keeps the descriptors waiting;
6. what was held back to leave in one piece at the end of the turn leaves.

Steps 4 to 6 each yield calls, and ``_run`` makes them.  A callback that raises does not kill the loop: that is
reported, and *the same iterator* goes on with the next call.  The rejected choice, a ``try`` around each call, has
the same meaning and one more frame for each callback.  ``KeyboardInterrupt`` and ``SystemExit`` pass through; the
loop can be run again afterwards, and nothing that was ready is lost.

Read next: ``loop``, the face that programs see.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector

from reactor.core.counters import Counters
from reactor.core.handles import Handle, Timer
from reactor.core.ops import Ops
from reactor.core.registry import Registry
from reactor.core.reports import Reports
from reactor.core.signals import Signals
from reactor.core.timers import TimerQueue
from reactor.core.wakeup import Wakeup

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from selectors import SelectorKey
    from typing import Any

    from reactor.core.probe import Probe

    Call = tuple[Callable[..., object], tuple[Any, ...]]


class Engine:
    """The parts of a loop, and the turn that drives them.  Not thread-safe, but for ``_foreign`` and
    ``_wakeup``."""

    __slots__ = (
        "__weakref__", "_clock", "_flushes", "_foreign", "_is_stopping", "_ready", "_signals", "_timers",
        "_wakeup", "counters", "ops", "probe", "registry", "reports",
    )  # fmt: skip

    def __init__(self, poller: BaseSelector, clock: Callable[[], float], ops: Ops) -> None:
        self.ops = ops
        self.counters = Counters()
        self.reports = Reports(clock, self.counters)
        self.registry = Registry(poller, self.counters, self.reports.failure)
        self.probe: Probe | None = None
        self._clock = clock
        self._timers = TimerQueue()
        self._ready: deque[Handle | Timer] = deque()
        self._foreign: deque[Handle] = deque()
        self._flushes: deque[Callable[[], object]] = deque()
        self._is_stopping = False
        self._open_wakeup()
        self._signals = Signals(ops, self._wakeup.ring, self._watch_reads, self._unwatch_reads)

    def _open_wakeup(self) -> None:
        self._wakeup = Wakeup(self.ops)
        try:
            self._watch_reads(self._wakeup.fd, self._take_foreign)
        except BaseException:
            self._wakeup.close()
            raise

    def _watch_reads(self, fileobj: object, callback: Callable[[], object]) -> None:
        self.registry.add(fileobj, EVENT_READ, callback)

    def _unwatch_reads(self, fileobj: object) -> None:
        self.registry.remove(fileobj, EVENT_READ)

    def _turn(self, limit: float | None) -> None:
        """One turn; the wait is at most *limit* seconds."""
        if self._timers:
            self._timers.take_due(self._clock(), self._ready.append)
        wait = self._wait(limit)
        self.registry.turn = turn = self.registry.turn + 1
        if self.probe is not None:
            self.probe.turn_began(turn, wait)
        self._run(self._descriptor_calls(turn, self.registry.select(wait)))
        self._run(self._ready_calls(turn))
        if self._flushes:
            self._run(self._flush_calls(turn))

    def _wait(self, limit: float | None) -> float | None:
        """Return how long the poller may wait: None for ever, 0 if anything is ready."""
        if self._ready or self._is_stopping or self._flushes:
            return 0
        when = self._timers.next_when() if self._timers else None
        if when is None:
            return limit
        left = max(when - self._clock(), 0)
        return left if limit is None or left < limit else limit

    def _run(self, calls: Iterator[Call]) -> None:
        """Make *calls* one after the other: the one place from which this program calls what it was given.

        When one of them raises, that is reported, and the same iterator goes on with the next.
        """
        run = None if self.probe is None else self.probe.run
        callback: Callable[..., object] | None = None
        while True:
            try:
                for callback, args in calls:
                    callback(*args) if run is None else run(callback, *args)
                return
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:
                self.reports.failure(exc, callback)

    # Each of the three looks at its own queue again whenever it is asked for the next call, because the one before
    # may have changed it.  The number of the turn changes in their midst only in a child that a callback forked:
    # what is left of that turn is the parent's to do.

    def _descriptor_calls(self, turn: int, events: list[tuple[SelectorKey, int]]) -> Iterator[Call]:
        """Yield the callbacks of the descriptors that are ready; see ``registry`` for whom a readiness is meant."""
        registry = self.registry
        if self.probe is not None:
            self.probe.polled(len(events))
        for key, mask in events:
            registration = key.data
            if mask & EVENT_READ and registration.reader_since < turn == registry.turn:
                callback = registration.reader
                if callback is not None:
                    yield callback, ()
            if mask & EVENT_WRITE and registration.writer_since < turn == registry.turn:
                callback = registration.writer
                if callback is not None:
                    yield callback, ()

    def _ready_calls(self, turn: int) -> Iterator[Call]:
        """Yield what is ready now, in order, and not what it adds."""
        registry = self.registry
        ready = self._ready
        for _ in range(len(ready)):
            if registry.turn != turn:
                return
            handle = ready.popleft()
            callback = handle.callback
            if callback is not None:
                yield callback, handle.args

    def _flush_calls(self, turn: int) -> Iterator[Call]:
        """Yield what asked to be run at the end of this turn."""
        registry = self.registry
        flushes = self._flushes
        for _ in range(len(flushes)):
            if registry.turn != turn:
                return
            yield flushes.popleft(), ()

    def _take_foreign(self) -> None:
        """The bell rang: take the calls of other threads and of signals into the ready queue."""
        self._wakeup.silence()
        for callback, args in self._signals.take_arrived():
            self._ready.append(Handle(callback, args))
        foreign = self._foreign
        for _ in range(len(foreign)):
            self._ready.append(foreign.popleft())

