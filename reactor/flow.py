"""Watermarks: when a writer should pause, when it may go on, and when it has gone too far.

Three byte counts bound what waits to be sent.  Above ``high`` the writer is asked to pause; at or below ``low``
it may resume; the distance between the two keeps it from being stopped and started at every packet.  ``cap`` is
for a writer that does not pause: one that adds to more than that loses the connection, because the alternative is
to run out of memory.  A single large write passes, however large: the cap is for what piles up.

A ``Watermarks`` is a policy and holds no count, so a thousand streams share one.  Sans-IO: no socket, no clock.
Read next: ``reactor.net.stream.stream``, where the bytes are counted.
"""

from __future__ import annotations

from reactor.arguments import checked_instance
from reactor.errors import OptionError
from reactor.limits import HIGH_WATER_BYTES, LOW_WATER_BYTES, WRITE_CAP_BYTES


class Watermarks:
    """Three limits on unsent bytes, 0 <= low <= high <= cap.  Raises OptionError if they are out of order,
    ArgumentError for what is no int."""

    __slots__ = ("cap", "high", "low")

    def __init__(
        self, high: int = HIGH_WATER_BYTES, low: int = LOW_WATER_BYTES, cap: int = WRITE_CAP_BYTES
    ) -> None:
        for name, value in (("high", high), ("low", low), ("cap", cap)):
            checked_instance(name, value, int, "a whole number of bytes")
        if not 0 <= low <= high <= cap:
            raise OptionError(f"watermarks must satisfy 0 <= low <= high <= cap, not {low} <= {high} <= {cap}")
        self.high = high
        self.low = low
        self.cap = cap

    def __repr__(self) -> str:
        return f"Watermarks(high={self.high}, low={self.low}, cap={self.cap})"


#: What a stream has unless it is told otherwise.
DEFAULT_WATERMARKS = Watermarks()
