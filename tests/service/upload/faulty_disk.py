"""A disk that does what a test wants: fails at the third write, writes half of it, waits, or writes down its calls.

It is the real one, except where a script says otherwise: ``disk.script("fsync", ORDINARY, OSError(EIO, "..."))``
makes the second fsync fail.  A step that is a function is called in the place of the call, with its arguments.
``calls`` holds every call in order, and ``threads`` the threads from which they came.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from reactor.service.upload.disk import Disk
from reactor.testing.script import ORDINARY, Script

#: The calls that change what is on the disk, or make it durable: between two of them a crash leaves a state.
STEPS = ("open", "pwrite", "ftruncate", "fdatasync", "fsync", "link", "rename", "unlink", "mkdir")


class FaultyDisk(Disk):
    """The real disk, on a script."""

    def __init__(self) -> None:
        self._script = Script()
        self._lock = threading.Lock()
        self.threads: set[int] = set()

    def script(self, operation: str, *steps: Any) -> FaultyDisk:
        """Append *steps* to those of *operation*; return the object itself."""
        assert hasattr(Disk, operation)
        self._script.add(operation, steps)
        return self

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        """Every call so far, as (name, arguments...)."""
        return list(self._script.calls)

    def names(self, *wanted: str) -> list[str]:
        """The names of the calls so far, of those that are *wanted*; by default of those that change something."""
        return [name for name, *_ in self.calls if name in (wanted or STEPS)]

    def perform(self, name: str, ordinary: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Do what the script says."""
        with self._lock:
            self.threads.add(threading.get_ident())
            self._script.note(name, *args)
            step = self._script.next(name)
        if step is ORDINARY:
            return ordinary(*args, **options)
        return step(*args, **options) if callable(step) else step


def _intercepted(name: str) -> Any:
    ordinary = getattr(Disk, name)
    if name in ("names_in", "free_bytes", "name_bytes"):
        return lambda self, *args: self.perform(name, ordinary.__get__(self), *args)
    return lambda self, *args, **options: self.perform(name, ordinary, *args, **options)


for _name in [name for name in vars(Disk) if not name.startswith("_")]:
    setattr(FaultyDisk, _name, _intercepted(_name))
