"""What every codec owes, whatever its format and whichever scanner cuts: one suite for all of them.

A format is a row in ``FORMATS``: how to make the codec, payloads that it can carry, a stream that breaks it (or
None where every byte is lawful), and a stream that announces too much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from reactor.errors import FrameTooLong, FrameTruncated, FramingError, UsageError
from reactor.framing import Codec, Delimited, FixedSize, LengthPrefixed, Lines, Netstrings, Raw
from tests.framing.feeding import drive, pieces


@dataclass(frozen=True)
class Format:
    """One row of the table; ``make`` takes the scanner's name."""

    name: str
    make: Callable[[str], Codec]
    payloads: tuple[bytes, ...]
    broken: bytes | None = None
    too_long: bytes | None = None
    truncates: bool = True
    """Does a stream that ends inside a frame raise?  Not for Lines and Raw."""


TEXTS = (b"a", b"", b"hello, world", b"x" * 300, b"\x00\xff", b"", b"yz") + (b"many",) * 20

FORMATS = [
    Format(
        "length1",
        lambda a: LengthPrefixed(1, max_frame_length=250, accel=a),
        (b"a", b"", b"xyz" * 50),
        None,
        b"\xff",
    ),
    Format("length2", lambda a: LengthPrefixed(2, max_frame_length=400, accel=a), TEXTS, None, b"\xff\xff"),
    Format("length3", lambda a: LengthPrefixed(3, max_frame_length=400, accel=a), TEXTS, None, b"\x01\x00\x00"),
    Format("length4", lambda a: LengthPrefixed(4, max_frame_length=400, accel=a), TEXTS, None, b"\xff\xff\xff\xff"),
    Format("length8", lambda a: LengthPrefixed(8, max_frame_length=400, accel=a), TEXTS, None, b"\xff" * 8),
    Format(
        "little3",
        lambda a: LengthPrefixed(3, byteorder="little", max_frame_length=400, accel=a),
        TEXTS,
        None,
        b"\x00\x00\x01",
    ),
    Format(
        "little4",
        lambda a: LengthPrefixed(4, byteorder="little", max_frame_length=400, accel=a),
        TEXTS,
        None,
        b"\x00\x00\x00\x01",
    ),
    Format(
        "inclusive",
        lambda a: LengthPrefixed(4, adjustment=-4, max_frame_length=400, accel=a),
        TEXTS,
        b"\x00\x00\x00\x03",
        b"\x7f\x00\x00\x00",
    ),
    Format(
        "whole",
        lambda a: LengthPrefixed(2, offset=2, max_frame_length=400, accel=a),
        (b"HT\x00\x03abc", b"HT\x00\x00", b"HT\x00\x01z"),
        None,
        b"HT\xff\xff",
    ),
    Format(
        "varint",
        lambda a: LengthPrefixed("varint", max_frame_length=400, accel=a),
        TEXTS,
        b"\xff" * 10,
        b"\xff\xff\x03",
    ),
    Format("netstring", lambda a: Netstrings(400, accel=a), TEXTS, b"01:a,", b"401:"),
    Format("delimited", lambda a: Delimited(b"\r\n", max_frame_length=400), TEXTS, None, b"x" * 402),
    Format(
        "kept", lambda a: Delimited(b";", keep=True, max_frame_length=400), (b"a;", b";", b"bcd;"), None, b"x" * 401
    ),
    Format("lines", lambda a: Lines(max_frame_length=400), TEXTS, None, b"x" * 402, truncates=False),
    Format("crlf", lambda a: Lines(ending=b"\r\n", max_frame_length=400), TEXTS, None, b"x" * 402, truncates=False),
    Format("fixed", lambda a: FixedSize(3), (b"abc", b"\x00\x00\x00", b"xyz")),
]

