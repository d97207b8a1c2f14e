"""select(2), 1983: hand the kernel three sets of descriptors, get back the members that are ready.

The sets are bit maps of FD_SETSIZE bits, so a descriptor of 1024 or more cannot be asked about at all; it is
refused when it is registered, not when the loop is already running.  Every call copies the whole sets in and out
and the kernel looks at each member: the cost grows with the number of connections, not with the number of busy
ones.  It exists everywhere.  A closed member makes the whole call fail with EBADF, and nothing says which one it
was.  Read next: ``by_poll``, which lifts the limit and keeps the cost.
"""

from __future__ import annotations

import errno
import select
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

from reactor.core.polling.contract import Poller, bounded
from reactor.errors import DescriptorTooLarge

#: glibc, musl and the BSDs; not readable from Python, and the kernel itself has no such limit.
FD_SETSIZE = 1024


class SelectPoller(Poller):
    """A poller on select(2)."""

    __slots__ = ("_is_open", "_readers", "_writers")

    name = "select"

    def __init__(self, is_open: Callable[[int], bool]) -> None:
        super().__init__()
        self._is_open = is_open
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait at most *timeout* seconds (None: without end) and return ``(key, events)`` for all that is ready."""
        try:
            readable, writable, _ = select.select(self._readers, self._writers, (), bounded(timeout))
        except OSError as exc:
            if exc.errno != errno.EBADF:
                raise
            self.closed += [fd for fd in self._keys if not self._is_open(fd)]
            return []
        events = dict.fromkeys(readable, EVENT_READ)
        for fd in writable:
            events[fd] = events.get(fd, 0) | EVENT_WRITE
        keys = self._keys
        return [(keys[fd], mask) for fd, mask in events.items()]

    def _watch(self, fd: int, events: int) -> None:
        if fd >= FD_SETSIZE:
            raise DescriptorTooLarge(
                f"select() cannot watch descriptor {fd}: its sets end at {FD_SETSIZE - 1}; use poll or epoll"
            )
        self._change(fd, events)

    def _change(self, fd: int, events: int) -> None:
        for event, members in ((EVENT_READ, self._readers), (EVENT_WRITE, self._writers)):
            if events & event:
                members.add(fd)
            else:
                members.discard(fd)

    def _forget(self, fd: int) -> None:
        self._readers.discard(fd)
        self._writers.discard(fd)

    def drop(self) -> None:
        """Forget the sets: the kernel keeps nothing between two calls."""
        super().drop()
        self._readers.clear()
        self._writers.clear()
