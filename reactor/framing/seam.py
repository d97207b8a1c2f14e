"""The seam between the codecs and the two scanners: what a scanner owes, in one place.

Splitting a chunk into frames is the only hot loop of framing, so it exists twice: ``scanner_pure`` is the
specification, ``scanner_accel`` does the same in C.  Both offer functions of the same names:

    length_scanner(layout)      frames behind a length field of fixed size
    varint_scanner(limit)       frames behind an unsigned LEB128 length
    netstring_scanner(limit)    frames written as ``5:hello,``
    packer(size, order, bias)   the way back: many payloads, each behind its length, in one byte string

A **scanner** is a function ``scan(data, at, most) -> (frames, end, verdict, value)``.  *data* is bytes, and *at* is
where a frame starts in them.  *frames* are all complete frames from there on, in order, but not more than *most*;
*end* is the position behind the last of them, and the verdict says why the scan stopped there:

    FULL          *most* frames were cut; nobody has looked at what is behind them
    MORE          bytes are missing; *value* is how many bytes, counted from *end*, are needed to get any further
                  (more than are there).  If *end* is the end of *data*, nothing has begun, *value* means nothing.
    another one   the bytes at *end* can never become a frame; *value* is what the header said, if it said anything.

A scanner keeps no state between two calls and may be used by several threads at once.  Its verdict depends on the
bytes alone, never on how they were cut into chunks: a fault is reported as soon as a *prefix* proves it, and not
before.  So the same stream gives the same frames and the same error however it arrives.

The numbers of the verdicts are also in ``_accel/scan.h``: change both together.  Read next: ``scanner_pure``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from reactor.errors import FrameMalformed, FrameTooLong, FramingError

Scan = tuple[list[bytes], int, int, int]
Scanner = Callable[[bytes, int, int], Scan]
Payload = bytes | bytearray | memoryview
Packer = Callable[[Sequence[Payload], list[int]], bytes]

#: As *most*: all frames that there are.
ALL = sys.maxsize

FULL = -1
MORE = 0
TOO_LONG = 1
TOO_SHORT = 2
VARINT_OVERFLOW = 3
NOT_A_LENGTH = 4
NO_COMMA = 5
UNTERMINATED = 6

#: What each verdict means to the application: the error and its text.
FAULTS: dict[int, tuple[type[FramingError], str]] = {
    TOO_LONG: (FrameTooLong, "the peer announces a frame of {value} bytes; max_frame_length is {limit}"),
    TOO_SHORT: (FrameMalformed, "the peer's length field says {value}, less than the parts that it has to cover"),
    VARINT_OVERFLOW: (FrameMalformed, "the peer's length is a varint that does not fit into 64 bits"),
    NOT_A_LENGTH: (FrameMalformed, "a netstring begins with a decimal length without leading zeros, then ':'"),
    NO_COMMA: (FrameMalformed, "a netstring of {value} bytes does not end with ','"),
    UNTERMINATED: (FrameTooLong, "the peer sends no delimiter within max_frame_length, {limit} bytes"),
}


#: Those who cut and frame in C have a number for each ``Wire``; these two stand for bytes as they are, and for a
#: format that only its codec knows.
RAW = 0
UNKNOWN = -1


class Wire:
    """How a format looks on the wire, for those who cut and frame for many streams at once, in C.

    *layout* is that of the length field, None for a varint of at most *limit*; a payload of n bytes is sent behind
    a field of *size* bytes (0: a varint) in byte *order* that holds ``n + bias``.  ``key`` is equal for equal
    formats.
    """

    __slots__ = ("bias", "key", "layout", "limit", "order", "size")

    def __init__(self, layout: Layout | None, limit: int, size: int, order: str, bias: int) -> None:
        self.layout = layout
        self.limit = limit
        self.size = size
        self.order = order
        self.bias = bias
        parts = () if layout is None else tuple(getattr(layout, name) for name in Layout.__slots__)
        self.key = (limit, size, order, bias, *parts)


class Layout:
    """Where a length field of fixed size stands, what it counts, and which values it may have.

    Six numbers describe every arrangement that Netty's LengthFieldBasedFrameDecoder can express.  A frame whose
    field holds ``value`` occupies ``value + extra`` bytes; the first *strip* of them are not delivered; the value
    is lawful if ``low <= value <= high``.  ``low`` guarantees that the frame covers its header and what is
    stripped, so no subtraction further down can go below zero.
    """

    __slots__ = ("extra", "high", "low", "offset", "order", "size", "strip")

    def __init__(self, offset: int, size: int, order: str, extra: int, strip: int, low: int, high: int) -> None:
        self.offset = offset
        self.size = size
        self.order = order
        self.extra = extra
        self.strip = strip
        self.low = low
        self.high = high

    def verdict(self, value: int) -> tuple[int, int]:
        """Return the verdict on an unlawful *value* of the field, and the number that its message names."""
        return (TOO_SHORT, value) if value < self.low else (TOO_LONG, value + self.extra - self.strip)