ids = [row.name for row in FORMATS]
every_format = pytest.mark.parametrize("row", FORMATS, ids=ids)
breakable = pytest.mark.parametrize(
    "row", [row for row in FORMATS if row.broken or row.too_long], ids=lambda r: r.name
)
limited = pytest.mark.parametrize("row", [row for row in FORMATS if row.too_long], ids=lambda r: r.name)
truncating = pytest.mark.parametrize("row", [row for row in FORMATS if row.truncates], ids=lambda r: r.name)


# -- frames ----------------------------------------------------------------------------------------------------


@every_format
def test_payloads_come_back_when_the_stream_arrives_at_once(row: Format, accel: str) -> None:
    """What ``encode_many`` joined, ``feed`` takes apart, in order."""
    codec = row.make(accel)
    assert codec.fresh().feed(codec.encode_many(row.payloads)) == list(row.payloads)


@every_format
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_payloads_come_back_when_the_stream_arrives_in_pieces(row: Format, accel: str, size: int) -> None:
    """The frames do not depend on how the stream was cut."""
    codec = row.make(accel)
    stream = codec.encode_many(row.payloads)
    assert drive(codec.fresh(), pieces(stream, size)) == (list(row.payloads), None)


@every_format
def test_payloads_come_back_when_the_stream_is_split_at_any_byte(row: Format, accel: str) -> None:
    """There is no byte at which two chunks may not meet."""
    codec = row.make(accel)
    stream = codec.encode_many(row.payloads[:4])
    for at in range(len(stream) + 1):
        assert drive(codec.fresh(), [stream[:at], stream[at:]]) == (list(row.payloads[:4]), None), at


@every_format
@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_frames_are_independent_bytes_when_a_mutable_buffer_is_fed(row: Format, accel: str, kind: type) -> None:
    """The caller may overwrite its buffer after ``feed``; frames and held bytes are copies."""
    codec = row.make(accel)
    stream = bytearray(codec.encode_many(row.payloads))
    first, second = bytearray(stream[:-1]), bytearray(stream[-1:])
    decoder = codec.fresh()
    frames = decoder.feed(kind(first))
    first[:] = b"!" * len(first)
    frames += decoder.feed(kind(second))
    assert frames == list(row.payloads)
    assert {type(frame) for frame in frames} == {bytes}


@every_format
def test_nothing_happens_when_nothing_is_fed(row: Format, accel: str) -> None:
    """An empty chunk completes no frame and disturbs none that has begun."""
    codec = row.make(accel)
    stream = codec.encode(row.payloads[0])
    decoder = codec.fresh()
    assert decoder.feed(b"") == []
    assert decoder.feed(stream[:-1]) + decoder.feed(b"") + decoder.feed(stream[-1:]) == [row.payloads[0]]


# -- state -----------------------------------------------------------------------------------------------------


@every_format
def test_held_bytes_are_counted_when_a_frame_is_incomplete(row: Format, accel: str) -> None:
    """``buffered`` is what has arrived of an incomplete frame, and 0 when there is none."""
    codec = row.make(accel)
    stream = codec.encode(row.payloads[0])
    decoder = codec.fresh()
    counts = []
    for byte in pieces(stream, 1):
        decoder.feed(byte)
        counts.append(decoder.buffered)
    assert counts == [*range(1, len(stream)), 0]


@every_format
def test_decoders_share_nothing_but_settings_when_made_from_one_template(row: Format, accel: str) -> None:
    """``fresh`` of a decoder in the middle of a frame is at the start of one, and neither disturbs the other."""
    template = row.make(accel)
    one = template.fresh()
    one.feed(template.encode(row.payloads[0])[:-1])
    two = one.fresh()
    assert type(two) is type(template)
    assert (two.buffered, two.max_frame_length) == (0, template.max_frame_length)
    assert two.feed(template.encode(row.payloads[0])) == [row.payloads[0]]
    assert one.feed(template.encode(row.payloads[0])[-1:]) == [row.payloads[0]]
    assert template.buffered == 0


