"""Frames behind a length: the format of most binary protocols, and the hot path of this library.

The common form is a big-endian length of the payload and then the payload.  Real protocols vary it in four ways,
and so do the arguments, with the meaning that Netty's LengthFieldBasedFrameDecoder gave them::

      offset      size        adjustment
    <--------><----------><--------------------->
    [  type  ][  length  ][  flags  ][ payload  ]          a frame occupies offset + size + length + adjustment
    <--strip-->                                            bytes, and its first `strip` bytes are not delivered

    length counts ...            adjustment             deliver ...               strip
    the payload                  0                      the payload               None (the default) if offset is 0
    itself and the payload       -size                  everything                0
    the whole frame              -(offset + size)       from the length on        offset

**One idea makes it fast:** all of it collapses into six numbers (``seam.Layout``), computed once.  The loop then
compares a value with two bounds and adds a constant.

**Invariant:** ``feed`` undoes ``encode``.  What was stripped and cannot be computed again (the bytes before a
length field) cannot be sent; such a codec receives only, and ``encode`` says so.  Where the length field is part
of the frame, ``encode`` checks it instead of overwriting what the caller wrote.

Rejected: filling the unknown bytes with zeros, and signed length fields.  This is the last format.
"""

from __future__ import annotations

from reactor.arguments import not_iterable
from reactor.errors import FrameMalformed, OptionError
from reactor.framing.codec import ONLY_BYTES, Codec, checked_limit, flat_bytes
from reactor.framing.scanner import backend
from reactor.framing.scanner_pure import length_head, length_reader, varint_head
from reactor.framing.seam import Layout, Payload, Wire
from reactor.limits import MAX_FRAME_LENGTH

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    from reactor.framing.seam import Packer

SIZES = (1, 2, 3, 4, 8)

#: The largest offset, adjustment (of either sign) and strip: far beyond any real header, far below overflow.
LARGEST_HEADER = 2**16


