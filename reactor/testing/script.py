"""What a double answers, call by call, and what it was asked.

Each double of this folder stands for something whose answers a test wants to choose: "the first ``recv`` gives
three bytes, the second would block, the third finds the connection reset".  Such a list of steps is kept for each
method by name.  A step that is an exception, or a class of exceptions, is raised; any other is what the method
makes its answer from.  A method whose steps are used up goes back to its ordinary answer.

The record is half the worth: ``calls`` holds every call in order, so a test can say that a descriptor was
unregistered *before* it was closed.  Read next: ``poller``, ``sockets`` and ``ops``, the doubles themselves.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class _Ordinary:
    """The type of ORDINARY, for the sake of its name in a failing test."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ORDINARY"


#: The step that stands for the ordinary answer: ``script("socket", ORDINARY, OSError(EMFILE, "full"))``.
ORDINARY: Any = _Ordinary()


class Script:
    """Steps by method name, and the record of calls as ``(name, *arguments)``."""

    __slots__ = ("_steps", "calls")

    def __init__(self) -> None:
        self._steps: dict[str, deque[Any]] = {}
        self.calls: list[tuple[Any, ...]] = []

    def add(self, name: str, steps: tuple[Any, ...]) -> None:
        """Append *steps* to those of *name*."""
        self._steps.setdefault(name, deque()).extend(steps)

    def put_back(self, name: str, step: Any) -> None:
        """Make *step* the next one of *name*: what is left of a step that was used in part."""
        self._steps.setdefault(name, deque()).appendleft(step)

    def note(self, name: str, *args: Any) -> None:
        """Record a call."""
        self.calls.append((name, *args))

    def next(self, name: str) -> Any:
        """Take the next step of *name*: return it, or raise it.  Returns ORDINARY if there is none."""
        steps = self._steps.get(name)
        if not steps:
            return ORDINARY
        step = steps.popleft()
        if isinstance(step, BaseException) or (isinstance(step, type) and issubclass(step, BaseException)):
            raise step
        return step

    def left(self, name: str) -> int:
        """Return how many steps of *name* have not been used."""
        return len(self._steps.get(name, ()))

    def named(self, *names: str) -> list[tuple[Any, ...]]:
        """Return the recorded calls of these methods, in order."""
        return [call for call in self.calls if call[0] in names]