@every_format
def test_decoder_has_no_dictionary_when_it_is_idle(row: Format, accel: str) -> None:
    """There is one decoder for each connection: it has slots only."""
    assert not hasattr(row.make(accel).fresh(), "__dict__")


@every_format
def test_each_byte_is_scanned_a_bounded_number_of_times_when_a_peer_drips(row: Format, accel: str) -> None:
    """One byte at a time costs linear time: the scanner sees at most a few times the bytes that arrived."""
    decoder = row.make(accel).fresh()
    stream = decoder.encode_many(row.payloads * 5)
    scan, seen = decoder._scan, []

    def counting(data: bytes, at: int, most: int) -> tuple[list[bytes], int, int, int]:
        seen.append(len(data) - at)
        return scan(data, at, most)

    decoder._scan = counting
    drive(decoder, pieces(stream, 1))
    assert sum(seen) <= 12 * len(stream)
    assert max(seen) <= max(len(decoder.encode(payload)) for payload in row.payloads)


# -- faults ----------------------------------------------------------------------------------------------------


@breakable
def test_frames_before_the_fault_are_handed_over_when_one_chunk_has_both(row: Format, accel: str) -> None:
    """``fault.frames`` are the frames that the same call completed."""
    decoder = row.make(accel)
    stream = decoder.encode_many(row.payloads) + (row.broken or row.too_long or b"")
    with pytest.raises(FramingError) as caught:
        decoder.feed(stream)
    assert caught.value.frames == list(row.payloads)


@breakable
def test_codec_stays_broken_when_it_has_raised(row: Format, accel: str) -> None:
    """Every later call raises the same error without frames, and nothing is held."""
    decoder = row.make(accel)
    with pytest.raises(FramingError) as first:
        decoder.feed(decoder.encode(row.payloads[0]) + (row.broken or row.too_long or b""))
    good = decoder.encode(row.payloads[0])
    for call in (
        lambda: decoder.feed(good),
        lambda: decoder.feed(b""),
        decoder.feed_eof,
        lambda: decoder.buffer_updated(1),
    ):
        with pytest.raises(type(first.value)) as again:
            call()
        assert (str(again.value), again.value.frames) == (str(first.value), [])
    assert (decoder.buffered, decoder.receive_buffer) == (0, None)
    assert decoder.fresh().feed(good) == [row.payloads[0]]


@breakable
@pytest.mark.parametrize("size", [1, 2, 5])
def test_fault_is_the_same_when_the_stream_arrives_in_pieces(row: Format, accel: str, size: int) -> None:
    """Class and text of the error do not depend on how the stream was cut."""
    decoder = row.make(accel)
    stream = decoder.encode_many(row.payloads) + (row.broken or row.too_long or b"")
    assert drive(decoder.fresh(), pieces(stream, size)) == drive(decoder.fresh(), [stream])


@limited
def test_frame_is_refused_before_it_is_buffered_when_it_is_too_long(row: Format, accel: str) -> None:
    """A peer cannot make a codec hold more than a frame of the allowed length."""
    decoder = row.make(accel)
    assert row.too_long is not None
    with pytest.raises(FrameTooLong, match=r"max_frame_length"):
        decoder.feed(row.too_long)
    assert decoder.buffered == 0


@limited
def test_payload_is_refused_when_it_is_too_long(row: Format, accel: str) -> None:
    """The limit binds the sender too, in both ways of encoding, and the codec stays usable."""
    codec = row.make(accel)
    long = b"x" * codec.max_frame_length + codec.encode(row.payloads[0])
    for attempt in (lambda: codec.encode(long), lambda: codec.encode_many([*row.payloads, long, *row.payloads])):
        with pytest.raises(FrameTooLong, match="cannot be sent"):
            attempt()
    assert codec.feed(codec.encode(row.payloads[0])) == [row.payloads[0]]


