"""Length prefixes: options, and the way back."""

from __future__ import annotations

import itertools
import struct

import pytest

from reactor.errors import FrameMalformed, FrameTooLong, OptionError
from reactor.framing import LengthPrefixed
from tests.framing.feeding import drive, pieces
from tests.framing.reference import decode_length

SIZES = (1, 2, 3, 4, 8)


# -- every combination against the reference -------------------------------------------------------------------

COMBINATIONS = list(
    itertools.product(SIZES, ("big", "little"), (0, 1, 3), (-9, -4, -1, 0, 2), (None, 0, 1, 4, 7), (5, 1000))
)


def make(
    accel: str, size: int, order: str, offset: int, adjustment: int, strip: int | None, limit: int
) -> LengthPrefixed:
    """Return the codec of one combination, or skip to the next by OptionError."""
    return LengthPrefixed(
        size,
        byteorder=order,
        offset=offset,
        adjustment=adjustment,
        strip=strip,
        max_frame_length=limit,
        accel=accel,
    )


def stream_of(size: int, order: str, offset: int, totals: list[int], adjustment: int) -> bytes:
    """Return frames that occupy *totals* bytes, as a sender that knows the protocol writes them."""
    stream = b""
    for total in totals:
        header = offset + size
        value = total - header - adjustment
        field = value.to_bytes(size, order) if 0 <= value < 256**size else b"\xff" * size  # type: ignore[arg-type]
        stream += b"T" * offset + field + bytes(range(max(0, total - header)))
    return stream


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("size", SIZES)
def test_frames_and_error_equal_the_reference_for_every_combination(accel: str, size: int, order: str) -> None:
    """Offset, adjustment, strip and limit in all combinations, lawful or not, whole and cut."""
    tried = 0
    for row in COMBINATIONS:
        if row[:2] != (size, order):
            continue
        _, _, offset, adjustment, strip, _ = row
        try:
            codec = make(accel, *row)
        except OptionError:
            continue
        taken = strip if strip is not None else size if offset == 0 else 0
        for totals in ([20, 13, 11, 30], [16] * 40, [12, 3, 12], [9, 200]):
            stream = stream_of(size, order, offset, totals, adjustment)
            reference = decode_length(
                stream,
                size=size,
                byteorder=order,
                offset=offset,
                adjustment=adjustment,
                strip=taken,
                limit=codec.max_frame_length,
            )
            for step in (len(stream) or 1, 7):
                frames, fault = drive(codec.fresh(), pieces(stream, step))
                assert (frames, fault and fault[0]) == reference, (row, totals, step)
            tried += 1
    assert tried > 200


def test_what_feed_delivers_can_be_sent_again_or_is_refused_for_every_combination(accel: str) -> None:
    """``encode`` of a delivered frame gives bytes that deliver it again, or FrameMalformed: never a third thing."""
    sent = refused = 0
    for row in COMBINATIONS:
        size, order, offset, adjustment, _, _ = row
        try:
            codec = make(accel, *row)
        except OptionError:
            continue
        frames, _ = drive(codec.fresh(), [stream_of(size, order, offset, [16, 12, 16], adjustment)], eof=False)
        for frame in frames:
            try:
                wire = codec.encode(frame)
            except FrameMalformed:
                refused += 1
            else:
                assert codec.fresh().feed(wire) == [frame], row
                sent += 1
    assert sent > 200
    assert refused > 200


# -- known protocols -------------------------------------------------------------------------------------------


def test_length_of_a_payload_is_written_like_struct_when_defaults_are_used(accel: str) -> None:
    """Four bytes, big endian, then the payload."""
    assert LengthPrefixed(accel=accel).encode(b"hello") == struct.pack(">I", 5) + b"hello"


def test_length_counts_itself_when_the_adjustment_is_negative(accel: str) -> None:
    """PostgreSQL's messages count the length field but not the type before it; the whole message is the frame."""
    codec = LengthPrefixed(4, offset=1, adjustment=-4, accel=accel)
    message = b"Q" + struct.pack(">I", 4 + 9) + b"SELECT 1\0"
    assert codec.encode(message) == message
    assert codec.feed(message * 2) == [message] * 2


def test_header_behind_the_length_is_covered_when_the_adjustment_is_positive(accel: str) -> None:
    """MySQL's packets: three bytes little endian, a sequence number that the length does not count, the payload."""
    codec = LengthPrefixed(3, byteorder="little", adjustment=1, accel=accel)
    assert codec.feed(b"\x02\x00\x00\x07ok\x00\x00\x00\x08") == [b"\x07ok", b"\x08"]
    assert codec.encode(b"\x07ok") == b"\x02\x00\x00\x07ok"
    with pytest.raises(FrameMalformed, match="1 too short"):
        codec.encode(b"")


