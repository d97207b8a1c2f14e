"""Who waits for which descriptor.

A registration holds at most one reader and one writer for a descriptor.  Three things can go wrong between the
moment when the kernel says "ready" and the moment when the callback runs, because other callbacks run in between:

- the callback was removed: its place in the registration is empty, and nothing runs;
- it was replaced: what the kernel said was meant for its predecessor.  So each callback carries the number of the
  turn in which it was registered (its *generation*), and one that is as young as the turn itself is passed over.
  If there really is something to read, a level-triggered poller says so again in the next turn;
- the descriptor was closed and its number given to another file, which was registered.  That made a new
  registration; the ready event still points to the old one, which is empty.

Whatever is added is told to the kernel, even if the books say that it knows: numbers are reused behind our back,
and asyncio's loops, which trust their books, never hear from such a descriptor again.

The other half of this is ``Engine._dispatch``, which compares the generations.  Read next: ``wakeup``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

from reactor.core.polling.contract import Poller, descriptor_of
from reactor.core.polling.forked import ForkedPoller
from reactor.errors import DescriptorClosed, NotHostable
from reactor.telling.counters import Counters
from reactor.telling.reports import describe

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

    from reactor.telling.probe import Probe


class Registration:
    """The reader and the writer of one descriptor, with the turn in which each was registered."""

    __slots__ = ("reader", "reader_since", "writer", "writer_since")

    def __init__(self, event: int = 0, callback: Callable[[], object] | None = None, turn: int = 0) -> None:
        self.reader = callback if event & EVENT_READ else None
        self.writer = callback if event & EVENT_WRITE else None
        self.reader_since = self.writer_since = turn

    def __repr__(self) -> str:
        callbacks = (("read", self.reader), ("write", self.writer))
        waiting = [f"to {verb}: {describe(callback)}" for verb, callback in callbacks if callback is not None]
        return f"<{type(self).__name__} {'; '.join(waiting) or 'of nobody'}>"

    def put(self, event: int, callback: Callable[[], object] | None, turn: int) -> None:
        """Set the callback for *event*; None empties the place."""
        if event & EVENT_READ:
            self.reader, self.reader_since = callback, turn
        if event & EVENT_WRITE:
            self.writer, self.writer_since = callback, turn


class Registry:
    """The registrations of one reactor, and the poller that watches them."""

    __slots__ = ("_counters", "_report", "poller", "probe", "turn")

    def __init__(self, poller: Poller, counters: Counters, report: Callable[[BaseException, object], None]) -> None:
        #: What waits, and knows who is registered.
        self.poller = poller
        self.probe: Probe | None = None
        #: The number of the current turn; the engine increases it just before it polls.
        self.turn = 0
        self._counters = counters
        self._report = report

    # -- what is watched ---------------------------------------------------------------------------------------

    def add(self, fileobj: Any, event: int, callback: Callable[[], object]) -> int:
        """Run *callback* whenever *fileobj* is ready for *event*; replaces the callback it had for that.  Return
        its descriptor.

        Raises ValueError if *fileobj* is not an open file, OSError if the kernel cannot watch it (EPERM under epoll
        for a regular file), DescriptorTooLarge under select.  Nothing is changed then.
        """
        fd = descriptor_of(fileobj)
        key = self.poller.key_of(fd)
        if key is not None and is_closed(key.fileobj):
            # The file was closed while it was registered, and its number has a new owner.  If it lives on under
            # another number (a duplicate), an epoll set goes on to report it, now in the new owner's name: only a
            # new set forgets it.
            self._drop(key)
            if self.poller.outlives_close:
                self._rebuild()
            key = None
        if key is None:
            self.poller.enter(fileobj, fd, event, Registration(event, callback, self.turn))
        else:
            # Told to the kernel even if the books say that nothing changes: the number may be another file's by
            # now, of which the kernel has never heard.
            registration = key.data
            self.poller.modify(fd, key.events | event, registration)
            # Last, so that a kernel that refuses leaves the callback as it was.  Even the same callback gets
            # today's number: an event that was found before now may be about another file.
            registration.put(event, callback, self.turn)
        if self.probe is not None:
            self.probe.registered(fd, event if key is None else key.events | event)
        return fd

    def remove(self, fileobj: Any, event: int) -> bool:
        """Stop watching *fileobj* for *event*; return True if it was watched.  It may be closed already."""
        try:
            key = self.poller.key_of(descriptor_of(fileobj))
        except ValueError:
            key = self._key_of_closed(fileobj)
        if key is None or not key.events & event:
            # Nobody waits, or for the other direction only: whoever ends something need not know what was watched.
            return False
        # First, whatever the kernel says: a callback that was removed never runs, not even later in this turn.
        key.data.put(event, None, self.turn)
        rest = key.events & ~event
        if rest:
            try:
                self.poller.modify(key.fd, rest, key.data)
            except OSError as exc:
                if exc.errno != errno.EBADF:
                    raise
                # It was closed before it was removed, and somebody else still waits for the other direction.
                rest = 0
                self._drop_closed([key])
        else:
            self.poller.leave(key.fd)  # which forgives a descriptor that was closed: see ``Poller``
        if self.probe is not None:
            self.probe.registered(key.fd, rest)
        return True

    def key_of(self, fd: int) -> SelectorKey | None:
        """Return the selector's key of descriptor *fd*, None if nobody waits for it."""
        return self.poller.key_of(fd)

    def _key_of_closed(self, fileobj: Any) -> SelectorKey | None:
        try:
            return self.poller.get_key(fileobj)
        except KeyError:
            return None

    def _drop(self, key: SelectorKey) -> None:
        """Empty a registration whose file is gone."""
        # An event that was found ready in this turn still points to this registration, and finds it empty.
        key.data.put(EVENT_READ | EVENT_WRITE, None, self.turn)
        if self.key_of(key.fd) is not None:
            self.poller.unregister(key.fd)

    # -- what is out of order ----------------------------------------------------------------------------------

    def repair(self) -> None:
        """Put right what the poller found out of order: what is wrong in the kernel's books is reported again at
        every call, and a loop that only ignored it would spin."""
        poller = self.poller
        # A stray cannot be removed one by one: epoll_ctl(2) wants a descriptor of that file, and none is left here.
        if poller.strays:
            self._rebuild()
        if poller.closed:
            # Also what the rebuilding has just found.  A fresh list, for to report them runs foreign code.
            closed, poller.closed = poller.closed, []
            self._drop_closed([key for fd in closed if (key := self.key_of(fd)) is not None])

    def _rebuild(self) -> None:
        """Replace the kernel's set, which watches something that cannot be removed from it any more."""
        poller = self.poller
        self._counters.stray_wakeups += poller.strays
        poller.strays = 0
        poller.rebuild()
        self._counters.poller_rebuilds += 1

    def _drop_closed(self, keys: list[SelectorKey]) -> None:
        """Drop the registrations of descriptors that were closed without being removed, and say whose they were."""
        for key in keys:
            callback = key.data.reader or key.data.writer  # before it is forgotten: the report names it
            self._drop(key)
            self._counters.closed_descriptors += 1
            message = f"descriptor {key.fd} was closed while it was registered: remove its reader and writer first"
            self._report(DescriptorClosed(errno.EBADF, message), callback)

    # -- the poller itself -------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the poller's own descriptor.  Raises NotHostable if it has none."""
        fd = self.poller.fileno()
        if fd < 0:
            raise NotHostable(f"{self.poller.name} has no descriptor that another loop could watch: use epoll")
        return fd

    def forget_after_fork(self) -> None:
        """In a forked child: let go of the poller that the parent uses, and put one in its place that refuses.

        If a callback forked, the child is in the middle of a turn, and what the poller found ready is the parent's
        to read: a new number says that the turn is over.
        """
        self.turn += 1
        forked = ForkedPoller(dict(self.poller.get_map()))  # a copy: to drop a poller empties its books
        self.poller.drop()
        self.poller = forked

    def move_to(self, poller: Poller) -> None:
        """Register with *poller* everything that is registered now and still open, and use it from here on."""
        for key in self.poller.get_map().values():
            try:
                poller.register(key.fileobj, key.events, key.data)
            except (OSError, ValueError):
                # Closed in the meantime, as the child of a fork was told to do with what is not its own.
                key.data.put(EVENT_READ | EVENT_WRITE, None, self.turn)
        self.poller = poller


def is_closed(fileobj: Any) -> bool:
    """Return True if a registered object has been closed by its owner; a bare number does not show it."""
    try:
        descriptor_of(fileobj)
    except ValueError:
        return True
    return False
