"""When each message that is on its way was due, and when it was sent.

Two instants for each, in nanoseconds of the monotonic clock, in a ring for each connection: message n lies at n
modulo the ring, which is a power of two.  One flat array holds all rings, so that C can write what Python reads.  A
ring is also the limit on what one connection may owe; both engines stop sending there, and say so.

In the closed loop a message is due when it is sent.  In the open loop it is due when the schedule says, whatever
the server is doing: a latency counted from there is what a user would have felt (Gil Tene calls the other way
*coordinated omission*: the slow server decides when it is measured).  Read next: ``judge``.
"""

from __future__ import annotations

from array import array

#: The smallest ring, and the messages that all connections of an open loop may owe together.
LEAST_RING = 16
OPEN_LIMIT = 1 << 20

#: A connection of an open loop may owe so many, however few connections there are.
MOST_RING = 1 << 16


def ring_size(connections: int, in_flight: int, *, is_open: bool) -> int:
    """Return how many messages one connection may owe, a power of two.

    In the closed loop twice the window: a lost reply leaves a gap that may be passed for a while.
    """
    if not is_open:
        return max(LEAST_RING, 1 << (2 * in_flight - 1).bit_length())
    share = OPEN_LIMIT // connections
    return min(MOST_RING, max(LEAST_RING, 1 << (share.bit_length() - 1)))


class Starts:
    """The rings of all connections; ``times`` is connections x ring x (due, sent)."""

    __slots__ = ("mask", "ring", "times")

    def __init__(self, connections: int, ring: int) -> None:
        self.ring = ring
        self.mask = ring - 1
        self.times = array("q", bytes(16 * ring * connections))

    def note(self, connection: int, number: int, due: int, sent: int) -> None:
        """Note when a message was due and when it was sent."""
        at = 2 * (connection * self.ring + (number & self.mask))
        self.times[at] = due
        self.times[at + 1] = sent

    def of(self, connection: int, number: int) -> tuple[int, int]:
        """Return when a message was due and when it was sent."""
        at = 2 * (connection * self.ring + (number & self.mask))
        return self.times[at], self.times[at + 1]
