"""Waiting for the channels of a map: before each wait every channel is asked what it waits for.

That is asyncore's contract: ``readable()`` and ``writable()`` are asked before every wait, since their answers may
have changed for reasons that nobody was told of.  The original builds the lists for select(2) anew each time.  Here
the reactor keeps them, and is told only of answers that changed: ``ChannelWatch`` compares what each channel wants
with what it wanted the last time.  So a turn costs two Python calls for each channel, as it always did, and system
calls only for what is different; and the poller is the reactor's choice, without select's 1024 descriptors.

``wait`` only *notes* what happened and returns it; the channels are told after the reactor's turn is over.  So a
channel may call ``poll`` or ``loop`` again from inside an event, as asyncore's programs do, and an exception
ends the loop where asyncore says that it does.

Three kinds of channel would make a loop spin, and none does here.  A *deaf* one has nothing more to hear in one
direction: its end was told already, or nobody handles that event; ``_deaf`` says so.  One whose descriptor was
closed behind its back is told so once.  And a listener without descriptors left rests for a second
(``_rest_until``).

There is one watch for each thread, made at its first wait, given back as soon as the map is empty.  Another thread,
or a signal handler, that changes the map of a watch that sleeps wakes it.  A channel is put into the map by the
first line of most constructors, and its class has more to do there: so a newcomer is asked a moment later, not in
the midst of it.  Read next: ``channel``.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING

from reactor.compat.channels.edges import HAS_EDGES, Edges
from reactor.compat.channels.events import RERAISED
from reactor.compat.channels.registration import (
    ENDED,
    HUNG_UP,
    READ,
    URGENT,
    WRITE,
    Watched,
    handles_urgent,
    on_failure,
)  # fmt: skip
from reactor.core.loop import Loop
from reactor.errors import ReactorClosed
from reactor.limits import ACCEPT_BACKOFF
from reactor.net.connections.acceptor import Reserve

if TYPE_CHECKING:
    from typing import Any

    from reactor.compat.channels.registration import Channels

#: Seconds between two looks for descriptors that were closed behind everybody's back; only an idle watch looks.
LOOK_INTERVAL = 1.0

#: Seconds that another thread has for the rest of the constructor of the channel that it adds.
NEWCOMER_GRACE = 0.02

#: Connections that are turned away at once when there are no descriptors left.
SHED_BATCH = 64

#: The watches that are waiting, or about to.  Those of other threads are not in a forked child.
_waiting: set[ChannelWatch] = set()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_waiting.clear)


class ChannelWatch:
    """The channels of one map on one reactor.  For the thread that made it; ``wake`` for any."""

    __slots__ = (
        "__weakref__", "_edges", "_has_newcomer", "_loop", "_looked", "_noted", "_pid", "_reserve", "_rest_ends",
        "_watched", "channels",
    )  # fmt: skip

    def __init__(self) -> None:
        #: The map, once there is one.
        self.channels: Channels | None = None
        self._watched: dict[int, Watched] = {}
        self._noted: dict[int, Watched] = {}
        self._edges: Edges | None = None
        self._pid = os.getpid()
        self._has_newcomer = False
        self._loop = Loop()
        self._loop.set_exception_handler(on_failure)
        self._looked = self._loop.time()
        #: When the first of the listeners that rest may go on.
        self._rest_ends: float | None = None
        self._reserve = Reserve(self._loop.ops)

    def __del__(self) -> None:
        """Give the reactor back: the thread of this watch has ended."""
        # While the interpreter is finalizing nothing can be imported any more, and the system takes all of it back.
        if hasattr(self, "_reserve") and not sys.is_finalizing():
            self.close()

    # -- waiting -----------------------------------------------------------------------------------------------

    def wait(self, channels: Channels, timeout: float | None) -> list[tuple[Watched, int]]:
        """Ask each channel what it waits for, wait at most *timeout* seconds (None: forever), and return what
        happened: each channel with bits of READ, WRITE, URGENT and HUNG_UP.

        It also returns when somebody else changed the map.
        """
        # What is watched for another map's sake is forgotten when this one is asked.
        self.channels = channels
        self._has_newcomer = False
        _waiting.add(self)
        try:
            self._heed(channels)
            self._loop.run_once(0 if self._noted else self._limited(timeout))
            if self._has_newcomer:
                self._hesitate()
        finally:
            _waiting.discard(self)
        if not self._noted and timeout != 0:
            self._look_for_closed()
        happened = [(watched, watched.happened) for watched in self._noted.values()]
        self._noted.clear()
        for watched, _ in happened:
            watched.happened = 0
        return happened

    def _hesitate(self) -> None:
        """A channel was added by another thread: wait a moment more before the channels are asked again."""
        end = self._loop.time() + NEWCOMER_GRACE
        while self._has_newcomer and not self._noted and self.channels and (left := end - self._loop.time()) > 0:
            self._loop.run_once(left)
        self._has_newcomer = False

    def is_waiting(self) -> bool:
        """Return True if ``wait`` is under way: true in a signal handler that interrupts it."""
        return self in _waiting

    def wake(self, for_newcomer: bool = False) -> None:
        """Let a ``wait`` that is under way return.  Any thread, any signal handler."""
        if for_newcomer:
            self._has_newcomer = True
        try:
            self._loop.call_soon_threadsafe(_nothing)
        except ReactorClosed:
            pass

    def _limited(self, timeout: float | None) -> float | None:
        """Return how long to wait, so that *timeout* is kept and no listener rests too long."""
        if self._rest_ends is None:
            return timeout
        left = max(self._rest_ends - self._loop.time(), 0)
        return left if timeout is None else min(timeout, left)

    def _heed(self, channels: Channels) -> None:
        """Ask every channel, and tell the reactor what is different.

        Most channels want what they wanted, so that is found out here, without a call but for the two questions and
        whether the socket is open; ``_attend`` would find nothing to do for them.  A channel without a socket to
        recognise may have another descriptor of the same number, so the kernel is told of it each time.
        """
        self._rest_ends = None
        known = self._watched
        if not known.keys() <= channels.keys():
            for fd in known.keys() - channels.keys():
                self.forget(fd)
        for fd, channel in list(channels.items()):
            try:
                events = READ if channel.readable() else 0
                if channel.writable() and not getattr(channel, "accepting", False):
                    events |= WRITE
                watched = known.get(fd)
                if (
                    watched is None
                    or watched.events != events
                    or watched.channel is not channel
                    or watched.sock is None
                    or watched.sock is not getattr(channel, "socket", None)
                    or getattr(channel, "_deaf", False)
                    or watched.fileno() == -1
                ):
                    self._attend(fd, channel, events)
            except RERAISED:
                raise
            except BaseException:
                channel.handle_error()

    def _attend(self, fd: int, channel: Any, events: int) -> None:
        """Have the reactor watch *channel* for *events*, as far as there is something to tell it."""
        watched = self._recognise(fd, channel)
        self._watch(watched, events & ~self._deafness(watched))

    def _recognise(self, fd: int, channel: Any) -> Watched:
        """Return what is known of *channel*; if it is new, or has a new socket, nothing is."""
        sock = getattr(channel, "socket", None)
        watched = self._watched.get(fd)
        if watched is None or watched.channel is not channel or watched.sock is not sock or sock is None:
            self.forget(fd)
            watched = self._watched[fd] = Watched(fd, channel, sock, self._noted)
            if HAS_EDGES and handles_urgent(channel):
                self._watch_edges(watched)
        return watched

    def _watch(self, watched: Watched, events: int) -> None:
        """Have the reactor watch for *events*."""
        if watched.is_lost:
            return
        if watched.fileno() == -1:
            watched.lose()
        elif watched.is_always_ready:
            if events:
                watched.note(events)
        elif watched.events != events:
            try:
                self._tell(watched, events)
            except OSError as exc:
                if exc.errno == errno.EPERM:
                    watched.is_always_ready = True
                    watched.note(events)
                elif exc.errno == errno.EBADF:
                    watched.lose()
                else:
                    raise

    def _tell(self, watched: Watched, events: int) -> None:
        """Tell the reactor the difference.  Raises what ``add_reader`` does; ``forget`` undoes all of it."""
        loop, fd = self._loop, watched.fd
        gone, new = watched.events & ~events, events & ~watched.events
        if new & READ:
            loop.add_reader(fd, watched.on_readable)
        if new & WRITE:
            loop.add_writer(fd, watched.on_writable)
        if gone & READ:
            loop.remove_reader(fd)
        if gone & WRITE:
            loop.remove_writer(fd)
        watched.events = events

    def _deafness(self, watched: Watched) -> int:
        """Return in which directions there is nothing to tell the channel, and see that it hears of the end."""
        channel = watched.channel
        deaf: int = getattr(channel, "_deaf", 0)
        if deaf & READ and not deaf & ENDED:
            if channel._rest_until:
                return self._rested(channel)
            if HAS_EDGES and not watched.has_edges:
                self._watch_edges(watched)
        return deaf

    def _rested(self, listener: Any) -> int:
        """Return what *listener*, which rests, is deaf to: nothing more if it has rested long enough."""
        if listener._rest_until <= self._loop.time():
            listener._rest_until = 0.0
            listener._deaf &= ~READ
        elif self._rest_ends is None or listener._rest_until < self._rest_ends:
            self._rest_ends = listener._rest_until
        return int(listener._deaf)

    def forget(self, fd: int) -> None:
        """Watch *fd* no more, and forget what happened to it.  Best before it is closed."""
        watched = self._watched.pop(fd, None)
        if watched is None or self.forked():
            return
        self._noted.pop(fd, None)
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        if self._edges is not None:
            self._edges.remove(fd)

    def _look_for_closed(self) -> None:
        """A descriptor that was closed by its bare number leaves an epoll set without a word: look for it."""
        now = self._loop.time()
        if now - self._looked >= LOOK_INTERVAL:
            self._looked = now
            for fd, watched in self._watched.items():
                if watched.events and not self._loop.ops.is_open(fd):
                    watched.lose()

    # -- urgent data and hang-ups ------------------------------------------------------------------------------

    def _watch_edges(self, watched: Watched) -> None:
        if self._edges is None:
            self._edges = Edges(self._loop, partial(_take_edges, weakref.ref(self)))
        self._edges.add(watched.fd)
        watched.has_edges = True

    def take_edges(self) -> None:
        """For the reactor: note what happened to the members of the set."""
        if self._edges is None:
            return
        for fd, has_urgent_data, is_hung_up in self._edges.take():
            watched = self._watched.get(fd)
            if watched is None:
                continue
            if has_urgent_data and handles_urgent(watched.channel):
                watched.note(URGENT)
            deaf = getattr(watched.channel, "_deaf", 0)
            if is_hung_up and deaf & READ and not deaf & ENDED:
                watched.channel._deaf |= ENDED
                watched.note(HUNG_UP)

    # -- no descriptors left -----------------------------------------------------------------------------------

    def keep_reserve(self) -> None:
        """Keep a descriptor for the day when there are no others: a channel of this watch accepts connections."""
        self._reserve.take()

    def rest(self, listener: Any) -> int:
        """Close what waits in the queue of the channel *listener*, with the help of the reserve, and let it rest.

        Return how many clients were turned away.
        """
        count = 0
        while count < SHED_BATCH and self._reserve.give_up():
            try:
                listener.socket.accept()[0].close()
                count += 1
            except OSError:
                break
            finally:
                self._reserve.take()
        listener._rest_until = self._loop.time() + ACCEPT_BACKOFF
        listener._deaf |= READ
        return count

    def forked(self) -> bool:
        """Return True if this is a child process, and the watch its parent's."""
        return self._pid != os.getpid()

    # -- the end -----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give everything back.  The watch of this thread is made anew at the next ``wait``."""
        if self._edges is not None:
            self._edges.close()
            self._edges = None
        self._watched.clear()
        self._noted.clear()
        self._reserve.give_up()
        self._loop.close()
        self.channels = None


