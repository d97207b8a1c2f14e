"""No framing: every chunk that arrives is a frame.

The identity of the family.  It lets a protocol that wants plain bytes use everything that is built on codecs, and
it is the smallest example of one.  Chunks are what the kernel made of the stream; do not read boundaries into them.
Read next: ``fixed``.
"""

from __future__ import annotations

from reactor.framing.codec import LARGEST_LIMIT, Codec, flat_bytes
from reactor.framing.seam import MORE, Payload, Scan


def scan_raw(data: bytes, at: int, most: int) -> Scan:
    """Return all of *data* as one frame, and none if it is empty."""
    return [data[at:]] if len(data) > at else [], len(data), MORE, 0


class Raw(Codec):
    """Bytes as they come: ``feed`` returns its argument as the only frame, ``encode`` the payload.

    There are no frames to bound, so there is no ``max_frame_length`` to choose: what bounds a chunk is the buffer
    that it was read into.  ``feed_eof`` never finds anything missing.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(scan_raw, LARGEST_LIMIT)

    def encode(self, payload: Payload) -> bytes:
        """Return *payload* as bytes; TypeError if it is not bytes-like."""
        return flat_bytes(payload)

    @property
    def carries_any_bytes(self) -> bool:
        """Whether every payload within the limit can be sent: yes."""
        return True
