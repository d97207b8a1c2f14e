"""Somebody else's selector, dressed as one of ours: the standard library's, or any ``selectors.BaseSelector``.

So the loop knows one kind of poller.  The selector watches bare numbers with nothing attached, and the keys that
the loop sees are in our own books: what the selector does with its own is its business.  Three habits of the
standard library's selectors are made good here:

- they spare themselves a modification that changes nothing.  A number may have been given to another file
  meanwhile, of which the kernel has never heard, so it is then taken out and put in again;
- they forget a descriptor whose modification has failed;
- select(2) fails as a whole, with EBADF, for one descriptor that was closed: it is looked for and put into
  ``closed``.

What they do not find out is not promised either: strays, and closed descriptors under poll and epoll.
Read next: ``choose``, which does the dressing.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from selectors import BaseSelector, SelectorKey

from reactor.core.polling.contract import Poller, bounded


class ForeignPoller(Poller):
    """A poller on *selector*, which is closed with it.  Its ``name`` is that of the selector's class."""

    __slots__ = ("_is_open", "_selector", "name")

    def __init__(self, selector: BaseSelector, is_open: Callable[[int], bool]) -> None:
        super().__init__()
        self.name = type(selector).__name__
        self._selector = selector
        self._is_open = is_open

    def fileno(self) -> int:
        """Return the selector's descriptor, -1 if it has none."""
        return int(self._selector.fileno()) if hasattr(self._selector, "fileno") else -1

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait at most *timeout* seconds (None: without end) and return ``(key, events)`` for all that is ready."""
        try:
            found = self._selector.select(bounded(timeout))
        except OSError as exc:
            closed = [fd for fd in self._keys if not self._is_open(fd)]
            if exc.errno != errno.EBADF or not closed:
                raise
            self.closed += closed
            return []
        keys = self._keys
        # Its owner may have registered something of his own, which the loop knows nothing of.
        return [(keys[key.fd], events) for key, events in found if key.fd in keys]

    def _watch(self, fd: int, events: int) -> None:
        self._selector.register(fd, events)

    def _change(self, fd: int, events: int) -> None:
        if events != self._keys[fd].events:
            try:
                self._selector.modify(fd, events)
                return
            except KeyError:
                pass
            except OSError as exc:
                if exc.errno != errno.ENOENT:
                    raise
        self._forget(fd)
        self._watch(fd, events)

    def _forget(self, fd: int) -> None:
        try:
            self._selector.unregister(fd)
        except KeyError:
            pass

    def drop(self) -> None:
        """Close the selector.  In a forked child that is its own copy of the descriptor: the parent's set stays."""
        super().drop()
        self._selector.close()
