"""Where faults are told: one place for what callbacks let escape, one for what peers do wrong.

A callback that raises is a bug on this side: it goes, with the exception and with whose callback it was, to the
exception handler, which by default logs a traceback.  A peer that breaks the protocol is everyday life on a
network and must not fill a disk: it is counted, and told in one line without a traceback, and of each kind only
so many lines in a span of time; how many were left out is said with the next line.

Both use the standard ``logging`` under the name ``reactor``, imported at the first line that is written.  Reporting
never raises: a callback whose ``repr`` fails, a handler that is broken, a stderr that is closed must not end a loop
that has survived the fault itself.  And what a peer chose, its name or its words, stays inside its line: see
``reactor.printable``.  Read next: ``handles``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from reactor.printable import printable
from reactor.telling.counters import Counters

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    import logging

#: Lines about one kind of fault of peers within REPEAT_SPAN seconds.
REPEAT_LINES = 5
REPEAT_SPAN = 10.0


def logger() -> logging.Logger:
    """Return the logger named ``reactor``."""
    import logging

    return logging.getLogger("reactor")


class Reports:
    """Tells faults, each in its own manner.  ``handler`` receives what callbacks let escape."""

    __slots__ = ("_clock", "_counters", "_told", "handler")

    def __init__(self, clock: Callable[[], float], counters: Counters) -> None:
        self.handler: Callable[[BaseException, object], object] = log_failure
        self._clock = clock
        self._counters = counters
        self._told: dict[str, list[float]] = {}

    def failure(self, exc: BaseException, source: object) -> None:
        """Tell that *source*, a callback or a protocol, let *exc* escape.  Never raises, whatever the handler
        does."""
        self._counters.callback_errors += 1
        try:
            self.handler(exc, source)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as second:
            log_failure(exc, source)
            log_failure(second, self.handler)

    def fault(self, kind: str, line: str) -> None:
        """Tell a fault of a peer or of the system in one *line*; lines of the same *kind* are rationed.

        The line may quote the peer: what is not printable in it is escaped.
        Never raises: whoever reports a fault is in the middle of repairing it.
        """
        now = self._clock()
        entry = self._told.setdefault(kind, [now, 0, 0])
        if now - entry[0] > REPEAT_SPAN:
            entry[0], entry[1] = now, 0
        if entry[1] >= REPEAT_LINES:
            entry[2] += 1
            return
        entry[1] += 1
        suffix = f" ({entry[2]:.0f} more of this kind were not told)" if entry[2] else ""
        entry[2] = 0
        try:
            logger().warning("%s%s", printable(line), suffix)
        except Exception as second:
            _write(f"reactor: {line}{suffix} (could not be logged: {shown(second)})")


def log_failure(exc: BaseException, source: object) -> None:
    """Log *exc* with its traceback: what happens unless another exception handler is set.  Never raises."""
    try:
        logger().error("unhandled exception in %s", describe(source), exc_info=exc)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as second:
        _write(f"reactor: {shown(exc)} in {describe(source)} could not be logged: {shown(second)}")


def _write(line: str) -> None:
    """Write *line* to stderr, the last resort; a program may have closed it, or never had one."""
    try:
        sys.stderr.write(f"{printable(line)}\n")
    except Exception:
        pass


def describe(source: object) -> str:
    """Return a short name for a callback or a protocol: what a reader of the log can look for in the source.  In
    debug mode it says as well by which line the callback was handed to the loop.

    Never raises, whatever the object does when it is looked at.
    """
    try:
        place = getattr(source, "made_at", None)
        suffix = f", made at {place}" if type(place) is str else ""
        source = getattr(source, "func", source)
        name = getattr(source, "__qualname__", None)
        if name is not None:
            module = getattr(source, "__module__", None)
            return printable(f"{module}.{name}{suffix}" if module else f"{name}{suffix}")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        pass
    return shown(source)


def shown(value: object) -> str:
    """Return ``repr(value)``, or the plain one that every object has if its own raises."""
    try:
        return printable(repr(value))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        return printable(object.__repr__(value))
