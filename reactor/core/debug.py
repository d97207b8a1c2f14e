"""Debug mode: which callback held the loop up, and where it came from.

Two questions about a program on a loop have no answer in a traceback.  *Who was slow?*  A callback that takes 300
ms delays every connection, and nothing fails.  *Who asked for this?*  When a callback raises, or a timer is found
in the debugger, the stack begins at the loop and not at the line that armed it.

A reactor in debug mode is of another class, which is chosen once, when the reactor is made.  Its verbs wrap what
they are given in ``Made``, a partial that knows the file and line of the call, and its engine has a probe that
looks at the clock around each callback.  So a reactor that is not in debug mode has no line of code more and asks
nothing; the rejected choice, asyncio's, is an ``if self._debug`` in each verb.

The mode costs some microseconds a callback, and the pump, whose one callback calls many protocols: in debug mode
every stream receives by itself, so its callback is its protocol's.  Read next: ``reactor.net.reactor``.
"""

from __future__ import annotations

import sys
from functools import partial

from reactor.core.loop import Loop
from reactor.telling.probe import Probe
from reactor.telling.reports import describe, shown

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, TypeVarTuple

    from _typeshed import FileDescriptorLike  # of the type checkers' own stubs

    from reactor.core.handles import Handle, Timer

    Ts = TypeVarTuple("Ts")


def watch(loop: Loop) -> None:
    """Put *loop*, which was just made, into debug mode."""
    kind = type(loop)
    # Of the same layout and name: a program's own class, derived from Reactor, has this one in front of it.
    loop.__class__ = type(kind.__name__, (Watched, kind), {"__slots__": (), "__module__": kind.__module__})
    loop.set_probe(None)


class Made(partial):  # type: ignore[type-arg]  # of any callback
    """A callback that knows where it was made: ``made_at``, as ``file:line``.  ``func`` is the callback itself."""

    __slots__ = ("made_at",)

    made_at: str


def made(callback: Any, *args: object) -> Any:
    """Return *callback*, with the line of the program that asks for it; what cannot be called, as it is."""
    if not callable(callback):
        return callback
    wrapped = Made(callback, *args)
    wrapped.made_at = calling_line()
    return wrapped


def calling_line() -> str:
    """Return ``file:line`` of the innermost call that is not made by this package; if there is none before the loop
    itself, of the part of the package that asks."""
    frame: FrameType | None = sys._getframe(3)  # behind this, made() and the verb
    asking = frame
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == "reactor.core.engine":
            break
        if name != "reactor" and not name.startswith("reactor."):
            asking = frame
            break
        frame = frame.f_back
    return f"{asking.f_code.co_filename}:{asking.f_lineno}" if asking is not None else "an unknown place"


class Watched(Loop):
    """The verbs of a reactor in debug mode.  Only ``watch`` makes one, in front of the reactor's own class."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, in debug mode>"

    def set_probe(self, probe: Probe | None) -> None:
        """Have *probe* watch this loop, besides what debug mode watches; None for nobody."""
        super().set_probe(probe)
        self.engine.probe = Stopwatch(self, Probe() if probe is None else probe)

    def add_reader(self, fileobj: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """See ``Loop.add_reader``."""
        super().add_reader(fileobj, made(callback, *args))

    def add_writer(self, fileobj: FileDescriptorLike, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """See ``Loop.add_writer``."""
        super().add_writer(fileobj, made(callback, *args))

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts) -> Handle:
        """See ``Loop.call_soon``."""
        return super().call_soon(made(callback), *args)

    def call_soon_threadsafe(self, callback: Callable[[*Ts], object], *args: *Ts) -> Handle:
        """See ``Loop.call_soon_threadsafe``."""
        return super().call_soon_threadsafe(made(callback), *args)

    def call_at_turn_end(self, callback: Callable[[], object]) -> None:
        """See ``Loop.call_at_turn_end``."""
        super().call_at_turn_end(made(callback))

    def add_signal_handler(self, signum: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """See ``Loop.add_signal_handler``."""
        super().add_signal_handler(signum, made(callback), *args)

    def _arm(
        self,
        verb: str,
        when: float,
        callback: Callable[[*Ts], object],
        args: tuple[*Ts],
        interval: float | None = None,
    ) -> Timer:
        return super()._arm(verb, when, made(callback), args, interval)


class Stopwatch(Probe):
    """Tells of callbacks of *loop* that take as long as its ``slow_callback_duration``, or longer; *inner* is the
    program's own probe."""

    __slots__ = ("_inner", "_loop", "polled", "turn_began")

    def __init__(self, loop: Any, inner: Probe) -> None:
        self._loop = loop
        self._inner = inner
        # An engine calls these two of its probe besides ``run``.
        self.turn_began = inner.turn_began  # type: ignore[method-assign]
        self.polled = inner.polled  # type: ignore[method-assign]

    def run(self, callback: Callable[..., object], *args: object) -> None:
        """Run *callback*, and look how long it takes."""
        loop = self._loop
        owner = owner_of(callback)  # before it runs: a connection that has ended has no protocol any more
        began = loop.clock()
        try:
            self._inner.run(callback, *args)
        finally:
            took = loop.clock() - began
            if took >= loop.slow_callback_duration:
                loop.counters.slow_callbacks += 1
                name = describe(callback) if owner is None else f"{describe(type(owner[1]))} on {shown(owner[0])}"
                loop.reports.fault("slow callback", f"{name} took {took * 1000:.0f} ms, and all others waited")


def owner_of(callback: object) -> tuple[object, object] | None:
    """Return the transport whose method *callback* is, and its protocol; None if it is something else's."""
    while isinstance(callback, partial):
        callback = callback.func
    try:
        transport = getattr(callback, "__self__", None)
    except Exception:  # a proxy may refuse every question; it is called all the same
        return None
    if not type(transport).__module__.startswith("reactor."):
        return None
    ask = getattr(transport, "get_protocol", None)
    protocol = None if ask is None else ask()
    return None if protocol is None else (transport, protocol)
