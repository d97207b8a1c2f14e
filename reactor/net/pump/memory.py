"""The memory that the pump and its C share, and the books that Python keeps of it.

C owns nothing (see ``_accel/pump.h``): every table that it reads or writes is a Python object, lent to it by a
pointer in one structure.  Here they are made, kept alive, and given views through which Python reads them.

**It is the buffer that is lent, never a view of it.**  A view is known to the garbage collector, which may clear
it, in a cycle of garbage, while C's pointer still holds it; what follows is a crash.

**Formats** are numbered as they come: a table of a few hundred, since a program has one or two.  What does not fit,
or is not of those kinds that C knows, is UNKNOWN, and cut and framed by its codec.

Read next: ``pump``.
"""

from __future__ import annotations

from array import array

from reactor.framing.scanner import native_backend
from reactor.framing.seam import RAW, UNKNOWN
from reactor.limits import ACCEPT_BATCH, ARENA_BYTES, SCRATCH_BYTES, TURN_FRAMES

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from typing import Any

    from reactor.framing.seam import Wire

#: Numbers in a ``pump_guest``.
GUEST_NUMBERS = 6

#: Descriptors by which the tables of them grow.
GROWTH = 1024


class PumpMemory:
    """What ``place``, a ``pump_place``, points to.  Raises ImportError if the compiled module cannot be used."""

    __slots__ = (
        "_ffi", "_formats", "_lent", "_lib", "_numbers", "arena", "arrivals", "cuts", "error", "guests",
        "marks", "outgoing_room", "place", "readiness",
    )  # fmt: skip

    def __init__(self) -> None:
        native_backend()  # which finds out whether the module fits
        from reactor._accel import ffi, lib

        if not lib.PUMP_WORKS:
            raise ImportError("the pump needs epoll")
        self._ffi, self._lib = ffi, lib
        #: Pointers, by the names of what points there: memory of C's does not hold references.
        self._lent: dict[str, Any] = {}
        bounds = {"room": ARENA_BYTES, "share": SCRATCH_BYTES, "frames": TURN_FRAMES}
        self.place = ffi.new("pump_place *", {**bounds, "format_count": 1})
        self.arena = self.lend("arena", "char[]", bytearray(ARENA_BYTES))
        #: The program that cuts the arena.
        self.cuts = self.place.cuts = ffi.new("scan_cuts *")
        # One number for each event that a call may return; rows are as wide as the structures of pump.h, and both
        # must be changed together.
        row = array("q", bytes(8 * lib.PUMP_EVENTS))
        #: Four numbers for each arrival, two for each readiness: the structures of ``_accel/pump.h``.
        self.arrivals = self.lend("arrivals", "pump_arrival[]", row * 4)
        self.readiness = self.lend("readiness", "int64_t[]", row * 2)
        #: Connections that were accepted, see ``pump_guest``.
        self.guests = self.lend("guests", "pump_guest[]", array("q", bytes(8 * GUEST_NUMBERS * ACCEPT_BATCH)))
        self.error = ffi.new("int *")
        #: By descriptor: whether it is received from, and how what arrives is cut.
        self.marks = bytearray()
        self.outgoing_room = 0
        self.make_room(ARENA_BYTES)
        # RAW is there already: memory of C's is zero, and so is PUMP_RAW.
        self._formats = self.place.formats = ffi.new("pump_format[]", lib.PUMP_FORMATS)
        self._numbers: dict[object, int] = {(): RAW}

    def lend(self, name: str, kind: str, buffer: Any) -> memoryview:
        """Have the structure's field *name* point to *buffer*, and return a view of it."""
        # The cffi object holds *buffer*, and keeps a bytearray from being resized, which would move its memory.
        # Both last as long as this dictionary has it: C has only a number.
        self._lent[name] = self._ffi.from_buffer(kind, buffer)
        setattr(self.place, name, self._lent[name])
        return memoryview(buffer)

    def make_room(self, size: int) -> None:
        """Have room for *size* bytes of frames that are to be sent."""
        if size > self.outgoing_room:
            self.lend("outgoing", "char[]", bytearray(size))
            self.place.outgoing_room = self.outgoing_room = size

    def know(self, fd: int) -> int:
        """Have a mark for descriptor *fd*: 0 leaves it alone, else it is one more than the number of a format.
        Return how many descriptors have one."""
        if fd >= len(self.marks):
            # A new table instead of a longer one: the old one is lent, and cannot grow.
            self.marks = self.marks + bytes(fd + GROWTH - len(self.marks))
            self.lend("marks", "unsigned char[]", self.marks)
            self.place.known = len(self.marks)
        return len(self.marks)

    def format_of(self, wire: Wire | None) -> int:
        """Return the number of the format *wire*, UNKNOWN if C cannot have one for it."""
        if wire is None:
            return UNKNOWN
        number = self._numbers.get(wire.key, UNKNOWN)
        if number == UNKNOWN:
            number = len(self._numbers)
            if number >= len(self._formats):
                return UNKNOWN
            self._describe(wire, self._formats[number])
            self._numbers[wire.key] = number
            self.place.format_count = number + 1  # last: C believes no number from here on up
        return number

    def _describe(self, wire: Wire, format: Any) -> None:
        """Write *wire* down for C."""
        format.pack = {"size": wire.size, "bias": wire.bias, "little": wire.order == "little"}
        layout = wire.layout
        if layout is None:
            format.kind, format.limit = self._lib.PUMP_VARINT, wire.limit
            return
        format.kind = self._lib.PUMP_LENGTH
        format.layout = {
            "offset": layout.offset, "size": layout.size, "little": layout.order == "little",
            "shortest": layout.low + layout.extra, "strip": layout.strip, "low": layout.low, "high": layout.high,
        }  # fmt: skip
