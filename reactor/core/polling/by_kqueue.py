"""kqueue(2), FreeBSD 2000 and macOS: epoll's idea with one filter per direction and changes handed over in batches.

Here reading and writing on one descriptor are two separate entries, so each change is computed against what the
kernel already has.  An entry vanishes when its descriptor is closed, duplicates or not: there are no strays to
repair.  Read next: ``foreign``.
"""

from __future__ import annotations

import errno
import select as _select
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

from reactor.core.polling.contract import Poller, bounded

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

#: The module's kqueue names exist on the BSDs and macOS only, so nothing may be said of their types here.
select: Any = _select

#: Changes that one call may return; the kernel hands out the rest, in turn, at the next.
MAX_EVENTS = 1024


class KqueuePoller(Poller):
    """A poller on kqueue(2)."""

    __slots__ = ("_kqueue",)

    name = "kqueue"

    def __init__(self) -> None:
        super().__init__()
        self._kqueue = select.kqueue()

    def fileno(self) -> int:
        """Return the descriptor of the queue, which other pollers can watch."""
        return int(self._kqueue.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait at most *timeout* seconds (None: without end) and return ``(key, events)`` for all that is ready."""
        ready: dict[int, int] = {}
        for event in self._kqueue.control(None, MAX_EVENTS, bounded(timeout)):
            direction = EVENT_READ if event.filter == select.KQ_FILTER_READ else EVENT_WRITE
            ready[event.ident] = ready.get(event.ident, 0) | direction
        self.strays += sum(fd not in self._keys for fd in ready)
        return [(self._keys[fd], mask & self._keys[fd].events) for fd, mask in ready.items() if fd in self._keys]

    def _control(self, fd: int, events: int, flags: int) -> None:
        for event, kernel_filter in ((EVENT_READ, select.KQ_FILTER_READ), (EVENT_WRITE, select.KQ_FILTER_WRITE)):
            if events & event:
                self._kqueue.control([select.kevent(fd, kernel_filter, flags)], 0, 0)

    def _add(self, fd: int, events: int, previous: int) -> None:
        """Add the filters for *events*; if one is refused, leave those of *previous*."""
        try:
            self._control(fd, events, select.KQ_EV_ADD)
        except OSError:
            self._delete(fd, events & ~previous)
            raise

    def _watch(self, fd: int, events: int) -> None:
        self._add(fd, events, 0)

    def _change(self, fd: int, events: int) -> None:
        previous = self._keys[fd].events
        self._add(fd, events, previous)
        self._delete(fd, previous & ~events)

    def _forget(self, fd: int) -> None:
        self._delete(fd, EVENT_READ | EVENT_WRITE)

    def _delete(self, fd: int, events: int) -> None:
        for event in (EVENT_READ, EVENT_WRITE):
            try:
                self._control(fd, events & event, select.KQ_EV_DELETE)
            except OSError as exc:
                if exc.errno not in (errno.ENOENT, errno.EBADF):
                    raise

    def drop(self) -> None:
        """Close the queue.  A forked child does not inherit it, so that there the number may stand for nothing."""
        super().drop()
        try:
            self._kqueue.close()
        except OSError:
            pass
