"""An operating system that fails on demand.

It is the real one, except where a script says otherwise: ``ops.script("socket", ORDINARY, ORDINARY, OSError(EMFILE,
"full"))`` makes the third socket fail, ``ops.script("getaddrinfo", [...])`` answers without asking.  So every way
out of a function that asks the system for several things can be walked, and the leak that hides there found.

Signals are never real here: no handler is installed, and ``deliver`` does what the arrival of one would do.  The
thread is what ``thread`` says, if it says anything.  With a ``ScriptedPoller`` given, nothing of the loop itself is
real either: the bell by which threads wake it rings in that poller, and no descriptor is opened for it.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from reactor.ops import Ops
from reactor.testing.poller import ScriptedPoller
from reactor.testing.script import ORDINARY, Script
from reactor.testing.sockets import ScriptedSocket

if TYPE_CHECKING:
    from typing import Any

#: What can be scripted: every operation of ``Ops``, but not the question of threads, which is asked at each call.
OPERATIONS = frozenset(name for name in vars(Ops) if not name.startswith("_")) - {"thread_id"}


class ScriptedOps(Ops):
    """An ``Ops`` whose calls can be made to fail; ``calls`` records them in order as ``(name, *arguments)``."""

    __slots__ = ("_next_fd", "_script", "handlers", "open_fds", "poller", "thread", "wakeup_fd")

    def __init__(self, poller: ScriptedPoller | None = None) -> None:
        self._script = Script()
        self._next_fd = count(2_000_000_000).__next__
        self.poller = poller
        #: Made-up descriptors that are open now.
        self.open_fds: set[int] = set()
        #: Signal handlers "installed", by number.
        self.handlers: dict[int, Any] = {}
        self.wakeup_fd = -1
        #: The number of the thread that calls, None for the real one.
        self.thread: int | None = None

    def script(self, operation: str, *steps: Any) -> ScriptedOps:
        """Append *steps* to those of *operation*; return the object itself.

        An exception is raised, ORDINARY lets the call do what it does without a script, and anything else is
        returned. Raises AttributeError for what is no operation of ``Ops``.
        """
        if operation not in OPERATIONS:
            raise AttributeError(f"Ops has no operation {operation!r}, but {', '.join(sorted(OPERATIONS))}")
        self._script.add(operation, steps)
        return self

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        """Every call so far, failed ones included."""
        return self._script.calls

    def deliver(self, signum: int) -> None:
        """Have the signal *signum* arrive now, in the middle of whatever the caller is doing."""
        handler = self.handlers.get(signum, signal.SIG_DFL)
        if callable(handler):
            handler(signum, None)

    # Intercepted here rather than one by one: an operation that is added to Ops can be scripted at once.
    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return partial(self._perform, name, found) if name in OPERATIONS else found

    def _perform(self, name: str, ordinary: Callable[..., Any], *args: Any) -> Any:
        self._script.note(name, *args)
        step = self._script.next(name)
        return ordinary(*args) if step is ORDINARY else step

    # -- what is never real ------------------------------------------------------------------------------------

    def thread_id(self) -> int:
        """Return ``thread``, or the real number of the calling thread."""
        return Ops.thread_id() if self.thread is None else self.thread

    def is_main_thread(self) -> bool:
        """Return False: no signal comes from outside."""
        return False

    def set_signal(self, signum: int, handler: Any) -> Any:
        """Keep *handler* for ``deliver``."""
        previous = self.handlers.get(signum, signal.SIG_DFL)
        self.handlers[signum] = handler
        return previous

    def set_wakeup_fd(self, fd: int) -> int:
        """Keep *fd*; nothing is ever written to it."""
        previous, self.wakeup_fd = self.wakeup_fd, fd
        return previous

    def restart_system_calls(self, signum: int) -> None:
        """Do nothing."""

    # -- what is not real with a scripted poller ---------------------------------------------------------------

    def socketpair(self) -> tuple[Any, Any]:
        """Return a real pair, or two scripted sockets that are not connected."""
        return super().socketpair() if self.poller is None else (ScriptedSocket(), ScriptedSocket())

    def eventfd(self) -> int:
        """Return a real counter, or a made-up one."""
        return super().eventfd() if self.poller is None else self._open()

    def eventfd_raise(self, fd: int) -> None:
        """Make *fd* readable."""
        if self.poller is None:
            super().eventfd_raise(fd)
        else:
            self.poller.hold(fd)

    def eventfd_clear(self, fd: int) -> None:
        """Make *fd* unreadable."""
        if self.poller is None:
            super().eventfd_clear(fd)
        else:
            self.poller.release(fd)

    def sendfile(self, out_fd: int, in_fd: int, offset: int, count: int) -> int:
        """Send a piece of a file; refuse to, as an old system would, where no socket has a kernel behind it."""
        if self.poller is not None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return super().sendfile(out_fd, in_fd, offset, count)

    def open_reserve(self) -> int:
        """Return a real descriptor, or a made-up one."""
        return super().open_reserve() if self.poller is None else self._open()

    def close(self, fd: int) -> None:
        """Close *fd*, real or made up."""
        if fd in self.open_fds:
            self.open_fds.discard(fd)
        else:
            super().close(fd)

    def _open(self) -> int:
        fd = self._next_fd()
        self.open_fds.add(fd)
        return fd
