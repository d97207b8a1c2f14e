"""What stands where the poller was, in a forked child: it remembers what was registered and watches nothing.

The child may still clean up, so what it takes out is taken out of the books; ``Loop.reopen`` tells a new kernel
object of what is left.  Read next: ``reactor.core.registry``.
"""

from __future__ import annotations

from selectors import SelectorKey

from reactor.core.polling.contract import Poller
from reactor.errors import ForkedReactor


class ForkedPoller(Poller):
    """A poller that refuses to wait and to watch anything new; *keys* are those that the child inherited."""

    __slots__ = ()

    name = "forked"

    def __init__(self, keys: dict[int, SelectorKey]) -> None:
        super().__init__()
        self._keys = keys

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Refuse: raises ForkedReactor."""
        raise ForkedReactor(
            "this reactor was open when the process forked, and its poller belongs to the parent: "
            "call reopen() in the child, or close() it and make a new one"
        )

    def _watch(self, fd: int, events: int) -> None:
        self.select()

    def _change(self, fd: int, events: int) -> None:
        """Only the books change; ``reopen`` will tell the kernel."""

    def _forget(self, fd: int) -> None:
        """Only the books change: the kernel's set is the parent's."""
