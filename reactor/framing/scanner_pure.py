"""The scanners in plain Python: what framing means, and what the C code has to equal byte for byte.

Each function returns a closure rather than an object with methods: its settings become cell variables, which cost
half of an attribute look-up, and the loop runs once per frame.  ``struct.unpack_from`` reads the length without
making a slice first (measured: 70 ns against 110 for ``int.from_bytes`` of a slice).

**Invariant** of every loop: ``at`` is the start of a frame, and everything before it has been delivered.
Read next: ``scanner_accel``.
"""

from __future__ import annotations

from itertools import chain, repeat
from struct import Struct

from reactor.framing.seam import (
    FULL,
    MORE,
    NO_COMMA,
    NOT_A_LENGTH,
    TOO_LONG,
    VARINT_OVERFLOW,
    Layout,
    Packer,
    Payload,
    Scan,
    Scanner,
)

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME = "pure"

#: struct's format letters for unsigned integers by size; there is none for three bytes.
LETTERS = {1: "B", 2: "H", 4: "I", 8: "Q"}


# -- a length field of fixed size ------------------------------------------------------------------------------


def length_reader(offset: int, size: int, order: str) -> Callable[..., tuple[int, ...]]:
    """Return ``read(data, at=0)``: the length field of the frame at that position, as a tuple of one."""
    mark = ">" if order == "big" else "<"
    if size != 3:
        return Struct(f"{mark}{offset}x{LETTERS[size]}").unpack_from
    halves = Struct(f"{mark}{offset}x{'BH' if order == 'big' else 'HB'}").unpack_from

    def read(data: bytes, at: int = 0) -> tuple[int]:
        first, second = halves(data, at)
        return ((first << 16 | second) if order == "big" else (second << 16 | first),)

    return read


def length_scanner(layout: Layout) -> Scanner:
    """Return a scanner for frames behind a length field as *layout* describes it."""
    read = length_reader(layout.offset, layout.size, layout.order)
    low, high, extra, strip = layout.low, layout.high, layout.extra, layout.strip
    header = layout.offset + layout.size

    def scan(data: bytes, at: int, most: int) -> Scan:
        frames: list[bytes] = []
        append = frames.append
        end = len(data)
        last = end - header  # the last place where a whole header fits
        for _ in repeat(None, most):
            if at > last:
                return frames, at, MORE, header
            (value,) = read(data, at)
            # Judged before anything is kept of it: a length of 4 GiB costs its peer four bytes to write.
            if not low <= value <= high:
                return frames, at, *layout.verdict(value)
            stop = at + value + extra
            if stop > end:
                # Not whole.  Nobody looks again before so many bytes are there.
                return frames, at, MORE, value + extra
            append(data[at + strip : stop])
            at = stop
        return frames, at, FULL, 0

    return scan


def length_head(size: int, order: str, bias: int) -> Callable[[int], bytes]:
    """Return a function from the size of a payload to the length field before it, which holds ``size + bias``."""
    if size == 3:
        return lambda count: (count + bias).to_bytes(3, "big" if order == "big" else "little")
    pack = Struct((">" if order == "big" else "<") + LETTERS[size]).pack
    return pack if bias == 0 else lambda count: pack(count + bias)


# -- varint ----------------------------------------------------------------------------------------------------


def varint_scanner(limit: int) -> Scanner:
    """Return a scanner for frames of at most *limit* bytes behind an unsigned LEB128 length."""

    def scan(data: bytes, at: int, most: int) -> Scan:
        frames: list[bytes] = []
        append = frames.append
        end = len(data)
        for _ in repeat(None, most):
            if at >= end:
                return frames, at, MORE, 1
            value, begin = data[at], at + 1
            if value >= 0x80:  # the top bit says that more bytes follow; most lengths have none
                value, begin, verdict = read_varint(data, at)
                if begin == at:
                    return frames, at, verdict, value
            if value > limit:
                return frames, at, TOO_LONG, value
            stop = begin + value
            if stop > end:
                return frames, at, MORE, stop - at
            append(data[begin:stop])
            at = stop
        return frames, at, FULL, 0

    return scan


def read_varint(data: bytes, at: int) -> tuple[int, int, int]:
    """Read the varint at *at*: its value, where it ends, and a verdict.

    If it has no end yet, the position is *at* again and the value how many bytes a longer look needs.  Seven bits a
    byte make ten bytes for 64 bits, and the tenth may hold only the last one.  Padding with zero bits is accepted,
    as protobuf's own decoders do.
    """
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        if index == 9 and byte > 1:
            return 0, at, VARINT_OVERFLOW
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1, MORE
    return len(data) - at + 1, at, MORE


def varint_head(count: int) -> bytes:
    """Return *count* as the shortest unsigned LEB128."""
    head = bytearray()
    while count >= 0x80:
        head.append(count & 0x7F | 0x80)
        count >>= 7
    head.append(count)
    return bytes(head)


# -- netstrings ------------------------------------------------------------------------------------------------


def netstring_scanner(limit: int) -> Scanner:
    """Return a scanner for netstrings of at most *limit* payload bytes."""
    digits = len(str(limit))

    def scan(data: bytes, at: int, most: int) -> Scan:
        frames: list[bytes] = []
        append = frames.append
        end = len(data)
        for _ in repeat(None, most):
            if at >= end:
                return frames, at, MORE, 1
            colon = data.find(b":", at, at + digits + 1)
            number = data[at:colon]
            # isdigit() of bytes knows only 0x30 to 0x39; int() alone would take signs, spaces and underscores.
            if colon < 0 or not number.isdigit() or (number[0] == 0x30 and len(number) > 1):
                return frames, at, *judge_number(data[at : at + digits + 1], digits)
            size = int(number)
            if size > limit:
                return frames, at, TOO_LONG, size
            stop = colon + size + 2
            if stop > end:
                return frames, at, MORE, stop - at
            if data[stop - 1] != 0x2C:  # a comma
                return frames, at, NO_COMMA, size
            append(data[colon + 1 : stop - 1])
            at = stop
        return frames, at, FULL, 0

    return scan


def judge_number(start: bytes, digits: int) -> tuple[int, int]:
    """Return verdict and value for the *start* of a netstring that has no lawful length: the first fault counts."""
    for index, byte in enumerate(start):
        if not 0x30 <= byte <= 0x39 or (index == 1 and start[0] == 0x30):
            return NOT_A_LENGTH, 0
        if index == digits:
            return TOO_LONG, int(start[: digits + 1])
    return MORE, len(start) + 1


# -- sending ---------------------------------------------------------------------------------------------------


def packer(size: int, order: str, bias: int) -> Packer:
    """Return a function from payloads and their sizes to all of them joined, each behind its length.

    *size* 0 stands for a varint.  The whole loop runs inside ``map``, ``zip``, ``chain`` and ``join``.
    """
    head = length_head(size, order, bias) if size else varint_head

    def pack(payloads: Sequence[Payload], sizes: list[int]) -> bytes:
        return b"".join(chain.from_iterable(zip(map(head, sizes), payloads, strict=True)))

    return pack
