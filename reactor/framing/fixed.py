"""Frames of one fixed size: no header, no delimiter, the count of bytes is all.

Used where every message is a record: ticks, sensor samples, keys.  The scanner needs no C of ours, because
``struct.Struct("64s").iter_unpack`` already is a loop in C over a whole chunk.  Read next: ``delimiter``.
"""

from __future__ import annotations

from struct import Struct

from reactor.errors import FrameMalformed
from reactor.framing.codec import Codec, checked_limit, flat_bytes
from reactor.framing.seam import FULL, MORE, Payload, Scan, Scanner


def fixed_scanner(size: int) -> Scanner:
    """Return a scanner for frames of *size* bytes; it never finds a fault, because every byte is lawful."""
    records = Struct(f"{size}s").iter_unpack

    def scan(data: bytes, at: int, most: int) -> Scan:
        count = min((len(data) - at) // size, most)
        end = at + count * size
        whole = data if end - at == len(data) else memoryview(data)[at:end]
        return [frame for (frame,) in records(whole)], end, MORE if count < most else FULL, size

    return scan


class FixedSize(Codec):
    """Frames of exactly *size* bytes, 1 to 2**56; ``max_frame_length`` is the same number."""

    __slots__ = ()

    def __init__(self, size: int) -> None:
        """Raises OptionError if *size* is not such a number."""
        super().__init__(fixed_scanner(checked_limit(size)), size)

    def encode(self, payload: Payload) -> bytes:
        """Return *payload* as bytes; FrameTooLong or FrameMalformed if it has any other size."""
        payload = flat_bytes(payload)
        if len(payload) > self.max_frame_length:
            self._too_long(len(payload))
        if len(payload) < self.max_frame_length:
            raise FrameMalformed(f"a frame has {self.max_frame_length} bytes, this payload only {len(payload)}")
        return payload

    def _cut(self, whole: memoryview) -> list[bytes]:
        return [bytes(whole)]
