"""The places at which a reactor can be watched.

A probe is an object with the methods below; ``Reactor.set_probe`` installs one.  To record, draw or
count what the loop does, derive from ``Probe`` and override what you need; the loop itself never imports a
recorder.  Without a probe each place costs one ``is not None``.

The methods are called in the reactor's thread, in the middle of its work: they must return soon and must not touch
the reactor.  What they raise is not caught.  ``engine`` calls most of them.  Read next: ``counters``,
which are always on.
"""

from __future__ import annotations

from collections.abc import Callable


class Probe:
    """Does nothing at every place.  Override what you want to see."""

    __slots__ = ()

    def turn_began(self, turn: int, wait: float | None) -> None:
        """Turn number *turn* is about to wait for *wait* seconds (0: it only looks, None: until something
        happens)."""

    def polled(self, ready: int) -> None:
        """The poller returned *ready* descriptors."""

    def run(self, callback: Callable[..., object], *args: object) -> None:
        """Run *callback*: overriding this sees its beginning, its end and what it raises, which must pass
        through."""
        callback(*args)

    def registered(self, fd: int, events: int) -> None:
        """The reactor now waits for *events* (``selectors.EVENT_READ``, ``EVENT_WRITE``) on *fd*; 0: no more."""

    def opened(self, transport: object) -> None:
        """A transport was opened and its protocol is about to be told."""

    def received(self, transport: object, size: int) -> None:
        """*size* bytes came out of the kernel."""

    def sent(self, transport: object, size: int) -> None:
        """The kernel took *size* bytes."""

    def closed(self, transport: object, exc: BaseException | None) -> None:
        """A transport is gone; *exc* says why, None if both ends agreed."""
