"""What a reactor does in a child process that was forked while it was open.

The child inherits every descriptor, the poller's among them, and an epoll set is shared, not copied: a child that
unregisters "its" connections unregisters the parent's.  asyncio and uvloop leave this to luck.  Here every open
reactor is told in the child, before any other Python code runs there.  It lets go of the poller without a word to
the kernel and refuses to run until it is opened again.

``os.register_at_fork`` has no opposite, so it is called once for the process, with a set that holds the open
reactors weakly: a reactor that was closed or collected is told nothing.
"""

from __future__ import annotations

from weakref import WeakSet

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

    from reactor.ops import Ops

_open_reactors: WeakSet[Any] = WeakSet()
_hooked: list[bool] = []


def watch_for_fork(reactor: Any, ops: Ops) -> None:
    """Have ``reactor._forget_after_fork()`` called in every child that is forked while *reactor* is open."""
    _open_reactors.add(reactor)
    if not _hooked:
        _hooked.append(True)
        ops.after_fork_in_child(_tell_all)


def unwatch_for_fork(reactor: Any) -> None:
    """Forget *reactor*: it is closed."""
    _open_reactors.discard(reactor)


def _tell_all() -> None:
    for reactor in list(_open_reactors):
        reactor._forget_after_fork()
