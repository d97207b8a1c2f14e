"""A look-up from the side of the one who wants to know: it is answered once, cancelled, or given up in time.

It calls back, and it is a future as well, so both of these are a look-up::

    loop.resolver.getfqdn("192.0.2.7", callback=print)
    name = loop.run_until(loop.resolver.getfqdn("192.0.2.7"))

A failure is an answer like any other: the callback is given an exception, ``result`` raises it.  The callback runs
from the loop, never from inside the call that asked, even if the answer was known: a callback that comes sometimes
before and sometimes after that call returns is two programs in one.

Several who ask the same share one ``Question``, each with his own callback and his own patience.  Read next:
``resolver``.
"""

from __future__ import annotations

from types import GenericAlias

from reactor.errors import LookupCancelled, UsageError

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Generic

    from typing_extensions import TypeVar  # of the type checkers' own stubs: this one has a default

    from reactor.core.handles import Timer
    from reactor.core.loop import Loop
    from reactor.net.names.requests import Request

    #: The answer.
    A_co = TypeVar("A_co", default=Any, covariant=True)
else:
    # The class is generic for the type checker, and derives from nothing at run time: typing is not imported.
    A_co = None
    Generic = {A_co: object}

#: ``Lookup._result`` as long as there is none.
OPEN = object()


class Question:
    """What one thread asks the system, or is to ask it, and the look-ups that wait for the answer."""

    __slots__ = ("lookups", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        #: In the order in which they came.
        self.lookups: dict[Lookup, None] = {}


class Lookup(Generic[A_co]):
    """One answer to one who asks.  Made by the methods of ``Resolver``; loop thread only."""

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)  # an annotation may say Lookup[...] where it is evaluated

    __slots__ = ("_callback", "_loop", "_question", "_request", "_result", "_timer")

    def __init__(self, loop: Loop, request: Request, callback: Callable[[Any], object] | None) -> None:
        self._loop = loop
        self._request = request
        self._callback = callback
        self._result: Any = OPEN
        self._question: Question | None = None
        self._timer: Timer | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._request.subject!r}, {'done' if self.done() else 'open'}>"

    def done(self) -> bool:
        """Return True if there is an answer, or never will be because it was cancelled."""
        return self._result is not OPEN

    is_done = done

    def result(self) -> A_co:
        """Return the answer, or raise why there is none: a LookupFailed or ServiceUnknown.

        Raises UsageError if it is still to come: wait for it with ``loop.run_until(lookup)``, or take a callback.
        """
        if not self.done():
            raise UsageError(f"{self!r} has no result yet: give it to run_until(), or take a callback")
        if isinstance(self._result, Exception):
            raise self._result
        answer: A_co = self._result
        return answer

    def cancel(self) -> None:
        """Make sure that the callback never runs.  Calling it twice, or too late, does nothing.

        Allowed after the reactor's end.  Raises WrongThread.
        """
        if not self._loop.is_closed():
            self._loop.check()
        if not self.done():
            self._end(LookupCancelled(f"the look-up of {self._request.subject!r} was cancelled"))

    # -- for the resolver --------------------------------------------------------------------------------------

    def wait_for(self, question: Question, timeout: float | None) -> None:
        """Be answered when *question* is, or with a failure in *timeout* seconds."""
        self._question = question
        question.lookups[self] = None
        if timeout is not None:
            self._timer = self._loop.call_later(timeout, self._expire, timeout)

    def answer(self, answer: Any) -> None:
        """Take *answer*, the system's, and run the callback, unless that has happened or is not to happen."""
        if not self.done():
            callback = self._callback
            result = self._request.result(answer)
            self._end(result)
            if callback is not None:
                callback(result)

    def _expire(self, timeout: float) -> None:
        self.answer(TimeoutError(f"the look-up took longer than {timeout:g} s"))

    def _end(self, result: Any) -> None:
        self._result = result
        self._callback = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._question is not None:
            self._question.lookups.pop(self, None)
            self._question = None