class LengthPrefixed(Codec):
    """Frames behind a length field of *size* 1, 2, 3, 4 or 8 bytes, or ``"varint"`` (unsigned LEB128, as protobuf).

    *byteorder* is ``"big"`` or ``"little"``; *offset*, *adjustment* and *strip* as drawn above, in bytes.  *strip*
    None means the header if *offset* is 0 (frames are payloads) and nothing otherwise (frames are whole).  A varint
    takes none of the four.  *accel* is ``"pure"``, ``"native"`` or None (the environment decides).

    ``max_frame_length`` bounds the delivered frame, and is lowered to what the length field can express.  A length
    that is too small to cover the header and what is stripped raises FrameMalformed.
    """

    __slots__ = ("_form",)

    settings = (*Codec.settings, "_form")

    def __init__(
        self,
        size: int | Literal["varint"] = 4,
        *,
        byteorder: Literal["big", "little"] = "big",
        offset: int = 0,
        adjustment: int = 0,
        strip: int | None = None,
        max_frame_length: int = MAX_FRAME_LENGTH,
        accel: str | None = None,
    ) -> None:
        """Raises OptionError for values that it cannot have, AccelUnavailable if C was demanded and is missing."""
        chosen = backend(accel)
        limit = checked_limit(max_frame_length)
        if size == "varint":
            if (byteorder, offset, adjustment, strip) != ("big", 0, 0, None):
                raise OptionError("a varint length takes no byteorder, offset, adjustment or strip")
            super().__init__(chosen.varint_scanner(limit), limit)
            wire = Wire(None, limit, 0, "big", 0) if chosen.NAME == "native" else None
            self._form = Form(None, varint_head, chosen.packer(0, "big", 0), wire)
            return
        layout = checked_layout(size, byteorder, offset, adjustment, strip, limit)
        super().__init__(chosen.length_scanner(layout), layout.high + layout.extra - layout.strip)
        if offset == 0 and layout.strip == size and adjustment <= 0:
            head = length_head(layout.size, byteorder, -adjustment)
            wire = Wire(layout, limit, layout.size, byteorder, -adjustment) if chosen.NAME == "native" else None
            self._form = Form(layout, head, chosen.packer(layout.size, byteorder, -adjustment), wire)
        else:
            self._form = Form(layout, None, None, None)

    def feed(self, data: Payload) -> list[bytes]:
        """Take *data* and return the frames that it completes; ``Codec.feed`` has the contract and the errors."""
        # Request and reply: nothing is held and the chunk is one whole frame.  Then its length says so, and one
        # slice is all there is to do.  Anything else is for the scanner, which decides again from the start.
        form = self._form
        if (
            self.partial is None
            and type(data) is bytes
            and form.shortest <= len(data) <= form.longest
            and form.read(data)[0] + form.extra == len(data)
        ):
            return [data[form.strip :]]
        return Codec.feed(self, data)

    def whole_frame(self, buffer: memoryview, size: int) -> bytes | None:
        """What ``feed`` does with one frame that has just been received, without a copy of the header."""
        form = self._form
        if (
            self.partial is None
            and form.shortest <= size <= form.longest
            and form.read(buffer)[0] + form.extra == size
        ):
            return buffer[form.strip : size].tobytes()
        return None

    def encode(self, payload: Payload) -> bytes:
        """Return *payload* behind its length.

        Raises FrameTooLong above ``max_frame_length``; FrameMalformed if the layout loses bytes that only the
        sender knows, or if the payload contains the length field and it is wrong.
        """
        if type(payload) is not bytes:
            payload = flat_bytes(payload)
        size = len(payload)
        if size > self.max_frame_length:
            self._too_long(size)
        form = self._form
        if form.head is not None:
            return form.head(size) + payload
        assert form.layout is not None
        return completed(payload, form.layout)

    def encode_pieces(self, payload: Payload) -> list[bytes]:
        """Return ``encode``'s result in pieces: the length, and *payload* itself, if it is bytes."""
        if type(payload) is not bytes or self._form.head is None or len(payload) > self.max_frame_length:
            return [self.encode(payload)]
        return [self._form.head(len(payload)), payload]

    def encode_many(self, payloads: Iterable[Payload]) -> bytes:
        """Return ``encode`` of each of *payloads*, joined; raise what it raises, and then nothing is returned."""
        try:
            payloads = payloads if isinstance(payloads, list) else list(payloads)
        except TypeError as exc:
            raise not_iterable("payloads", payloads, exc) from None
        # len() of a memoryview counts items, not bytes; a bytearray may change its size in another thread; and a
        # length that is wrong corrupts the stream.  So a batch is of bytes only, the rest goes one by one.
        if self._form.pack is None or len(payloads) < FEW or not ONLY_BYTES.issuperset(map(type, payloads)):
            return b"".join(map(self.encode, payloads))
        sizes = list(map(len, payloads))
        if max(sizes) > self.max_frame_length:
            self._too_long(next(size for size in sizes if size > self.max_frame_length))
        return self._form.pack(payloads, sizes)

    def frame(self, payloads: list[bytes]) -> bytes:
        """Return *payloads*, of which each can be sent, each behind its length."""
        if len(payloads) == 1:
            payload = payloads[0]
            return self._form.head(len(payload)) + payload  # type: ignore[misc]  # there is one, since it takes any
        return self.encode_many(payloads)

    @property
    def carries_any_bytes(self) -> bool:
        """Whether every payload within the limit can be sent: if it is simply put behind its length."""
        return self._form.head is not None

    @property
    def wire(self) -> Wire | None:
        """The format in numbers, if it is scanned in C and ``carries_any_bytes``."""
        return self._form.wire

    def _cut(self, whole: memoryview) -> list[bytes]:
        if self._form.layout is None:
            return self.feed(whole)
        return [whole[self._form.strip :].tobytes()]


