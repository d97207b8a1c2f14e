"""Where faults are told: one place for what callbacks let escape, one for what peers do wrong.

A callback that raises is a bug on this side: it goes, with the exception and with whose callback it was, to the
exception handler, which by default logs a traceback.  A peer that breaks the protocol is everyday life on a
network and must not fill a disk: it is counted, and told in one line without a traceback, and of each kind only
so many lines in a span of time; how many were left out is said with the next line.

Both use the standard ``logging`` under the name ``reactor``, imported at the first line that is written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from reactor.core.counters import Counters

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
            logger().warning("%s%s", line, suffix)
        except Exception as second:
            sys.stderr.write(f"reactor: {line}{suffix} (could not be logged: {second!r})\n")


def log_failure(exc: BaseException, source: object) -> None:
    """Log *exc* with its traceback: what happens unless another exception handler is set."""
    try:
        logger().error("unhandled exception in %s", describe(source), exc_info=exc)
    except Exception as second:
        sys.stderr.write(f"reactor: {exc!r} in {source!r} could not be logged: {second!r}\n")


def describe(source: object) -> str:
    """Return a short name for a callback or a protocol: what a reader of the log can look for in the source."""
    source = getattr(source, "func", source)
    name = getattr(source, "__qualname__", None)
    if name is None:
        return repr(source)
    module = getattr(source, "__module__", None)
    return f"{module}.{name}" if module else str(name)
