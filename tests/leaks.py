"""What a test may not leave behind: descriptors, threads, child processes, signal handlers.

An event loop is judged by what it gives back.  So each test is compared with itself: a ``Snapshot`` before, one
after, and every difference is a complaint in words that say *what* leaked, since a bare number helps nobody to find
it.  Descriptors are told apart by what they are open on, not by number alone: a test that closes somebody
else's descriptor and opens another in its place has broken two things and must not get away with it.

Nothing is collected before the second look.  A socket that only the garbage collector closes is a leak, because
its owner could not say when.  Threads are joined for a bounded time: one that was told to stop is on its way.

Read next: ``tests/conftest.py``, which puts this around every test.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

#: Where the system lists the descriptors of the process that asks.
DESCRIPTORS = Path("/proc/self/fd") if os.path.isdir("/proc/self/fd") else Path("/dev/fd")

#: Seconds for a thread that was told to stop to be gone.
THREAD_GRACE = 2.0


class Snapshot:
    """What the process holds at one moment."""

    __slots__ = ("children", "descriptors", "handlers", "threads")

    def __init__(self) -> None:
        self.descriptors = dict(open_descriptors())
        self.threads = set(threading.enumerate())
        self.children = has_children()
        self.handlers = dict(signal_handlers())

    def complaints(self, *, also_lost: bool = True) -> list[str]:
        """Return one sentence for each thing that differs now; *also_lost* looks for descriptors that vanished."""
        found = list(self._thread_complaints())
        found += self._descriptor_complaints(also_lost)
        if has_children() and not self.children:
            found.append("a child process was left running, or was not waited for")
        found += self._signal_complaints()
        return found

    def _thread_complaints(self) -> Iterator[str]:
        for thread in set(threading.enumerate()) - self.threads:
            if isinstance(thread, threading._DummyThread):  # made by a foreign thread that asked for its own name
                continue
            thread.join(THREAD_GRACE)
            if thread.is_alive():
                yield f"thread {thread.name!r} still runs {getattr(thread, '_target', None)}"

    def _descriptor_complaints(self, also_lost: bool) -> Iterator[str]:
        now = dict(open_descriptors())
        for fd, identity in now.items():
            if self.descriptors.get(fd) != identity:
                yield f"descriptor {fd} was left open: {describe(fd)}"
        for fd in self.descriptors.keys() - now.keys() if also_lost else ():
            yield f"descriptor {fd} was closed, but was open before the test began"

    def _signal_complaints(self) -> Iterator[str]:
        for signum, handler in signal_handlers():
            if handler != self.handlers.get(signum):
                yield f"the handler of {signal.Signals(signum).name} is now {handler!r}"
        if threading.current_thread() is threading.main_thread():
            wakeup_fd = signal.set_wakeup_fd(-1)
            if wakeup_fd != -1:
                yield f"signal.set_wakeup_fd is still {wakeup_fd}"


def open_descriptors() -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield each open descriptor with the device and inode that it is open on."""
    for name in os.listdir(DESCRIPTORS):
        try:
            status = os.fstat(int(name))
        except OSError:  # the one that listed the directory
            continue
        yield int(name), (status.st_dev, status.st_ino)


def describe(fd: int) -> str:
    """Return what *fd* is open on; for a socket its addresses too, since those name the culprit."""
    try:
        target = os.readlink(DESCRIPTORS / str(fd))
    except OSError:
        target = "something that the system does not name"
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        with socket.socket(fileno=os.dup(fd)) as copy:
            target += f" {copy!r}"
    return target


def has_children() -> bool:
    """Return True if a child process runs, or waits to be waited for."""
    if not hasattr(os, "waitid"):
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def signal_handlers() -> Iterator[tuple[int, object]]:
    """Yield each signal's number and its handler as Python knows it."""
    for signum in signal.valid_signals():
        if signum in signal.Signals._value2member_map_:
            yield signum, signal.getsignal(signum)
