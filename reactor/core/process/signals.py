"""Signals as ordinary callbacks, run by the loop at a quiet moment.

A signal can arrive between any two machine instructions, so almost nothing may be done in its handler.  Python's
own C-level handler sets a flag, and the interpreter runs the Python-level handler in the main thread, soon.  Not
soon enough if that thread is just about to fall asleep in ``epoll_wait``: the flag is set, and nobody looks at
it.  For this the C-level handler can also write a byte to a descriptor (``signal.set_wakeup_fd``), and the loop
watches it whenever the main thread runs it.  The handlers of others need this as much as ours do, Python's own for
Ctrl-C among them: in a program with threads the main thread waits for the interpreter just before it sleeps, and
one Ctrl-C in ten would be lost.

The byte only wakes.  The signal itself is put into a queue by the Python-level handler, which then rings the
reactor's bell: so a full pipe, or a byte that is read too early, loses nothing.

Nothing is hijacked.  No handler is installed unless asked for; what was there before is put back by ``remove``
and ``close``; and if somebody, such as a hosting asyncio loop, has a wakeup descriptor in place, it stays, for it
wakes the main thread just as well, as long as that is where the main thread sleeps.  That of another reactor, in
whose callback this one is run, gives way for so long: it needs the waking, not the bytes.  Main thread only, as the
``signal`` module demands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from reactor.arguments import LARGEST_INT, checked_whole
from reactor.errors import OptionError, SystemLimit, WrongThread

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import socket
    from typing import Any

    from reactor.ops import Ops


#: The wakeup descriptors of all reactors of this process: bytes that come there instead of here are no loss.
_ours: set[int] = set()


class Signals:
    """The signal handlers of one reactor."""

    __slots__ = (
        "_arrived", "_callbacks", "_displaced", "_is_waking", "_ops", "_pair", "_previous", "_ring", "_unwatch",
        "_watch",
    )  # fmt: skip

    def __init__(
        self,
        ops: Ops,
        ring: Callable[[], None],
        watch: Callable[[socket.socket, Callable[[], object]], None],
        unwatch: Callable[[socket.socket], object],
    ) -> None:
        self._ops = ops
        self._ring = ring
        self._watch = watch
        self._unwatch = unwatch
        #: Signals that have come, appended to by the handler between any two instructions of whoever empties it.
        self._arrived: deque[int] = deque()
        self._callbacks: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self._previous: dict[int, Any] = {}
        self._pair: tuple[socket.socket, socket.socket] | None = None
        #: ``start_waking`` was called, and not ``stop_waking``.
        self._is_waking = False
        #: The wakeup descriptor of the reactor in whose callback this one is run; -1 for none.
        self._displaced = -1

    def start_waking(self) -> None:
        """Have every signal wake the poller until ``stop_waking``, whoever has installed its handler.

        Does nothing off the main thread, where no handler runs, nor if the pair of sockets cannot be had or
        watched: a loop that can be run otherwise is run.  Twice is once: Ctrl-C may have come before
        ``stop_waking``.
        """
        if not self._ops.is_main_thread():
            return
        self._is_waking = True  # first: if Ctrl-C strikes below, ``stop_waking`` undoes what was done
        try:
            self._open()
        except (OSError, SystemLimit):
            self._is_waking = False

    def stop_waking(self) -> None:
        """Wake the poller only for our own signals, if there are any."""
        if self._is_waking:
            self._is_waking = False
            # A reactor that gave way for this run gets its own back.  Else ours stays while we have handlers.
            if self._displaced != -1 or not self._callbacks:
                self._release_wakeup_fd()

    def add(self, signum: int, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        """Run ``callback(*args)`` for each *signum* from now on; replaces the callback that it had.

        Raises OptionError off the main thread, for what is no number of a signal, and for signals that cannot be
        caught.
        """
        checked_signal(signum)
        self._open()  # before the handler: no signal of ours may come that wakes nobody
        if signum not in self._callbacks:
            try:
                previous = self._ops.set_signal(signum, self._note)
                # signal.signal has just had this signal interrupt every system call of the process with EINTR, also
                # those of C libraries that do not expect it: see siginterrupt(3), and signal.siginterrupt.
                self._ops.restart_system_calls(signum)
            except (ValueError, OSError) as exc:
                self._close_unless_needed()
                raise OptionError(f"no handler can be set for signal {signum}: {self._reason(exc)}") from exc
            self._previous[signum] = previous
        self._callbacks[signum] = (callback, args)

    def _reason(self, exc: Exception) -> str:
        """Return why the system has set no handler: three rules, and one error for two of them."""
        if not self._ops.is_main_thread():
            return "only the main thread may set one"
        return "the system lets nobody catch it" if isinstance(exc, OSError) else f"there is no such signal ({exc})"

    def remove(self, signum: int) -> bool:
        """Put back the handler that *signum* had before ``add``; return True if there was anything to remove.

        A handler that somebody else has installed since then stays.  Raises WrongThread off the main thread, and
        OptionError for what is no number of a signal; nothing is changed then.
        """
        checked_signal(signum)
        if signum not in self._callbacks:
            return False
        try:
            # None stands for a handler that was installed by C code and that Python cannot put back.
            found = self._ops.set_signal(signum, self._previous[signum] or 0)
            if found != self._note:  # somebody else's, installed over ours
                self._ops.set_signal(signum, found or 0)
        except ValueError as exc:
            raise WrongThread(f"the handler of signal {signum} can be put back by the main thread only") from exc
        del self._callbacks[signum], self._previous[signum]
        self._close_unless_needed()
        return True

    def close(self) -> None:
        """Put back every handler."""
        for signum in list(self._callbacks):
            self.remove(signum)
        self._close_pair()

    def forget_after_fork(self) -> None:
        """In a forked child: what arrived was meant for the parent, and the pair of sockets is the parent's too."""
        self._arrived.clear()
        self._close_pair()

    def reopen(self, ring: Callable[[], None]) -> None:
        """After a fork: wake the loop by *ring* from now on."""
        self._ring = ring
        if self._callbacks or self._is_waking:
            self._open()

    def take_arrived(self) -> list[tuple[Callable[..., object], tuple[Any, ...]]]:
        """Return the callbacks of the signals that have arrived, in order; each signal once per arrival."""
        due = []
        while self._arrived:  # one by one: to copy and then clear would lose what comes in between
            entry = self._callbacks.get(self._arrived.popleft())
            if entry is not None:  # else it was removed after the signal had come
                due.append(entry)
        return due

    def _note(self, signum: int, frame: object) -> None:
        """The Python-level handler: runs in the main thread between two instructions of whatever runs there."""
        self._arrived.append(signum)  # first: the loop empties this queue after it has silenced the bell
        self._ring()

    def _open(self) -> None:
        """Have the C-level handler wake the poller, unless somebody else has arranged for being woken."""
        if self._pair is None:
            try:
                self._pair = self._ops.socketpair()
                # Our own handlers ring the bell as well.  For the handlers of others this is all that wakes.
                self._watch(self._pair[0], self._drain)
                _ours.add(self._pair[1].fileno())
            except BaseException:
                self._close_pair()
                raise
        fd = self._pair[1].fileno()
        try:
            # There is no way to ask who has one but to set another and be told the previous.
            previous = self._ops.set_wakeup_fd(fd)
        except ValueError:  # not the main thread, as ``add`` is about to say
            return
        if previous in (-1, fd):
            return  # nobody had one
        if self._is_waking and previous in _ours:
            self._displaced = previous  # another reactor's, which does not sleep while this one is run in it
        else:
            self._put_back(previous)  # a host's, such as asyncio's: it wakes this thread as well

    def _put_back(self, fd: int) -> None:
        """Leave the wakeup descriptor to whom it belonged, unless *fd* is closed, or blocks: that wakes nobody."""
        try:
            self._ops.set_wakeup_fd(fd)
        except (OSError, ValueError):
            pass

    def _drain(self) -> None:
        assert self._pair is not None
        try:
            # The bytes are the numbers of signals, and mean nothing here: they have done their work.
            while self._pair[0].recv(4096):
                pass
        except BlockingIOError:
            pass

    def _release_wakeup_fd(self) -> None:
        if self._pair is None:  # a forked child has given it up already
            return
        try:
            current = self._ops.set_wakeup_fd(-1)  # as above: to look is to replace
        except ValueError:  # not the main thread, where alone it can have been set
            return
        displaced, self._displaced = self._displaced, -1
        if current not in (-1, self._pair[1].fileno()):  # somebody has set another over ours
            self._put_back(current)
        elif displaced in _ours:  # else that reactor was closed meanwhile, and the number may be another file's
            self._put_back(displaced)

    def _close_unless_needed(self) -> None:
        if not self._callbacks and not self._is_waking:
            self._close_pair()

    def _close_pair(self) -> None:
        if self._pair is None:
            return
        self._unwatch(self._pair[0])
        # Before the close: the C-level handler would write into whatever file gets that number next.
        self._release_wakeup_fd()
        pair, self._pair = self._pair, None
        _ours.discard(pair[1].fileno())
        pair[0].close()
        pair[1].close()


def checked_signal(signum: int) -> int:
    """Return *signum* if it can be the number of a signal; which there are, the system says.  Raises
    OptionError."""
    what = "number of a signal, such as signal.SIGTERM"
    number: int = checked_whole("signum", signum, 0, LARGEST_INT, what=what)
    return number
