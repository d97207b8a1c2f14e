"""poll(2), 1986: hand the kernel a list of (descriptor, events wanted), get back the entries that are ready.

No limit on the number of a descriptor, and one entry can tell more than two bits: POLLHUP (the other end is
gone), POLLERR, and POLLNVAL (this descriptor is not open) come whether they were asked for or not.  The kernel
still looks at every entry in every call.  For a handful of descriptors it is the cheapest of all: nothing was set
up beforehand.  Read next: ``by_epoll``, which leaves the list in the kernel.
"""

from __future__ import annotations

import math
import select
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

from reactor.core.polling.contract import EVENT_BOTH, Poller, bounded


class PollPoller(Poller):
    """A poller on poll(2)."""

    __slots__ = ("_poll",)

    name = "poll"

    def __init__(self) -> None:
        super().__init__()
        self._poll = select.poll()

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait at most *timeout* seconds (None: without end) and return ``(key, events)`` for all that is ready."""
        ready = []
        keys = self._keys
        wait = bounded(timeout)
        for fd, event in self._poll.poll(None if wait is None else math.ceil(wait * 1000)):
            if event == select.POLLIN:
                ready.append((keys[fd], EVENT_READ))
            elif event & select.POLLNVAL:
                self.closed.append(fd)
            else:
                # A hang-up or an error is told to whoever waits, in whichever direction: the next call will say it.
                mask = (event & ~select.POLLOUT and EVENT_READ) | (event & ~select.POLLIN and EVENT_WRITE)
                key = keys[fd]
                ready.append((key, mask & key.events))
        return ready

    def _watch(self, fd: int, events: int) -> None:
        self._poll.register(fd, KERNEL_EVENTS[events])

    _change = _watch

    def _forget(self, fd: int) -> None:
        self._poll.unregister(fd)

    def drop(self) -> None:
        """Forget the list, which lives in this process."""
        super().drop()
        self._poll = select.poll()


#: What is asked of poll(2), by what the loop wants.
KERNEL_EVENTS = {
    EVENT_READ: select.POLLIN,
    EVENT_WRITE: select.POLLOUT,
    EVENT_BOTH: select.POLLIN | select.POLLOUT,
}