@truncating
def test_end_is_a_fault_when_a_frame_is_incomplete(row: Format, accel: str) -> None:
    """The stream ended inside a frame: FrameTruncated says after how many bytes, and again if asked again."""
    decoder = row.make(accel)
    payload = max(row.payloads, key=len)
    held = len(decoder.encode(payload)) - 1
    assert decoder.feed(decoder.encode(payload)[:-1]) == []
    for _ in range(2):
        with pytest.raises(FrameTruncated, match=f"after {held} bytes"):
            decoder.feed_eof()


@every_format
def test_end_is_nothing_when_no_frame_has_begun(row: Format, accel: str) -> None:
    """Between two frames the stream may end, and ending twice changes nothing."""
    decoder = row.make(accel)
    decoder.feed(decoder.encode(row.payloads[0]))
    assert decoder.feed_eof() + decoder.feed_eof() == []


@every_format
def test_receiving_directly_is_refused_when_no_buffer_was_offered(row: Format, accel: str) -> None:
    """``buffer_updated`` without ``receive_buffer`` is the caller's mistake, and harms nothing."""
    decoder = row.make(accel)
    stream = decoder.encode(row.payloads[0])
    for chunk in (stream[:1], stream[1:]):
        assert decoder.receive_buffer is None
        with pytest.raises(UsageError, match="no receive_buffer"):
            decoder.buffer_updated(1)
        frames = decoder.feed(chunk)
    assert (frames or decoder.feed(b"")) == ([row.payloads[0]] if len(stream) > 1 else [])


# -- encoding --------------------------------------------------------------------------------------------------


@every_format
@pytest.mark.parametrize("count", [0, 1, 3, 8, 100])
def test_many_payloads_equal_one_by_one_when_encoded_together(row: Format, accel: str, count: int) -> None:
    """``encode_many`` is ``encode`` in a loop, joined; it takes any iterable."""
    codec = row.make(accel)
    payloads = [row.payloads[index % len(row.payloads)] for index in range(count)]
    expected = b"".join(codec.encode(payload) for payload in payloads)
    assert codec.encode_many(payloads) == codec.encode_many(iter(payloads)) == expected
    assert type(codec.encode_many(payloads)) is bytes


@every_format
@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_encoding_is_the_same_when_the_payload_is_a_buffer(row: Format, accel: str, kind: type) -> None:
    """Any bytes-like payload is sent like its bytes, and the result is bytes."""
    codec = row.make(accel)
    buffers = [kind(payload) for payload in row.payloads]
    assert codec.encode_many(buffers) == codec.encode_many(row.payloads)
    assert codec.encode(buffers[0]) == codec.encode(row.payloads[0])
    assert {type(codec.encode(buffers[0])), type(codec.encode_many(buffers))} == {bytes}


@every_format
@pytest.mark.parametrize("wrong", ["text", 5, None, [1, 2]], ids=repr)
def test_payload_is_refused_when_it_is_not_bytes(row: Format, accel: str, wrong: object) -> None:
    """A str is not encoded by guess, and 5 does not become five zero bytes."""
    codec = row.make(accel)
    with pytest.raises(TypeError):
        codec.encode(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        codec.encode_many([*row.payloads * 8, wrong])  # type: ignore[list-item]


# -- no framing ------------------------------------------------------------------------------------------------


def test_chunks_are_frames_when_there_is_no_framing() -> None:
    """Raw delivers what came, drops empty chunks, and has nothing to miss at the end."""
    decoder = Raw().fresh()
    assert decoder.feed(b"ab") + decoder.feed(b"") + decoder.feed(bytearray(b"c")) == [b"ab", b"c"]
    assert (decoder.feed_eof(), decoder.buffered, decoder.receive_buffer) == ([], 0, None)
    assert decoder.encode_many([b"a", bytearray(b"b"), memoryview(b"c")]) == b"abc"
    with pytest.raises(TypeError):
        decoder.encode("text")  # type: ignore[arg-type]
