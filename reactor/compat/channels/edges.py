"""The two conditions of a descriptor that a reactor does not report: urgent data, and the end of who only listens.

A reactor tells readers and writers.  asyncore has a third event, ``handle_expt``: urgent (out-of-band) data of TCP,
which select(2) calls an exceptional condition and poll(2) POLLPRI.  And a channel that neither reads nor writes at
present would never learn that its connection broke.  Both are asked of an epoll set of our own, whose one
descriptor is an ordinary reader on the reactor, whatever poller that has: a set can be watched like a socket.

The set is **edge-triggered**.  Urgent data stays urgent until it is read, so the level-triggered original called
``handle_expt`` in every turn, forever, if nobody read it; here each arrival is told once.

Only who asks is put into the set, and most programs ask for neither, so the set is made at the first question.
Without epoll there are no such events.  Read next: ``watch``.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reactor.core.loop import Loop

#: True where urgent data and hang-ups can be told.
HAS_EDGES = hasattr(select, "epoll")


class Edges:
    """An edge-triggered epoll set as a reader on *loop*, which calls *on_edge* when something has happened."""

    __slots__ = ("_epoll", "_loop", "_members")

    def __init__(self, loop: Loop, on_edge: Callable[[], object]) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._members: set[int] = set()
        try:
            loop.add_reader(self._epoll, on_edge)
        except BaseException:
            self._epoll.close()
            raise

    def add(self, fd: int) -> None:
        """Report urgent data and hang-ups of *fd* from now on.  What cannot have them is left out."""
        try:
            self._epoll.register(fd, select.EPOLLPRI | select.EPOLLET)
        except FileExistsError:
            self._epoll.modify(fd, select.EPOLLPRI | select.EPOLLET)
        except OSError:
            return  # a regular file, or closed by now
        self._members.add(fd)

    def remove(self, fd: int) -> None:
        """Report nothing of *fd* any more; it may be closed, or never have been added."""
        if fd in self._members:
            self._members.remove(fd)
            try:
                self._epoll.unregister(fd)
            except OSError:
                pass  # closed: the kernel has forgotten it already

    def take(self) -> Iterator[tuple[int, bool, bool]]:
        """Yield ``(fd, has_urgent_data, is_hung_up)`` of what has happened since the last call."""
        for fd, event in self._epoll.poll(0):
            yield fd, bool(event & select.EPOLLPRI), bool(event & (select.EPOLLHUP | select.EPOLLERR))

    def close(self) -> None:
        """Give this process's descriptor of the set back, and change nothing: a parent process may be using it."""
        self._loop.remove_reader(self._epoll)
        self._epoll.close()
