"""What a run is made of, whichever engine drives it.

Messages, starts, meter and faults there is one of; a judge for each connection.

Read next: ``engine``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactor.errors import OptionError
from reactor.framing.delimiter import Lines
from reactor.framing.length import LengthPrefixed
from reactor.framing.raw import Raw
from reactor.load.faults import Faults
from reactor.load.judge import ByContent, ByPosition
from reactor.load.messages import Messages
from reactor.load.meter import Meter
from reactor.load.plan import LARGEST_DATAGRAM
from reactor.load.schedule import gap_table
from reactor.load.starts import Starts, ring_size

if TYPE_CHECKING:
    from array import array

    from reactor.framing.codec import Codec
    from reactor.load.judge import Judge
    from reactor.load.plan import Plan


class Material:
    """The parts of one run.  Raises OptionError for a bad size, AccelUnavailable."""

    __slots__ = ("codec", "faults", "gaps", "messages", "meter", "plan", "starts")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        is_text = plan.mode == "line"
        self.messages = Messages(plan.size, plan.seed, expect=plan.expect, is_text=is_text)
        if plan.udp and self.messages.largest > LARGEST_DATAGRAM:
            raise OptionError(f"a datagram holds {LARGEST_DATAGRAM} bytes, not {self.messages.largest}")
        self.codec = self._codec()
        self.starts = Starts(plan.connections, ring_size(plan.connections, plan.in_flight, is_open=plan.is_open))
        self.meter = Meter(is_open=plan.is_open)
        self.faults = Faults()
        #: Nanoseconds between two sends of the open loop; None for the closed one.
        self.gaps: array[float] | None = None
        if plan.rate is not None:
            self.gaps = gap_table(plan.rate, plan.arrivals, plan.seed)

    def _codec(self) -> Codec:
        # A reply may be longer than it should be and is then corrupted, not too long.
        limit = max(1024 * 1024, 2 * self.messages.largest)
        if self.plan.mode == "framed":
            return LengthPrefixed(4, max_frame_length=limit, accel=self.plan.accel)
        return Lines(max_frame_length=limit) if self.plan.mode == "line" else Raw()

    @property
    def window(self) -> int:
        """How many messages a connection may owe."""
        return self.starts.ring if self.plan.is_open else self.plan.in_flight

    def judge(self, connection: int) -> Judge:
        """Return a judge for a connection on which nothing was sent yet."""
        parts = connection, self.messages, self.starts, self.meter, self.faults
        if self.plan.mode == "raw" and not self.plan.udp:
            return ByPosition(*parts)
        return ByContent(*parts, self.codec)

    def wire(self, connection: int, number: int) -> bytes:
        """Return a message as it is sent."""
        return self.codec.encode(self.messages.message(connection, number))

    def reply_wire(self, connection: int, number: int) -> bytes:
        """Return its reply as it is expected to come."""
        return self.codec.encode(self.messages.reply(connection, number))
