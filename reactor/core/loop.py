"""The loop: it waits until something can be done, and has it done, one callback after the other.

The turn itself is in ``engine``; this is its face: what a program may ask for, in the words of asyncio, because
everyone knows them, and the rules of who may ask and when.

The loop belongs to the thread that runs it.  From any other thread, and from signal handlers of your own, there
is ``call_soon_threadsafe``; every other method checks its thread and says so.  A program that
runs another loop already (Tk, asyncio, a second reactor) need not call ``run``: it watches ``fileno()``, waits no
longer than ``next_timeout()``, and calls ``run_once(0)``.

The loop composes the small parts of this folder and owns no network code.  Read next: ``reactor.net.reactor``,
which adds the network's verbs, and ``reactor.net.stream.stream``.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from math import inf
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from weakref import WeakSet, ref

from reactor.arguments import checked_callable, checked_instance, seconds
from reactor.core.engine import Engine
from reactor.core.handles import ForeignHandle, Handle, Timer, uncallable
from reactor.core.polling.choose import open_poller
from reactor.core.polling.forked import ForkedPoller
from reactor.core.process.forking import unwatch_for_fork, watch_for_fork
from reactor.errors import (
    ArgumentError,
    DeadlineExceeded,
    NestedRun,
    OptionError,
    ReactorClosed,
    UsageError,
    WrongThread,
)
from reactor.ops import Ops
from reactor.telling.probe import Probe
from reactor.telling.reports import log_failure

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any, Protocol, Self, TypeVar, TypeVarTuple

    from _typeshed import FileDescriptorLike  # of the type checkers' own stubs

    T = TypeVar("T")
    T_co = TypeVar("T_co", covariant=True)
    #: The types of a callback's arguments: what is given for them is checked against what the callback takes.
    Ts = TypeVarTuple("Ts")

    class Future(Protocol[T_co]):
        """What ``run_until`` asks of a future; those of asyncio and ``concurrent.futures`` have it."""

        def done(self) -> bool: ...

        def result(self) -> T_co: ...

#: Makes an object and leaves its ``__init__`` out.
new = object.__new__


class Loop:
    """A reactor without network verbs: descriptors, timers, calls from threads, signals.

    *selector* is "epoll", "poll", "select", "kqueue" or any ``selectors.BaseSelector``; without it the
    environment variable REACTOR_SELECTOR decides, else the best available.  *clock* returns monotonic seconds.
    *ops* stands for the operating system.  Raises SelectorUnavailable, ArgumentError for what is none of these,
    and OSError when the system has no descriptor left.

    Loops are independent of each other: make several, one per thread or many in one.
    """

    __slots__ = (
        "__weakref__", "_announced", "_choice", "_is_closed", "_ready", "_woken_by", "clock", "counters", "engine",
        "ops", "owner", "registry", "reports", "thread_id",
    )  # fmt: skip

    def __init__(
        self,
        selector: str | BaseSelector | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        ops: Ops | None = None,
    ) -> None:
        checked_callable("clock", clock)
        ops = Ops() if ops is None else checked_instance("ops", ops, Ops, "a reactor.ops.Ops, or None")
        poller = open_poller(selector, ops, os.environ)
        try:
            engine = self.engine = Engine(poller, clock, ops)
        except BaseException:
            if not isinstance(selector, BaseSelector):  # else it is the caller's, who has no loop for it now
                poller.close()
            raise
        #: The parts of the engine that others use.
        self.ops, self.clock, self.counters = ops, clock, engine.counters
        self.registry, self.reports, self._ready = engine.registry, engine.reports, engine.ready
        self._choice = selector
        #: The thread that runs the loop at present.
        self.owner: int | None = None
        self.thread_id = ops.thread_id
        #: The instant up to which a host believes that it may sleep.
        self._announced: float | None = None
        self.engine.timers.check = self._check_thread
        self.engine.timers.moved_earlier = self._wake_host
        #: Futures that will ring when they are done and cannot be told otherwise; see ``_be_woken_by``.
        self._woken_by: WeakSet[Any] = WeakSet()
        self._is_closed = False
        watch_for_fork(self, ops)

    def __del__(self) -> None:
        """Warn of a loop that nobody closed, as the standard library does of sockets: its descriptors are lost."""
        if not getattr(self, "_is_closed", True):
            warnings.warn(f"unclosed {self!r}: call close()", ResourceWarning, source=self, stacklevel=2)

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "running" if self.owner is not None else "idle"
        return f"<{type(self).__name__} {state} on {self.selector_name}, turn {self.registry.turn}>"

    @property
    def selector_name(self) -> str:
        """The name of the poller in use, such as "epoll"; of a foreign selector that of its class."""
        return self.registry.poller.name

    def time(self) -> float:
        """Return the present instant of this loop's clock, in seconds; only differences mean anything."""
        return self.clock()

    # -- descriptors -------------------------------------------------------------------------------------------

    def add_reader(self, fileobj: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Run ``callback(*args)`` whenever *fileobj* (a descriptor or an object with fileno()) can be read without
        blocking, or has come to its end or to an error.  Replaces the reader that it had.

        Raises ValueError for what is not an open file, OSError for what cannot be watched: NotWatchable (EPERM) for
        a regular file on epoll.
        """
        self.check()
        if not callable(callback):
            raise uncallable("add_reader", callback)
        self.registry.add(fileobj, EVENT_READ, partial(callback, *args) if args else callback)

    def remove_reader(self, fileobj: FileDescriptorLike) -> bool:
        """Stop watching for reading; return True if it was watched.  Call it before the file is closed."""
        self.check()
        return self.registry.remove(fileobj, EVENT_READ)

    def add_writer(self, fileobj: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Run ``callback(*args)`` whenever *fileobj* takes bytes without blocking; else as ``add_reader``."""
        self.check()
        if not callable(callback):
            raise uncallable("add_writer", callback)
        self.registry.add(fileobj, EVENT_WRITE, partial(callback, *args) if args else callback)

    def remove_writer(self, fileobj: FileDescriptorLike) -> bool:
        """Stop watching for writing; return True if it was watched.  Call it before the file is closed."""
        self.check()
        return self.registry.remove(fileobj, EVENT_WRITE)

    # -- calls and timers --------------------------------------------------------------------------------------

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts) -> Handle:
        """Run ``callback(*args)`` in the next turn, in the order of the calls."""
        is_inside = self.thread_id() == self.owner
        if not is_inside:
            self.check()
        if not callable(callback):
            raise uncallable("call_soon", callback)
        if not is_inside:
            self._wake_host(-inf)
        handle = new(Handle)  # not Handle(callback, args): a method __init__ costs 110 ns of 500
        handle.callback = callback
        handle.args = args
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[[*Ts], object], *args: *Ts) -> Timer:
        """Run ``callback(*args)`` in *delay* seconds: not earlier, and as soon after as the loop is free.

        Raises OptionError if *delay* is NaN or does not fit into a float, ArgumentError if it is no number.
        """
        return self._arm("call_later", self.clock() + seconds(delay, "delay"), callback, args)

    def call_at(self, when: float, callback: Callable[[*Ts], object], *args: *Ts) -> Timer:
        """Run ``callback(*args)`` at the instant *when* of ``time()``, at once if that has passed.

        Raises OptionError if *when* is NaN or does not fit into a float, ArgumentError if it is no number.
        """
        return self._arm("call_at", seconds(when, "when"), callback, args)

    def call_every(self, interval: float, callback: Callable[[*Ts], object], *args: *Ts) -> Timer:
        """Run ``callback(*args)`` every *interval* seconds, first in *interval* seconds, until it is cancelled.

        The rhythm does not drift; beats that are missed because the loop was busy are left out, so an interval
        that is shorter than a turn means once a turn.  Raises OptionError unless *interval* is positive,
        ArgumentError if it is no number.
        """
        interval = seconds(interval, "interval")
        if not interval > 0:
            raise OptionError(f"interval must be a positive number of seconds, not {interval!r}")
        return self._arm("call_every", self.clock() + interval, callback, args, interval)

    def _arm(
        self,
        verb: str,
        when: float,
        callback: Callable[[*Ts], object],
        args: tuple[*Ts],
        interval: float | None = None,
    ) -> Timer:
        self.check()
        if not callable(callback):
            raise uncallable(verb, callback)
        timer = Timer(when, callback, args, self.engine.timers, interval)
        self.engine.timers.push(timer)
        self._wake_host(when)
        return timer

    def call_soon_threadsafe(self, callback: Callable[[*Ts], object], *args: *Ts) -> Handle:
        """Run ``callback(*args)`` in the loop's thread, soon, waking the loop if it sleeps.

        The only method that any thread, and a signal handler, may call.  Raises ReactorClosed after ``close()``.
        """
        if self._is_closed:
            raise ReactorClosed("the reactor is closed: it runs no more callbacks")
        if not callable(callback):
            raise uncallable("call_soon_threadsafe", callback)
        handle = ForeignHandle(callback, args)
        self._ready.append(handle)
        self.engine.wakeup.ring()
        return handle

    def call_at_turn_end(self, callback: Callable[[], object]) -> None:
        """Run *callback* once, as the last step of this turn: for what is better sent in one piece.  Inside a
        turn only; a turn that is still to come does not wait then."""
        is_inside = self.thread_id() == self.owner
        if not is_inside:
            self.check()
        if not callable(callback):
            raise uncallable("call_at_turn_end", callback)
        self.engine.flushes.append(callback)
        if not is_inside:
            self._wake_host(-inf)

    def call_inside(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call ``function(*args)``, as a callback of this loop if it is not inside one, and return its result.

        For calls of a program's code that are made at once, from a method, and perhaps between two turns: what a
        callback may not do (run the loop, close it) is refused to them as well.  Raises WrongThread,
        ReactorClosed, and what *function* raises.
        """
        if self.owner is not None:
            self._check_thread()  # not whether it is closed: while that happens, protocols are told of their end
            return function(*args)
        self.check()
        self.owner = self.thread_id()
        try:
            return function(*args)
        finally:
            self.owner = None
            if self._ready or self.engine.flushes:
                self._wake_host(-inf)  # inside, nobody has told a host that there is something to do

    def add_signal_handler(self, signum: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Run ``callback(*args)`` as an ordinary callback for each *signum*, such as ``signal.SIGTERM``.

        Main thread only.  Raises OptionError in any other, for what is no number of a signal, and for SIGKILL and
        SIGSTOP.
        """
        self.check()
        if not callable(callback):
            raise uncallable("add_signal_handler", callback)
        self.engine.signals.add(signum, callback, args)

    def remove_signal_handler(self, signum: int) -> bool:
        """Put back the handler that *signum* had before; return True if there was one of ours."""
        self.check()
        return self.engine.signals.remove(signum)

    # -- running -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Turn until ``stop()``.  Raises NestedRun inside a callback of this loop, ReactorClosed, ForkedReactor."""
        self._begin()
        try:
            self.owner = self.thread_id()
            self.engine.signals.start_waking()
            while not self.engine.is_stopping:
                self.engine.turn(None)
        finally:
            self.owner, self.engine.is_stopping = None, False
            self._end()

    def run_once(self, timeout: float | None = None) -> None:
        """Do one turn, which waits at most *timeout* seconds (None: until something happens).

        Raises what ``run`` raises, OptionError and ArgumentError for a *timeout* that is no number of seconds.
        """
        if timeout is not None and timeout != 0:
            timeout = seconds(timeout, "timeout")
        self._begin()
        try:
            self.owner = self.thread_id()
            if timeout != 0 and not self.engine.ready:  # else it does not sleep, and needs nobody to wake it
                self.engine.signals.start_waking()
            self.engine.turn(timeout)
        finally:
            self.owner, self.engine.is_stopping = None, False
            self._end()

    def run_until(self, condition: Future[T] | Callable[[], T | None], timeout: float | None = None) -> T | Any:
        """Turn until *condition* holds and return its value.

        *condition* is a future (anything with ``done()`` and ``result()``), whose result is returned or raised,
        or a function without arguments, called before every turn, until it returns something true.  Raises
        DeadlineExceeded (a TimeoutError) after *timeout* seconds, ArgumentError for any other *condition*, and
        otherwise what ``run_once`` raises.  After ``stop()`` it returns None, which its type leaves out.
        """
        future: Any = condition if hasattr(condition, "done") and hasattr(condition, "result") else None
        is_met: Any = condition if future is None else future.done
        if not callable(is_met):
            raise ArgumentError(f"run_until() takes a future or a function, not a {type(is_met).__name__}")
        deadline = None if timeout is None else self.clock() + seconds(timeout, "timeout")
        self._begin()
        wake = partial(_wake, ref(self))
        try:
            self.owner = self.thread_id()
            self.engine.signals.start_waking()
            if future is not None:
                self._be_woken_by(future, wake)
            while not (value := is_met()):
                if self.engine.is_stopping:
                    return None
                left = None if deadline is None else deadline - self.clock()
                if left is not None and left <= 0:
                    raise DeadlineExceeded(f"what run_until waited for did not happen within {timeout} s")
                self.engine.turn(left)
        finally:
            self.owner, self.engine.is_stopping = None, False
            self._end()
            if hasattr(future, "remove_done_callback"):
                future.remove_done_callback(wake)
        result: T = value if future is None else future.result()
        return result

    def _be_woken_by(self, future: Any, wake: Callable[[object], None]) -> None:
        """Have *future* call *wake* when it is done, if it can: any thread may complete it while the loop sleeps.

        A future that takes no callback back, such as those of ``concurrent.futures``, is given one once, however
        often it is waited for: a program that asks again and again with a short timeout would pile them up.
        """
        if not hasattr(future, "add_done_callback"):
            return
        if not hasattr(future, "remove_done_callback"):
            if future in self._woken_by:
                return
            try:
                self._woken_by.add(future)
            except TypeError:  # it has no weak references, so it cannot be remembered without being kept alive
                pass
        future.add_done_callback(wake)

    def is_closed(self) -> bool:
        """Return True if ``close`` was called."""
        return self._is_closed

    def is_running(self) -> bool:
        """Return True while the loop is being run: inside a callback, always."""
        return self.owner is not None

    def stop(self) -> None:
        """End ``run`` after this turn, at once if it is to come.  Threads: ``call_soon_threadsafe(loop.stop)``."""
        self.check()
        self.engine.is_stopping = True

    def close(self) -> None:
        """Give everything back: poller, descriptors, signal handlers, timers.  Idempotent.

        Raises UsageError inside a callback: stop first, close after ``run`` has returned.
        """
        if self._is_closed:
            return
        self.check()
        if self.owner is not None:
            raise UsageError("close() inside a callback: call stop(), and close() when run() has returned")
        self.engine.signals.close()
        self._is_closed = True
        unwatch_for_fork(self)
        self.engine.timers.clear()
        self.engine.ready.clear()
        self.engine.flushes.clear()
        self.engine.due.clear()
        self.engine.unserved.clear()
        self.engine.wakeup.close()
        self.registry.poller.close()

    def __enter__(self) -> Self:
        """Return the loop itself: ``with`` closes it at the end."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the loop."""
        self.close()

    # -- being hosted by another loop --------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``run_once(0)`` has something to do, apart from timers.

        If ``counters.poller_rebuilds`` has grown, the descriptor is another one: ask again, register again.
        Raises NotHostable on select and poll, which have no such descriptor.
        """
        self.check()
        return self.registry.fileno()

    def next_timeout(self) -> float | None:
        """Return the seconds after which ``run_once(0)`` must be called even if ``fileno()`` stays silent; None:
        never.

        From here to the next turn, whatever would need an earlier call makes ``fileno()`` readable, so a host may
        simply arm one timer and watch one descriptor.
        """
        self.check()
        wait = self.engine.wait(None)
        self._announced = inf if wait is None else self.clock() + wait
        return wait

    def _wake_host(self, when: float) -> None:
        """Between two turns of a hosted loop: ring if *when* is earlier than what the host was told."""
        if self._announced is not None and when < self._announced:
            self.engine.wakeup.ring()

    # -- what is watched and told ------------------------------------------------------------------------------

    def set_probe(self, probe: Probe | None) -> None:
        """Have *probe* watch this loop from now on; None for nobody.

        Raises ArgumentError for what lacks a method of ``Probe``: what every step calls must be there.
        """
        self.check()
        if probe is not None:
            missing = [name for name in vars(Probe) if name[0] != "_" and not callable(getattr(probe, name, None))]
            if missing:
                raise ArgumentError(f"a probe has the methods of reactor.Probe; this lacks {', '.join(missing)}")
        self.engine.probe = self.registry.probe = probe

    def set_exception_handler(self, handler: Callable[[BaseException, object], object] | None) -> None:
        """Have ``handler(exc, source)`` told what callbacks and protocols let escape; None: it is logged."""
        self.check()
        if handler is not None and not callable(handler):
            raise uncallable("set_exception_handler", handler)
        self.reports.handler = log_failure if handler is None else handler

    # -- who may call, and when --------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise unless the loop is open and is not being run by another thread."""
        if self._is_closed:
            raise ReactorClosed("the reactor is closed: make a new one")
        self._check_thread()

    def _check_thread(self) -> None:
        """Raise WrongThread if another thread runs the loop.  A timer may be cancelled when the loop is closed."""
        owner = self.owner
        if owner is not None and owner != self.thread_id():
            raise WrongThread("the reactor runs in another thread: use call_soon_threadsafe(callback, *args)")

    def _begin(self) -> None:
        """Raise unless the loop can be run.  The caller owns it inside its ``try`` only: Ctrl-C may strike here."""
        self.check()
        if self.owner is not None:
            raise NestedRun("the reactor is running already: a callback must return, not run the loop again")
        if isinstance(self.registry.poller, ForkedPoller):
            self.registry.poller.select()
        self._announced = None

    def _end(self) -> None:
        """Whose turn it was has been said by the caller: Ctrl-C strikes at a call, and may at this one."""
        self.engine.signals.stop_waking()

    # -- fork --------------------------------------------------------------------------------------------------

    def _forget_after_fork(self) -> None:
        """In a forked child, before anything else runs there: let go of what the parent goes on using."""
        wakeup_fd = self.engine.wakeup.fd
        self.registry.forget_after_fork()
        self.registry.remove(wakeup_fd, EVENT_READ)
        self.engine.wakeup.forget_after_fork()
        self.engine.signals.forget_after_fork()
        self.engine.forget_after_fork()
        if self.owner != self.thread_id():
            self.owner = None
            self.engine.signals.stop_waking()

    def reopen(self) -> None:
        """In a forked child: make the reactor usable again, with a poller of its own.

        Everything that was registered is registered with it, sockets that the parent goes on using among them:
        close those first that are not this process's business.  Raises UsageError if the reactor was not forked.
        """
        self.check()
        if not isinstance(self.registry.poller, ForkedPoller):
            raise UsageError("reopen() is for a reactor in a forked child; this one is open")
        choice = self._choice if isinstance(self._choice, str) else None
        self.registry.move_to(open_poller(choice, self.ops, os.environ))
        self.engine.open_wakeup()
        self.engine.signals.reopen(self.engine.wakeup.ring)


def _wake(loop: ref[Loop], future: object) -> None:
    """Ring the bell of *loop* for a *future* that is done; it may be done when the loop is gone."""
    alive = loop()
    if alive is not None:
        alive.engine.wakeup.ring()
