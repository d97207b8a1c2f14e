"""A bounded number of threads, and one queue of tasks for them.

Tasks are begun in the order in which they came.  A thread is started when a task finds nobody free and the limit
allows it; one that has had nothing to do for ``LINGER`` seconds ends.  So a quiet program has no threads, a busy
one does not start any, and no program is kept from ending by threads that only wait.

What a task lets escape is told as that of any thread is (``threading.excepthook``), and the thread goes on: to lose
one of a bounded number for every mistake would be to lose them all.

All methods may be called from any thread.  Read next: ``waiting_room``, where those are who have nothing to say.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from reactor.errors import UsageError

if TYPE_CHECKING:
    Task = Callable[[], object]

#: Seconds that a thread waits for something to do before it ends.
LINGER = 1.0


class WorkerThreads:
    """Runs tasks in at most ``limit()`` threads, which are called *name*, a hyphen and a number."""

    __slots__ = (
        "_changed", "_free", "_is_closed", "_is_daemon", "_limit", "_name", "_started", "_tasks", "_threads",
    )  # fmt: skip

    def __init__(self, limit: Callable[[], int], *, name: str, is_daemon: bool = False) -> None:
        self._limit = limit
        self._name = name
        self._is_daemon = is_daemon
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._threads: set[threading.Thread] = set()
        #: Threads that wait for a task, those among them that have been woken and do not know it yet.
        self._free = 0
        self._started = 0
        self._is_closed = False

    @property
    def threads(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    @property
    def waiting(self) -> int:
        """How many tasks have not been begun."""
        return len(self._tasks)

    def submit(self, task: Task) -> None:
        """Have *task* run, after those that are waiting.  Raises UsageError after ``close``, and RuntimeError when
        the system has no thread and there is none already."""
        with self._changed:
            if self._is_closed:
                raise UsageError("the threads have been told to end: no further task is taken")
            self._tasks.append(task)
            if self._free >= len(self._tasks):
                self._changed.notify()
            elif len(self._threads) < max(1, self._limit()):
                self._start_thread()

    def _start_thread(self) -> None:
        self._started += 1
        name = f"{self._name}-{self._started}"
        thread = threading.Thread(target=self._work, name=name, daemon=self._is_daemon)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            self._threads.discard(thread)
            if not self._threads:
                self._tasks.pop()
                raise

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except BaseException:
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            del task  # or a thread without work would keep the last connection

    def _next(self) -> Task | None:
        """Return the next task; None if this thread is to end."""
        with self._changed:
            while not self._tasks and not self._is_closed:
                self._free += 1
                is_called = self._changed.wait(LINGER)
                self._free -= 1
                if not is_called and not self._tasks:
                    break
            if self._tasks:
                return self._tasks.popleft()
            self._threads.discard(threading.current_thread())
            return None

    def close(self) -> list[threading.Thread]:
        """Take no more tasks; the threads end when those that wait are done.  Return the threads, to be joined."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            return list(self._threads)