def test_varints_are_protobuf_s_when_written(accel: str) -> None:
    """300 is ac 02, as in the documentation of protobuf's encoding."""
    codec = LengthPrefixed("varint", accel=accel)
    assert codec.encode(b"x" * 300)[:2] == b"\xac\x02"
    assert codec.encode_many([b"", b"y" * 127, b"x" * 128, b"z"] * 3).count(b"\x80\x01x") == 3


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 5}, "1, 2, 3, 4, 8 or 'varint'"),
        ({"size": 0}, "1, 2, 3, 4, 8 or 'varint'"),
        ({"size": True}, "1, 2, 3, 4, 8 or 'varint'"),
        ({"size": "four"}, "1, 2, 3, 4, 8 or 'varint'"),
        ({"byteorder": "native"}, "'big' or 'little'"),
        ({"offset": -1}, "offset is a number of bytes from 0"),
        ({"offset": 2**20}, "to 65536"),
        ({"strip": -1}, "strip is a number of bytes from 0"),
        ({"strip": 1.5}, "strip is a number"),
        ({"adjustment": -(2**20)}, "from -65536"),
        ({"max_frame_length": 0}, "from 1 to 2"),
        ({"max_frame_length": -5}, "from 1 to 2"),
        ({"max_frame_length": 2.5}, "from 1 to 2"),
        ({"max_frame_length": True}, "from 1 to 2"),
        ({"max_frame_length": 2**60}, "from 1 to 2"),
        ({"size": "varint", "offset": 1}, "varint length takes no"),
        ({"size": "varint", "byteorder": "little"}, "varint length takes no"),
        ({"size": 1, "adjustment": -300}, "no frame can satisfy"),
        ({"offset": 40, "max_frame_length": 10}, "no frame can satisfy"),
        ({"accel": "fast"}, "auto, native, pure"),
    ],
    ids=str,
)
def test_options_are_refused_when_they_cannot_be(options: dict[str, object], words: str) -> None:
    """OptionError says which values are allowed, when the template is made and not when a peer connects."""
    with pytest.raises(OptionError, match=words):
        LengthPrefixed(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "limit"), [(1, 255), (2, 65535), (3, 1_048_576), (4, 1_048_576)])
def test_limit_is_lowered_when_the_length_field_cannot_express_it(accel: str, size: int, limit: int) -> None:
    """``max_frame_length`` is what can really be sent; a byte more is refused with that number."""
    codec = LengthPrefixed(size, accel=accel)
    assert codec.max_frame_length == limit
    assert codec.fresh().feed(codec.encode(b"x" * limit)) == [b"x" * limit]
    with pytest.raises(FrameTooLong, match=str(limit)):
        codec.encode(b"x" * (limit + 1))


def test_sending_is_refused_when_the_receiver_strips_what_only_the_sender_knows(accel: str) -> None:
    """A codec whose frames lack bytes before the length receives, but says that it cannot send."""
    codec = LengthPrefixed(2, offset=2, strip=4, accel=accel)
    assert codec.feed(b"HT\x00\x03abc") == [b"abc"]
    with pytest.raises(FrameMalformed, match="only receives"):
        codec.encode(b"abc")


def test_sending_is_refused_when_the_payload_contains_a_wrong_length(accel: str) -> None:
    """Where frames are delivered whole the caller writes the length, and a wrong one is not sent."""
    codec = LengthPrefixed(2, offset=2, accel=accel)
    with pytest.raises(FrameMalformed, match="is 0009, but it must be 0003"):
        codec.encode(b"HT\x00\x09abc")
    with pytest.raises(FrameMalformed, match="3 too short"):
        codec.encode_many([b"H"])


def test_views_are_measured_in_bytes_when_their_items_are_larger(accel: str) -> None:
    """``len`` of a shaped memoryview counts items; the length on the wire counts bytes."""
    codec = LengthPrefixed(4, accel=accel)
    view = memoryview(bytes(range(16))).cast("I")
    table = memoryview(bytes(range(12))).cast("B", (3, 4))
    wire = codec.encode_many([view, table] * 10)
    assert codec.feed(wire) == [bytes(range(16)), bytes(range(12))] * 10
    assert codec.encode(view) == codec.encode(bytes(range(16)))


def test_settings_of_a_subclass_are_kept_when_fresh_is_called(accel: str) -> None:
    """A subclass lists its own settings; ``fresh`` hands them on with the others."""

    class Tagged(LengthPrefixed):
        settings = (*LengthPrefixed.settings, "tag")

        def __init__(self, tag: str) -> None:
            super().__init__(2, accel=accel)
            self.tag = tag

    twin = Tagged("blue").fresh()
    assert (type(twin), twin.tag, twin.feed(twin.encode(b"x"))) == (Tagged, "blue", [b"x"])
