"""Work that blocks, done by a bounded number of threads beside the loop.

A regular file is always "ready", on every poller, and reading or writing it blocks all the same: a page that is not
in memory, a full journal, a disk that spins up.  So whoever serves files hands such calls to a thread, and the
answer comes back the one way that leads into the loop from outside, ``call_soon_threadsafe``.

The threads take jobs from one queue, first come, first served, and are started when there is first something to do
for them.  **What bounds the queue is its users**: each has at most one job there for each thing that it is doing,
and stops reading from its peer while that job is long.  A job knows nothing of the loop; what it returns, or the
exception that it raised, is handed to a function that runs in the loop's thread.

A job cannot be interrupted, so ``close`` waits for those that are there.  The threads are daemons all the same: a
disk that never answers does not keep a program from ending.

The resolver (``reactor.net.names.resolver``) has a thread for each question instead, because a dead name server
would hold all threads of a pool for half a minute.  Read next: ``upload.disk``, what the jobs are made of.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

from reactor.arguments import checked_whole
from reactor.errors import ReactorClosed, UsageError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any

    from reactor.net.reactor import Reactor

    Work = Callable[[], Any]
    Then = Callable[[Any, Exception | None], object]

#: Threads of one pool: enough that two of them can wait for the disk while two compute.
THREADS = 4


class Workers:
    """At most *threads* threads that work for the reactor *loop*.  ``pending`` is how many jobs are not done yet.

    All methods belong to the loop's thread.  Raises OptionError for less than one thread.
    """

    __slots__ = ("_is_closed", "_limit", "_loop", "_queue", "_threads", "pending")

    def __init__(self, loop: Reactor, threads: int = THREADS) -> None:
        checked_whole("threads", threads, 1)
        self.pending = 0
        self._loop = loop
        self._limit = threads
        self._queue: SimpleQueue[tuple[Work, Then] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    def submit(self, work: Work, then: Then) -> None:
        """Have a thread call ``work()``, and afterwards the loop ``then(result, None)``, or ``then(None, error)``
        with the Exception that it raised.  *then* is dropped if the reactor is closed by then.

        Raises UsageError after ``close``, RuntimeError if the system has no thread left and none is there yet.
        """
        if self._is_closed:
            raise UsageError("the workers were closed: make new ones")
        if len(self._threads) < min(self._limit, self.pending + 1):
            self._start_thread()
        self.pending += 1
        self._queue.put((work, then))

    def _start_thread(self) -> None:
        try:
            self._threads.append(self._loop.ops.start_thread(self._work, "reactor-worker"))
        except RuntimeError:
            if not self._threads:
                raise

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            work, then = job
            result, error = None, None
            try:
                result = work()
            except Exception as exc:
                error = exc
            try:
                self._loop.call_soon_threadsafe(self._on_done, then, result, error)
            except ReactorClosed:
                pass  # there is nobody left who wants to know
            job = work = then = result = error = None  # type: ignore[assignment]  # held by nobody while it waits

    def _on_done(self, then: Then, result: Any, error: Exception | None) -> None:
        self.pending -= 1
        then(result, error)

    def close(self) -> None:
        """Let the threads do what was submitted, and wait until they have ended.  Blocks.  Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            for _ in self._threads:
                self._queue.put(None)
            for thread in self._threads:
                thread.join()
