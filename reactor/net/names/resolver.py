"""Looking names up without keeping the loop waiting.

getaddrinfo(3) and its kin know everything that a system is set up to know about names (files, DNS, mDNS, search
domains), and they block, for half a minute if a name server is dead.  So each question runs in a thread, and
the answer comes back the one way that leads into the loop from outside: ``call_soon_threadsafe``.

What needs no thread does not get one: a number, a name of the host table, an answer that is remembered.  What is
being asked already is not asked again: whoever wants the same answer waits for the same thread.

A thread lives for one question.  It is given everything when it starts and shares nothing, so there is no lock,
no queue between threads, nobody idle to wake up at the end, and a forked child inherits no half of anything.
The rejected choice, a pool of waiting threads, saves a tenth of a millisecond on a question that takes
several.  No more than ``threads`` ask at a time; further questions wait in the loop's thread, a bounded number of
them, and the time of those who wait for them runs meanwhile.

A thread cannot be torn out of getaddrinfo(3).  A look-up that is cancelled, or has timed out, is forgotten at
once, but its thread goes on to the end and until then keeps its place, so that a dead name server cannot make
this process collect threads.  The threads are daemons: none of them delays the end of the program.

In a forked child the threads are gone and their questions are not: ``reopen`` has them asked anew.

Read next: ``connector``, which asks.
"""

from __future__ import annotations

import errno
import socket
from collections import deque

from reactor.arguments import checked_callable, checked_instance, checked_seconds, checked_whole
from reactor.errors import ReactorClosed
from reactor.limits import RESOLVER_QUEUE, RESOLVER_THREADS
from reactor.net.names import requests
from reactor.net.names.cache import NameCache
from reactor.net.names.failures import is_lasting
from reactor.net.names.host_table import HostTable
from reactor.net.names.lookup import Lookup, Question
from reactor.net.names.requests import Request
from reactor.net.sockets.addresses import checked_host

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any

    from reactor.net.names.requests import Target
    from reactor.net.shared import Shared

    Callback = Callable[[Any], object] | None

#: Seconds for one look-up.  The resolver of glibc asks each name server twice and waits 5 s, see resolv.conf(5).
LOOKUP_TIMEOUT = 20.0


class Worker:
    """A thread with one question."""

    __slots__ = ("_question", "_shared", "is_through", "thread")

    def __init__(self, shared: Shared, question: Question, then: Callable[[Question, Any], object]) -> None:
        self._shared = shared
        self._question = question
        #: The answer is there, and the thread is about to end.
        self.is_through = False
        self.thread: threading.Thread = shared.ops.start_thread(lambda: self._run(then), "reactor-resolver")

    def _run(self, then: Callable[[Question, Any], object]) -> None:
        # In the thread.  getaddrinfo(3) waits here, for as long as it likes: nothing can interrupt it.
        answer = self._question.request.ask(self._shared.ops)
        self.is_through = True
        try:
            self._shared.loop.call_soon_threadsafe(then, self._question, answer)
        except ReactorClosed:
            pass  # there is nobody left who wants to know