class Form:
    """What the options of a ``LengthPrefixed`` come to: worked out once, shared by its decoders.

    *layout* is None for a varint, *head* and *pack* are None if payloads cannot simply be put behind a length,
    *wire* also if the scanner is not compiled.  ``read(data)[0] + extra`` is the size of the frame at the start of
    *data*, if that has from ``shortest`` to ``longest`` bytes.
    """

    __slots__ = ("extra", "head", "layout", "longest", "pack", "read", "shortest", "strip", "wire")

    def __init__(
        self, layout: Layout | None, head: Callable[[int], bytes] | None, pack: Packer | None, wire: Wire | None
    ) -> None:
        self.layout = layout
        self.head = head
        self.pack = pack
        self.wire = wire
        if layout is None:
            self.read = length_reader(0, 1, "big")
            self.extra, self.strip, self.shortest, self.longest = 0, 0, 1, 0  # no chunk passes these bounds
            return
        self.read = length_reader(layout.offset, layout.size, layout.order)
        self.extra, self.strip = layout.extra, layout.strip
        self.shortest, self.longest = layout.low + layout.extra, layout.high + layout.extra


#: Payloads below which ``encode_many`` is faster as a loop over ``encode``, whichever packer there is.
FEW = 16


def checked_layout(size: object, order: str, offset: int, adjustment: int, strip: int | None, limit: int) -> Layout:
    """Return the layout of these arguments; OptionError if one is out of range, or if they exclude every frame."""
    if isinstance(size, bool) or not isinstance(size, int) or size not in SIZES:
        raise OptionError(f"size is 1, 2, 3, 4, 8 or 'varint', not {size!r}")
    if order not in ("big", "little"):
        raise OptionError(f"byteorder is 'big' or 'little', not {order!r}")
    if strip is None:
        strip = size if offset == 0 else 0
    checked_span("offset", offset, 0)
    checked_span("adjustment", adjustment, -LARGEST_HEADER)
    checked_span("strip", strip, 0)
    header = offset + size
    # A frame has as many bytes as its length field says, and *extra* ones that the field does not count.
    extra = header + adjustment
    # The least that the field may say: the frame covers its own header (-adjustment) and what is stripped.
    low = max(0, -adjustment, strip - extra)
    # The most: what is delivered stays within the limit, and the number fits into the field.
    high = min(limit + strip - extra, 256**size - 1)
    if high < low:
        raise OptionError(
            f"no frame can satisfy these options: the length field would have to be at least {low} (header, "
            f"adjustment, strip) and at most {high} ({size} bytes, max_frame_length)"
        )
    return Layout(offset, size, order, extra, strip, low, high)


def checked_span(name: str, value: int, least: int) -> None:
    """Raise OptionError unless *value* is an int from *least* to ``LARGEST_HEADER``."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST_HEADER:
        raise OptionError(f"{name} is a number of bytes from {least} to {LARGEST_HEADER}, not {value!r}")


def completed(payload: bytes, layout: Layout) -> bytes:
    """Return *payload* behind what the receiver will strip; FrameMalformed if nobody can know what that was."""
    size, strip, offset = layout.size, layout.strip, layout.offset
    if strip and (offset or strip > size):
        raise FrameMalformed(
            f"this layout only receives: of the {strip} bytes that are stripped, only a length field at offset 0 "
            f"can be computed again"
        )
    value = len(payload) + strip - layout.extra
    if value < layout.low:
        short = layout.low - value
        raise FrameMalformed(f"a payload of {len(payload)} bytes is {short} too short for this layout")
    field = value.to_bytes(size, "big" if layout.order == "big" else "little")
    # What the receiver strips is put back; what it does not strip is in the payload already, its length field too.
    whole = field[:strip] + payload
    written = whole[offset : offset + size]
    if written != field:
        raise FrameMalformed(f"the payload's length field is {written.hex()}, but it must be {field.hex()}")
    return whole
