"""Looking names up without keeping the loop waiting.

getaddrinfo(3) knows everything that a system is set up to know about names (files, DNS, mDNS, search domains),
and it blocks, for half a minute when a name server is dead.  So it runs in a thread, and the answer comes back
the one way that leads into the loop from outside: ``call_soon_threadsafe``.

A thread lives for one question.  It is given everything when it starts and shares nothing, so there is no lock,
no queue between threads, nobody idle to wake up at the end, and a forked child inherits no half of anything.
The rejected choice, a pool of waiting threads, saves a tenth of a millisecond on a question that takes
several.  No more than ``RESOLVER_THREADS`` ask at a time; further questions wait in the loop's thread, and
their time runs meanwhile.

A thread cannot be torn out of getaddrinfo(3).  A question that is cancelled, or has timed out, is forgotten at
once, but its thread goes on to the end and until then keeps its place, so that a dead name server cannot make
this process collect threads.  The threads are daemons: none of them delays the end of the program.

A numeric address needs no thread and is still answered from the loop, never from inside ``lookup``: a callback that
comes sometimes before and sometimes after the call returns is two programs in one.

Read next: ``connector``, which asks.
"""

from __future__ import annotations

import socket
from collections import deque

from reactor.errors import OptionError, ReactorClosed, ResolutionFailed
from reactor.limits import RESOLVER_THREADS
from reactor.net.addresses import checked_host, checked_port, numeric_family

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any

    from reactor.core.handles import Timer
    from reactor.core.ops import Ops
    from reactor.net.hub import Hub

    #: Family, kind, protocol and socket address.
    Target = tuple[int, int, int, Any]
    Result = list[Target] | ResolutionFailed

#: Seconds for one look-up.  The resolver of glibc asks each name server twice and waits 5 s, see resolv.conf(5).
LOOKUP_TIMEOUT = 20.0

#: What a person can do about some answers of getaddrinfo(3); the others speak for themselves.
ADVICE = {
    socket.EAI_AGAIN: "; the name servers do not answer: try again later",
    socket.EAI_NONAME: "; check the spelling",
}


class Lookup:
    """A question that is being answered.  Made by ``Resolver.lookup``."""

    __slots__ = ("_callback", "_question", "_timer")

    def __init__(self, question: tuple[Any, ...], callback: Callable[[Result], object]) -> None:
        self._question = question
        self._callback: Callable[[Result], object] | None = callback
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        state = "done" if self.is_done() else "open"
        return f"<{type(self).__name__} of {self._question[0]!r}, {state}>"

    def is_done(self) -> bool:
        """Tell whether the callback has run, or never will."""
        return self._callback is None

    def cancel(self) -> None:
        """Make sure that the callback never runs.  Calling it twice, or too late, does nothing.  Loop thread."""
        self._callback = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answer(self, result: Result) -> None:
        """Run the callback with *result*, unless that has happened or is not to happen."""
        callback = self._callback
        self.cancel()
        if callback is not None:
            callback(result)

    def start_clock(self, hub: Hub, timeout: float) -> None:
        """Answer with a failure in *timeout* seconds."""
        self._timer = hub.loop.call_later(timeout, self._expire, timeout)

    def _expire(self, timeout: float) -> None:
        self.answer(self.failure(TimeoutError(f"the look-up took longer than {timeout:g} s")))

    def ask(self, ops: Ops, more_flags: int = 0) -> Result:
        """Ask the system and return what it says; blocks, and may run in any thread."""
        host, port, family, kind, flags = self._question
        try:
            found = ops.getaddrinfo(host, port, family, kind, 0, flags | more_flags)
            if found:
                return list(dict.fromkeys((*target, address) for *target, _, address in found))
            return self.failure(socket.gaierror(socket.EAI_NONAME, "the system returned none"))
        except Exception as exc:
            return self.failure(exc)

    def failure(self, cause: Exception) -> ResolutionFailed:
        """Return the answer that there is none, because of *cause*."""
        advice = ADVICE.get(cause.errno or 0, "") if isinstance(cause, socket.gaierror) else ""
        text = getattr(cause, "strerror", None) or cause
        failure = ResolutionFailed(f"{self._question[0]!r} has no address: {text}{advice}")
        failure.__cause__ = cause
        return failure