def _take_edges(watch: weakref.ref[ChannelWatch]) -> None:
    """What the reactor runs.  It knows the watch weakly: a watch that nobody needs any more closes its reactor."""
    owner = watch()
    if owner is not None:
        owner.take_edges()


def _nothing() -> None:
    """What a watch runs when it is woken."""


# -- one watch for each thread ---------------------------------------------------------------------------------


class _Threads(threading.local):
    watch: ChannelWatch | None = None


_thread = _Threads()


def watch_of_thread() -> ChannelWatch:
    """Return the watch of this thread, made now if there is none, or only the parent process's."""
    watch = _thread.watch
    if watch is None or watch.forked():
        if watch is not None:
            watch.close()
        watch = _thread.watch = ChannelWatch()
    return watch


def watch_of(channels: Channels) -> ChannelWatch | None:
    """Return the watch of this thread if it is on this map."""
    watch = _thread.watch
    return watch if watch is not None and watch.channels is channels else None


@atexit.register
def _close_at_exit() -> None:
    """A program may end with its channels open, as it always could: what is beneath them is not its to close."""
    watch, _thread.watch = _thread.watch, None
    if watch is not None and not watch.forked():
        watch.close()


def give_back(channels: Channels) -> None:
    """Close the watch of this thread if its map is empty: nobody will wait."""
    watch = watch_of(channels)
    if watch is not None and not channels and not watch.is_waiting():
        _thread.watch = None
        watch.close()


def wake(channels: Channels, for_newcomer: bool = False) -> None:
    """Let whoever waits for *channels* ask them again.  Any thread, any signal handler."""
    for watch in list(_waiting):
        if watch.channels is channels:
            watch.wake(for_newcomer)