class Resolver:
    """Answers questions about names, in the words of the ``socket`` module.

    One for each reactor; loop thread only.  Each method returns a Lookup at once: a future whose result is what the
    function of that name returns.  *callback* is given the result from the loop, once, unless the look-up is
    cancelled; a failure is a result, a LookupFailed that is a ``socket.gaierror`` or ``socket.herror`` as well.
    *timeout* seconds bound it; None: no bound.  Each raises AddressError for what is no name, address or port,
    OptionError for a timeout that is not positive or a hint that is no number, ArgumentError for a callback that
    cannot be called, WrongThread, and ReactorClosed.

    ``hosts`` are names with addresses of the program's own, see ``HostTable``; ``cache`` is what has been answered
    and may be replaced by a ``NameCache`` with other lifetimes; ``threads`` is how many may ask at a time.
    """

    __slots__ = ("_cache", "_questions", "_shared", "_threads", "_waiting", "_workers", "hosts")

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._cache = NameCache()
        self.hosts = HostTable()
        self._threads = RESOLVER_THREADS
        #: Every question without an answer, and those of them that no thread has begun to ask.
        self._questions: dict[tuple[Any, ...], Question] = {}
        self._waiting: deque[Question] = deque()
        self._workers: list[Worker] = []

    @property
    def threads(self) -> int:
        """How many threads may ask at a time, at least 1; a smaller number ends none that asks already."""
        return self._threads

    @threads.setter
    def threads(self, number: int) -> None:
        self._shared.loop.check()
        self._threads = checked_whole("threads", number, 1)

    @property
    def cache(self) -> NameCache:
        """What has been answered, as long as it is believed.  Setting raises ArgumentError for what is no
        NameCache, WrongThread, and ReactorClosed."""
        return self._cache

    @cache.setter
    def cache(self, cache: NameCache) -> None:
        self._shared.loop.check()
        self._cache = checked_instance("cache", cache, NameCache, "a NameCache")

    # -- from a name to addresses ------------------------------------------------------------------------------

    def lookup(
        self,
        host: str | None,
        port: int,
        *,
        family: int = 0,
        kind: int = socket.SOCK_STREAM,
        flags: int = 0,
        timeout: float | None = LOOKUP_TIMEOUT,
        callback: Callback = None,
    ) -> Lookup[list[Target]]:
        """Find the addresses of *host* as a connector wants them.

        The result is a list of ``(family, kind, protocol, address)`` in the order of preference of
        getaddrinfo(3), never empty and without duplicates.  *host* None means this machine: the loopback, or with
        AI_PASSIVE every interface.
        """
        return self._begin(requests.targets(self.hosts, host, port, family, kind, flags), timeout, callback)

    def getaddrinfo(
        self,
        host: str | None,
        port: int | str | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
        *,
        timeout: float | None = LOOKUP_TIMEOUT,
        callback: Callback = None,
    ) -> Lookup[list[tuple[int, int, int, str, Any]]]:
        """Find ``(family, type, proto, canonical name, address)`` of *host* and *port*, see socket.getaddrinfo."""
        request = requests.getaddrinfo(self.hosts, host, port, family, type, proto, flags)
        return self._begin(request, timeout, callback)

    def gethostbyname(
        self, host: str, *, timeout: float | None = LOOKUP_TIMEOUT, callback: Callback = None
    ) -> Lookup[str]:
        """Find the first IPv4 address of *host*, as text; "" is 0.0.0.0, "<broadcast>" 255.255.255.255."""
        return self._begin(requests.gethostbyname(self.hosts, host), timeout, callback)

    def gethostbyname_ex(
        self, host: str, *, timeout: float | None = LOOKUP_TIMEOUT, callback: Callback = None
    ) -> Lookup[tuple[str, list[str], list[str]]]:
        """Find (name, aliases, IPv4 addresses) of *host*, see socket.gethostbyname_ex."""
        return self._begin(requests.gethostbyname_ex(self.hosts, host), timeout, callback)

    # -- from an address to names ------------------------------------------------------------------------------

    def gethostbyaddr(
        self, host: str, *, timeout: float | None = LOOKUP_TIMEOUT, callback: Callback = None
    ) -> Lookup[tuple[str, list[str], list[str]]]:
        """Find (name, aliases, addresses) of a numeric address, or of the first address of a name."""
        return self._begin(requests.gethostbyaddr(self.hosts, host), timeout, callback)

    def getfqdn(
        self, host: str = "", *, timeout: float | None = LOOKUP_TIMEOUT, callback: Callback = None
    ) -> Lookup[str]:
        """Find the complete name of *host*, "": of this machine.  The result is *host* if it has none."""
        return self._begin(requests.getfqdn(self.hosts, host, self._shared.ops), timeout, callback)

    def getnameinfo(
        self,
        address: tuple[str, int] | tuple[str, int, int, int],
        flags: int = 0,
        *,
        timeout: float | None = LOOKUP_TIMEOUT,
        callback: Callback = None,
    ) -> Lookup[tuple[str, str]]:
        """Find (host, service) of a socket address, such as a peer's, see socket.getnameinfo."""
        return self._begin(requests.getnameinfo(self.hosts, address, flags), timeout, callback)

    # -- services and protocols --------------------------------------------------------------------------------

    def getservbyname(
        self,
        name: str,
        protocol: str | None = None,
        *,
        timeout: float | None = LOOKUP_TIMEOUT,
        callback: Callback = None,
    ) -> Lookup[int]:
        """Find the port of the service *name*, such as "http".  A failure is a ServiceUnknown."""
        return self._begin(requests.getservbyname(name, protocol), timeout, callback)

    def getservbyport(
        self,
        port: int,
        protocol: str | None = None,
        *,
        timeout: float | None = LOOKUP_TIMEOUT,
        callback: Callback = None,
    ) -> Lookup[str]:
        """Find the name of the service at *port*.  A failure is a ServiceUnknown."""
        return self._begin(requests.getservbyport(port, protocol), timeout, callback)

    def getprotobyname(
        self, name: str, *, timeout: float | None = LOOKUP_TIMEOUT, callback: Callback = None
    ) -> Lookup[int]:
        """Find the number of the protocol *name*, such as "icmp".  A failure is a ServiceUnknown."""
        return self._begin(requests.getprotobyname(name), timeout, callback)

    # -- what is known -----------------------------------------------------------------------------------------

    def forget(self, host: str) -> None:
        """Forget what was answered about *host*: it turned out to be of no use.  Raises AddressError."""
        self._shared.loop.check()
        name = checked_host(host).lower()
        self.cache.discard(lambda key: key[0] == name)

    def _begin(self, request: Request, timeout: float | None, callback: Callback) -> Lookup:
        """Answer *request* with what is known, have the same question's answer serve it too, or have it asked."""
        loop = self._shared.loop
        loop.check()
        checked_seconds("timeout", timeout)
        checked_callable("callback", callback, none=True)
        lookup = Lookup(loop, request, callback)
        # From the loop also where the answer is known: a callback that sometimes comes before the call returns, and
        # sometimes after it, is a trap for its writer.
        if request.is_instant:
            loop.call_soon(self._answer_now, lookup, request)
            return lookup
        answer = self.cache.get(request.key, loop.time())
        if answer is not None:
            loop.call_soon(lookup.answer, answer)
            return lookup
        question = self._questions.get(request.key) or self._pose(request)
        if question is None:
            text = f"{len(self._waiting)} look-ups wait for a thread already"
            loop.call_soon(lookup.answer, BlockingIOError(errno.EAGAIN, text))
            return lookup
        lookup.wait_for(question, timeout)
        self._start_workers()
        return lookup

    def _answer_now(self, lookup: Lookup, request: Request) -> None:
        if not lookup.done():
            lookup.answer(request.ask(self._shared.ops))

    # -- what is asked -----------------------------------------------------------------------------------------

    def _pose(self, request: Request) -> Question | None:
        """Return a question that waits for a thread; None if there are too many of those."""
        if len(self._waiting) >= RESOLVER_QUEUE:
            self._drop_unwanted()
            if len(self._waiting) >= RESOLVER_QUEUE:
                return None
        question = self._questions[request.key] = Question(request)
        self._waiting.append(question)
        return question

    def _drop_unwanted(self) -> None:
        """Drop the questions that nobody waits for any more."""
        waiting, self._waiting = self._waiting, deque()
        for question in waiting:
            if question.lookups:
                self._waiting.append(question)
            else:
                del self._questions[question.request.key]

    def _start_workers(self) -> None:
        """Give waiting questions to threads, as many as may run."""
        self._workers = [worker for worker in self._workers if worker.thread.is_alive()]
        # A thread whose look-up was given up still counts: else a dead name server could collect threads here.
        busy = sum(not worker.is_through for worker in self._workers)
        while self._waiting and busy < self._threads:
            question = self._waiting.popleft()
            if not question.lookups:
                del self._questions[question.request.key]
                continue
            try:
                self._workers.append(Worker(self._shared, question, self._on_answered))
                busy += 1
            except Exception as exc:  # the system has no thread left, or no memory for one
                self._pass_on(question, exc)

    def _on_answered(self, question: Question, answer: Any) -> None:
        self._pass_on(question, answer)
        self._start_workers()

    def _pass_on(self, question: Question, answer: Any) -> None:
        """Remember *answer*, and have everybody told who waits for it."""
        request = question.request
        self._questions.pop(request.key, None)
        if is_lasting(answer):
            self.cache.put(request.key, answer, self._shared.loop.time())
        for lookup in question.lookups:
            self._shared.loop.call_soon(lookup.answer, answer)

    # -- the end, and a fork -----------------------------------------------------------------------------------

    def forget_threads(self) -> None:
        """In a forked child: the threads are the parent's, and so are their answers."""
        self._workers.clear()
        self._waiting = deque(self._questions.values())

    def resume(self) -> None:
        """In a forked child whose reactor was opened anew: ask what is still to be asked."""
        self._start_workers()

    def close(self) -> None:
        """Forget every question and wait for the threads that are ending; those inside getaddrinfo end by
        themselves.

        What they find is dropped.  Idempotent, and allowed after the reactor's end.  Raises WrongThread.
        """
        if not self._shared.loop.is_closed():
            self._shared.loop.check()
        for question in self._questions.values():
            for lookup in list(question.lookups):
                lookup.cancel()
        self._questions.clear()
        self._waiting.clear()
        for worker in self._workers:
            if worker.is_through:
                worker.thread.join()
        self._workers.clear()
