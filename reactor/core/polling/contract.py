"""What a poller owes the loop.

A poller is a ``selectors.BaseSelector`` that promises more than that class does, and the loop knows no other kind:
a selector of the standard library, or anyone's own, is dressed as one (see ``foreign``).

- ``select`` never returns before its timeout with nothing in hand, whatever unit the system call counts in: a
  timer is never early, and a loop never spins through the last millisecond.
- An event for a descriptor that is not registered is not hidden.  It is counted in ``strays``, for it means that
  the kernel still watches something which nobody here can switch off.
- A descriptor that was closed while it was registered is found and put into ``closed`` instead of raising, or of
  being reported ready again and again.
- ``drop`` closes what the poller itself holds in the kernel and touches nothing that a parent process shares.

The shared part below keeps the books: a dictionary from descriptor to ``selectors.SelectorKey``.  A backend adds
the four kernel calls ``_watch``, ``_change``, ``_forget`` and ``select``.  Read next: ``by_select``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector, SelectorKey
from types import MappingProxyType

from reactor.arguments import LARGEST_INT, shown
from reactor.errors import OptionError
from reactor.limits import MAX_WAIT

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

EVENT_BOTH = EVENT_READ | EVENT_WRITE


def descriptor_of(fileobj: Any) -> int:
    """Return the descriptor of *fileobj*: an int, or an object with ``fileno()``.

    Raises OptionError, a ValueError as that of the ``selectors`` module, if it is neither or is closed (fileno() is
    -1).
    """
    try:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
    except (AttributeError, TypeError):  # a class has a fileno() too, which wants a self
        fd = -1
    if not isinstance(fd, int) or not 0 <= fd <= LARGEST_INT:
        raise OptionError(
            f"{shown(fileobj)} is not an open file: give a descriptor, or an object whose fileno() is one"
        )
    return fd


def bounded(timeout: float | None) -> float | None:
    """Return *timeout* in seconds as the system calls can take it: not negative, and not beyond their int.

    Raises OptionError for NaN."""
    if timeout is not None and timeout != timeout:
        raise OptionError("a timeout is a number of seconds or None, not NaN")
    return None if timeout is None else min(max(timeout, 0), MAX_WAIT)


class Poller(BaseSelector):
    """The books of a poller.  ``name`` is the word by which a user asks for it."""

    __slots__ = ("_keys", "closed", "strays")

    name = ""

    #: The kernel's books may hold an entry longer than its descriptor is open.
    outlives_close = False

    #: True while the poller holds things that are ready and have not been returned: the next ``select`` must not
    #: wait, and a loop that is about to sleep must not.  A poller that returns all it knows never has any.
    has_backlog = False

    def __init__(self) -> None:
        self._keys: dict[int, SelectorKey] = {}
        #: Events seen for descriptors that are not registered.
        self.strays = 0
        #: Registered descriptors that ``select`` found closed; the loop drops them and empties the list.
        self.closed: list[int] = []

    def register(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Watch *fileobj* for *events*.  Raises ValueError for bad events or files, KeyError if it is registered,
        OSError if the kernel refuses (EPERM for regular files under epoll, ENOSPC)."""
        if not events or events & ~EVENT_BOTH:
            raise ValueError(f"events must be EVENT_READ, EVENT_WRITE or both, not {events!r}")
        fd = descriptor_of(fileobj)
        if fd in self._keys:
            raise KeyError(f"descriptor {fd} is registered already")
        return self.enter(fileobj, fd, events, data)

    def enter(self, fileobj: Any, fd: int, events: int, data: Any) -> SelectorKey:
        """Do what ``register`` does, for whoever has checked that *fd* is open, and is not registered."""
        self._watch(fd, events)
        # What ``SelectorKey(...)`` does: a namedtuple's own constructor is a Python function, 200 ns more.
        key = self._keys[fd] = tuple.__new__(SelectorKey, (fileobj, fd, events, data))
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> SelectorKey:
        """Watch for *events* from now on.  Always tells the kernel.  Raises KeyError if it is not registered."""
        key = self.get_key(fileobj)
        self._change(key.fd, events)
        key = self._keys[key.fd] = SelectorKey(key.fileobj, key.fd, events, data)
        return key

    def unregister(self, fileobj: Any) -> SelectorKey:
        """Watch no more.  Raises KeyError if it is not registered; a closed descriptor is no error."""
        key = self.get_key(fileobj)
        self.leave(key.fd)
        return key

    def leave(self, fd: int) -> None:
        """Do what ``unregister`` does, for whoever knows that *fd* is registered."""
        del self._keys[fd]
        self._forget(fd)

    def get_key(self, fileobj: Any) -> SelectorKey:
        """Return the key of *fileobj*, found by descriptor, or by identity if it was closed meanwhile."""
        try:
            return self._keys[fileobj if type(fileobj) is int else descriptor_of(fileobj)]
        except KeyError as exc:
            raise KeyError(f"descriptor {exc} is not registered") from None
        except ValueError:
            for key in self._keys.values():
                if key.fileobj is fileobj:
                    return key
            raise KeyError(f"{fileobj!r} is not registered") from None

    def key_of(self, fd: int) -> SelectorKey | None:
        """Return the key of descriptor *fd*; None if it is not registered."""
        return self._keys.get(fd)

    def get_map(self) -> Mapping[Any, SelectorKey]:
        """Return a read-only view of the keys by descriptor (int)."""
        return MappingProxyType(self._keys)

    def rebuild(self) -> None:
        """Make a new kernel object and register everything with it.  Nothing to do where there is no such
        object."""

    def drop(self) -> None:
        """Release the kernel object without telling it anything: a parent process may be using it."""
        self._keys.clear()

    def close(self) -> None:
        """Release everything."""
        self.drop()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when ``select`` has something to say, -1 if there is none."""
        return -1

    @abstractmethod
    def _watch(self, fd: int, events: int) -> None:
        """Begin to watch *fd*, which the kernel does not know yet."""

    @abstractmethod
    def _change(self, fd: int, events: int) -> None:
        """Watch *fd* for other events; if the kernel forgot it (closed, and its number reused), watch it again."""

    @abstractmethod
    def _forget(self, fd: int) -> None:
        """Stop watching *fd*, which may be closed."""
