"""epoll(7), Linux 2002: the list of descriptors lives in the kernel, and a call returns only the ready ones.

Registering costs a system call, but then a turn costs as much as there are busy connections, however many are idle.
The price is a second set of books that can disagree with ours:

- The kernel's entry belongs to the *open file description*, not to the number.  Close a descriptor that has a
  duplicate (a child process, ``dup``, a socket that was passed on) without unregistering it, and the kernel goes
  on to report it, under a number that means nothing here or, worse, something else.  ``epoll_ctl`` cannot remove
  it: the number is closed.  Such reports are counted, and the only cure is a new epoll object (``rebuild``).
- A closed number without duplicates vanishes from the set by itself.  If the number comes back for another file,
  ``EPOLL_CTL_MOD`` says ENOENT; then it is added.
- After ``fork`` parent and child share one set.  The child must let go of it (``drop``) without changing it.

Level-triggered, like the other two: what was not read now is reported again.  Edge-triggered mode saves a few calls
and forces every reader to drain its socket, so that one fast peer owns the turn.
Read next: ``by_kqueue``, the same idea on other systems, or ``choose``.
"""

from __future__ import annotations

import errno
import select
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

from reactor.core.polling.contract import EVENT_BOTH, Poller, bounded
from reactor.errors import NotWatchable

#: Ready descriptors that one call may return; the kernel hands out the rest, in turn, at the next.
MAX_EVENTS = 1024


class EpollPoller(Poller):
    """A poller on epoll(7)."""

    __slots__ = ("_epoll",)

    name = "epoll"

    outlives_close = True

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()

    def fileno(self) -> int:
        """Return the descriptor of the epoll set, which other pollers can watch."""
        return self._epoll.fileno()

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait at most *timeout* seconds (None: without end) and return ``(key, events)`` for all that is ready."""
        ready = []
        known = self._keys.get
        wait = timeout if timeout is None or timeout == 0 else bounded(timeout)
        for fd, event in self._epoll.poll(wait, MAX_EVENTS):
            key = known(fd)
            if key is None:
                self.strays += 1  # it is closed here, and lives on as a duplicate: see above
            elif event == EPOLLIN:
                ready.append((key, EVENT_READ))  # nearly always
            else:
                # A hang-up or an error is told to whoever waits, in whichever direction: the next call will say it.
                mask = (event & ~EPOLLOUT and EVENT_READ) | (event & ~EPOLLIN and EVENT_WRITE)
                ready.append((key, mask & key.events))
        return ready

    def _watch(self, fd: int, events: int) -> None:
        try:
            self._epoll.register(fd, KERNEL_EVENTS[events])
        except PermissionError as exc:
            raise NotWatchable(
                exc.errno,
                f"epoll cannot watch descriptor {fd}: a regular file or a directory is always ready; read or "
                "write it without waiting (call_soon), or take the poller poll or select",
            ) from exc

    def _change(self, fd: int, events: int) -> None:
        try:
            self._epoll.modify(fd, KERNEL_EVENTS[events])
        except OSError as exc:
            if exc.errno != errno.ENOENT:
                raise
            self._watch(fd, events)  # the file that was watched is closed, and this one has got its number

    def _forget(self, fd: int) -> None:
        try:
            self._epoll.unregister(fd)
        except OSError as exc:
            # ENOENT, EBADF: it was closed, and the kernel has forgotten it already.  EPERM: the number was reused
            # for a file that cannot be watched at all.
            if exc.errno not in (errno.ENOENT, errno.EBADF, errno.EPERM):
                raise

    def rebuild(self) -> None:
        """Replace the epoll set by a new one with the same members, leaving out those that are closed by now."""
        self._epoll.close()
        self._epoll = select.epoll()
        for fd, key in self._keys.items():
            try:
                self._watch(fd, key.events)
            except OSError:
                self.closed.append(fd)

    def drop(self) -> None:
        """Close our descriptor of the set; the set lives on while another process holds it."""
        super().drop()
        self._epoll.close()


EPOLLIN = select.EPOLLIN
EPOLLOUT = select.EPOLLOUT

#: What is asked of epoll_ctl(2), by what the loop wants.
KERNEL_EVENTS = {EVENT_READ: EPOLLIN, EVENT_WRITE: EPOLLOUT, EVENT_BOTH: EPOLLIN | EPOLLOUT}
