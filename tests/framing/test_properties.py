"""Properties: for any bytes, however cut, both scanners give what the obvious decoder gives.

Half of the streams are noise, which finds faults early; the other half are frames with noise behind or damage in
the middle, which gets past the first header.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import OptionError
from reactor.framing import Codec, Delimited, LengthPrefixed, Lines, Netstrings
from tests.framing import reference
from tests.framing.feeding import cut_at, cuts, drive

payload_lists = st.lists(st.binary(max_size=40), max_size=60)
noise = st.binary(max_size=60)
telling = st.lists(st.sampled_from(list(b"0123456789::,,\0\0\1\2\x7f\x80\xff\n\n\r;")), max_size=60).map(bytes)
limits = st.sampled_from([1, 2, 9, 10, 40, 1000])


def compare(codec: Codec, stream: bytes, where: list[int], expected: reference.Reference) -> None:
    """Feed *stream* whole and cut at *where*; the outcomes must be equal, and be *expected*."""
    whole = drive(codec.fresh(), [stream])
    assert (whole[0], whole[1] and whole[1][0]) == expected
    assert drive(codec.fresh(), cut_at(stream, where)) == whole
    assert drive(codec.fresh(), cut_at(stream, where), direct=True) == whole


def damaged(codec: Codec, payloads: list[bytes], tail: bytes, place: int) -> bytes:
    """Return the payloads that *codec* can send, encoded, with *tail* at the end or, by *place*, in the middle."""
    stream = b"".join(encodable(codec, payload) for payload in payloads)
    at = len(stream) if place % 2 else place % (len(stream) + 1)
    return stream[:at] + tail + stream[at:]


def encodable(codec: Codec, payload: bytes) -> bytes:
    """Return *payload* encoded, or nothing if the codec refuses it."""
    try:
        return codec.encode(payload)
    except ValueError:
        return b""


@given(
    size=st.sampled_from([1, 2, 3, 4, 8]),
    order=st.sampled_from(["big", "little"]),
    offset=st.integers(0, 5),
    adjustment=st.integers(-12, 6),
    strip=st.integers(0, 14),
    limit=limits,
    payloads=payload_lists,
    tail=noise | telling,
    place=st.integers(0, 999),
    where=cuts,
)
def test_length_prefixed_frames_equal_the_reference_for_any_stream(
    accel: str,
    size: int,
    order: str,
    offset: int,
    adjustment: int,
    strip: int,
    limit: int,
    payloads: list[bytes],
    tail: bytes,
    place: int,
    where: list[int],
) -> None:
    """Any layout, any stream, any cut: the same frames and the same error."""
    try:
        codec = LengthPrefixed(
            size,
            byteorder=order,
            offset=offset,
            adjustment=adjustment,
            strip=strip,
            max_frame_length=limit,
            accel=accel,
        )
    except OptionError:
        return
    plain = LengthPrefixed(size, byteorder=order, accel=accel)
    stream = damaged(plain, payloads, tail, place)
    expected = reference.decode_length(
        stream,
        size=size,
        byteorder=order,
        offset=offset,
        adjustment=adjustment,
        strip=strip,
        limit=codec.max_frame_length,
    )
    compare(codec, stream, where, expected)


@given(limit=limits, payloads=payload_lists, tail=noise | telling, place=st.integers(0, 999), where=cuts)
def test_varint_frames_equal_the_reference_for_any_stream(
    accel: str, limit: int, payloads: list[bytes], tail: bytes, place: int, where: list[int]
) -> None:
    """Any stream, any cut: the same frames and the same error."""
    codec = LengthPrefixed("varint", max_frame_length=limit, accel=accel)
    stream = damaged(codec, payloads, tail, place)
    compare(codec, stream, where, reference.decode_varint(stream, limit=limit))


@given(limit=limits, payloads=payload_lists, tail=noise | telling, place=st.integers(0, 999), where=cuts)
def test_netstrings_equal_the_reference_for_any_stream(
    accel: str, limit: int, payloads: list[bytes], tail: bytes, place: int, where: list[int]
) -> None:
    """Any stream, any cut: the same frames and the same error."""
    codec = Netstrings(limit, accel=accel)
    stream = damaged(codec, payloads, tail, place)
    compare(codec, stream, where, reference.decode_netstrings(stream, limit=limit))


@given(
    delimiter=st.sampled_from([b"\n", b"\r\n", b"aa", b";;:", b"\0"]),
    limit=limits,
    payloads=payload_lists,
    tail=noise | telling,
    place=st.integers(0, 999),
    where=cuts,
)
def test_delimited_frames_equal_the_reference_for_any_stream(
    delimiter: bytes, limit: int, payloads: list[bytes], tail: bytes, place: int, where: list[int]
) -> None:
    """Any delimiter, also one that overlaps itself."""
    codec = Delimited(delimiter, max_frame_length=limit)
    stream = damaged(codec, payloads, tail, place)
    compare(codec, stream, where, reference.decode_delimited(stream, delimiter=delimiter, limit=limit))


@given(limit=limits, payloads=payload_lists, tail=noise | telling, place=st.integers(0, 999), where=cuts)
def test_lines_equal_the_reference_for_any_stream(
    limit: int, payloads: list[bytes], tail: bytes, place: int, where: list[int]
) -> None:
    """Any mixture of CR and LF."""
    codec = Lines(max_frame_length=limit)
    stream = damaged(codec, payloads, tail, place)
    compare(codec, stream, where, reference.decode_lines(stream, limit=limit))


@given(
    make=st.sampled_from(
        [
            lambda accel: LengthPrefixed(4, accel=accel),
            lambda accel: LengthPrefixed(3, byteorder="little", accel=accel),
            lambda accel: LengthPrefixed(8, adjustment=-8, accel=accel),
            lambda accel: LengthPrefixed("varint", accel=accel),
            lambda accel: Netstrings(accel=accel),
        ]
    ),
    payloads=payload_lists,
    where=cuts,
)
def test_any_payloads_come_back_when_encoded_and_fed(
    accel: str, make: object, payloads: list[bytes], where: list[int]
) -> None:
    """``feed`` undoes ``encode_many``, whatever the payloads contain."""
    codec = make(accel)  # type: ignore[operator]
    assert drive(codec.fresh(), cut_at(codec.encode_many(payloads), where)) == (payloads, None)
