"""What the tests of the loop share: a loop in virtual time, a loop on a real poller, and a list of what went wrong.

Read next: any test of this folder.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reactor.core.loop import Loop
from reactor.testing import ScriptedOps, ScriptedPoller, VirtualClock


class Failures(list[tuple[BaseException, object]]):
    """An exception handler that keeps what it is told."""

    def __call__(self, exc: BaseException, source: object) -> None:
        self.append((exc, source))

    def types(self) -> list[type[BaseException]]:
        """The classes of what was told, in order."""
        return [type(exc) for exc, _ in self]


class Virtual:
    """A loop that lives in virtual time, with everything that can be said to it."""

    def __init__(self, kind: Any = Loop) -> None:
        self.clock = VirtualClock()
        self.poller = ScriptedPoller(self.clock)
        self.ops = ScriptedOps(self.poller)
        self.failures = Failures()
        self.loop: Any = kind(self.poller, clock=self.clock, ops=self.ops)
        self.loop.set_exception_handler(self.failures)


@contextmanager
def virtual_loop(kind: Any = Loop) -> Iterator[Virtual]:
    """A loop in virtual time, or a Reactor; afterwards no callback may have failed unseen."""
    virtual = Virtual(kind)
    with virtual.loop:
        yield virtual
    assert not virtual.failures, "clear virtual.failures if they were expected"


@contextmanager
def real_loop(poller: Any = None) -> Iterator[tuple[Loop, Failures]]:
    """A loop on a poller of this system, and what its callbacks let escape."""
    failures = Failures()
    with Loop(poller) as loop:
        loop.set_exception_handler(failures)
        yield loop, failures


@contextmanager
def socket_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected non-blocking sockets."""
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        yield left, right


@contextmanager
def signalled(signum: int) -> Iterator[None]:
    """Have a child process send *signum* to this one every two milliseconds.

    Once would not do: a signal that arrives after the last instruction of Python and before the system call does
    not interrupt that call.  (That is what ``signal.set_wakeup_fd`` is for, and what a loop has for its own
    signals.)
    """
    parent, child = os.getpid(), os.fork()
    if child == 0:
        while os.getppid() == parent:
            os.kill(parent, signum)
            select.select((), (), (), 0.002)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def turns(loop: Loop, count: int = 1) -> None:
    """Do *count* turns without waiting."""
    for _ in range(count):
        loop.run_once(0)


def interrupt(*args: object) -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


def fail(*args: object) -> None:
    """Raise what a bug raises."""
    raise RuntimeError("a bug")