class Worker:
    """A thread with one question."""

    __slots__ = ("_hub", "is_through", "lookup", "thread")

    def __init__(self, hub: Hub, lookup: Lookup, then: Callable[[Lookup, Result], object]) -> None:
        self._hub = hub
        self.lookup = lookup
        #: The answer is there, and the thread is about to end.
        self.is_through = False
        self.thread: threading.Thread = hub.ops.start_thread(lambda: self._run(then), "reactor-resolver")

    def _run(self, then: Callable[[Lookup, Result], object]) -> None:
        result = self.lookup.ask(self._hub.ops)
        self.is_through = True
        try:
            self._hub.loop.call_soon_threadsafe(then, self.lookup, result)
        except ReactorClosed:
            pass  # there is nobody left who wants to know


class Resolver:
    """Answers questions for the addresses of names.  One for each reactor; loop thread only."""

    __slots__ = ("_hub", "_waiting", "_workers")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._waiting: deque[Lookup] = deque()
        self._workers: list[Worker] = []

    def lookup(
        self,
        host: str | None,
        port: int,
        *,
        family: int = 0,
        kind: int = socket.SOCK_STREAM,
        flags: int = 0,
        timeout: float | None = LOOKUP_TIMEOUT,
        callback: Callable[[Result], object],
    ) -> Lookup:
        """Find the addresses of *host* and run ``callback(result)`` from the loop, once, unless it is cancelled.

        The result is a list of ``(family, kind, protocol, address)`` in the order of preference of
        getaddrinfo(3), never empty, or a ResolutionFailed whose ``__cause__`` is the ``gaierror`` of the
        system, or a TimeoutError after *timeout* seconds.  *host* None means this machine: the loopback, or
        with AI_PASSIVE every interface.

        Raises AddressError for what is no host or no port, and OptionError for a *timeout* that is not positive.
        """
        self._hub.loop.check()
        if timeout is not None and not timeout > 0:
            raise OptionError(f"timeout is a positive number of seconds or None, not {timeout!r}")
        name = None if host is None else checked_host(host)
        lookup = Lookup((name, checked_port(port), family, kind, flags), callback)
        if name is None or numeric_family(name):
            self._hub.loop.call_soon(self._answer_now, lookup)
            return lookup
        if timeout is not None:
            lookup.start_clock(self._hub, timeout)
        self._waiting.append(lookup)
        self._start_workers()
        return lookup

    def _answer_now(self, lookup: Lookup) -> None:
        if not lookup.is_done():
            lookup.answer(lookup.ask(self._hub.ops, socket.AI_NUMERICHOST))

    def _start_workers(self) -> None:
        """Give waiting questions to threads, as many as may run."""
        self._workers = [worker for worker in self._workers if worker.thread.is_alive()]
        busy = sum(not worker.is_through for worker in self._workers)
        while self._waiting and busy < RESOLVER_THREADS:
            lookup = self._waiting.popleft()
            if lookup.is_done():
                continue
            try:
                self._workers.append(Worker(self._hub, lookup, self._on_answered))
                busy += 1
            except RuntimeError as exc:  # the system has no thread left
                self._hub.loop.call_soon(lookup.answer, lookup.failure(exc))

    def _on_answered(self, lookup: Lookup, result: Result) -> None:
        self._start_workers()
        lookup.answer(result)

    def close(self) -> None:
        """Forget every question and wait for the threads that are ending; those inside getaddrinfo end by
        themselves.

        What they find is dropped.  Idempotent.
        """
        for lookup in self._waiting:
            lookup.cancel()
        self._waiting.clear()
        for worker in self._workers:
            worker.lookup.cancel()
            if worker.is_through:
                worker.thread.join()
        self._workers.clear()
