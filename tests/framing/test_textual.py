"""Delimiters, lines, netstrings and fixed sizes: what is particular to each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reactor.errors import FrameMalformed, FrameTooLong, FrameTruncated, FramingError, OptionError
from reactor.framing import Codec, Delimited, FixedSize, Lines, Netstrings
from tests.framing.feeding import drive, pieces

# -- delimiters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_delimiter_is_found_when_chunks_cut_it_in_two(size: int) -> None:
    """A delimiter of several bytes, with look-alikes around it."""
    stream = b"a-=-b--=--=--" + b"-=-"
    assert drive(Delimited(b"-=-"), pieces(stream, size)) == ([b"a", b"b-", b"", b"-"], None)


def test_payload_is_refused_when_it_contains_the_delimiter() -> None:
    """The receiver would see two frames."""
    codec = Delimited(b"\r\n")
    with pytest.raises(FrameMalformed, match="contains no delimiter"):
        codec.encode(b"two\r\nlines")
    with pytest.raises(FrameMalformed):
        codec.encode_many([b"one", b"two\r\nlines"])
    assert codec.feed(codec.encode(b"cr \r and lf \n alone \r")) == [b"cr \r and lf \n alone \r"]


def test_payload_is_refused_when_it_makes_a_delimiter_with_its_own() -> None:
    """Behind ``a`` the delimiter ``aa`` would be found one byte early."""
    with pytest.raises(FrameMalformed):
        Delimited(b"aa").encode(b"a")


def test_delimiter_is_demanded_when_frames_keep_theirs() -> None:
    """With *keep* a frame is sent as it would be delivered: with one delimiter, at the end."""
    codec = Delimited(b"\0", keep=True)
    assert codec.encode(b"abc\0") == b"abc\0"
    for wrong in (b"abc", b"", b"a\0bc\0", b"\0a"):
        with pytest.raises(FrameMalformed, match="ends with the delimiter"):
            codec.encode(wrong)


@pytest.mark.parametrize("delimiter", [b"", "\n", None, 10], ids=repr)
def test_delimiter_is_refused_when_it_is_not_bytes_or_empty(delimiter: object) -> None:
    """Nothing can end with nothing."""
    with pytest.raises(OptionError, match="one byte or more"):
        Delimited(delimiter)  # type: ignore[arg-type]


# -- lines -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_both_endings_are_stripped_when_lines_mix_them(size: int) -> None:
    """LF and CR LF end a line; a lone CR is a byte like any other."""
    stream = b"lf\ncrlf\r\n\r\n\nlone\rcr\ntwo\r\r\nlast"
    expected = [b"lf", b"crlf", b"", b"", b"lone\rcr", b"two\r", b"last"]
    assert drive(Lines(), pieces(stream, size)) == (expected, None)


def test_last_line_is_delivered_when_it_has_no_end() -> None:
    """As for a text file; a CR at the very end was not followed by LF and stays."""
    decoder = Lines()
    assert decoder.feed(b"one\ntwo\r") == [b"one"]
    assert (decoder.feed_eof(), decoder.feed_eof(), decoder.buffered) == ([b"two\r"], [], 0)


def test_last_line_is_refused_when_its_cr_makes_it_too_long() -> None:
    """Before the end it may have been part of an ending; at the end it is the ninth byte."""
    decoder = Lines(max_frame_length=8)
    assert decoder.feed(b"12345678\r") == []
    with pytest.raises(FrameTooLong):
        decoder.feed_eof()


@pytest.mark.parametrize("payload", [b"a\nb", b"\n", b"a\r"])
def test_line_is_refused_when_it_would_not_come_back(payload: bytes) -> None:
    """LF anywhere, or CR at the end when the ending is LF."""
    with pytest.raises(FrameMalformed, match="contains no LF"):
        Lines().encode(payload)


def test_line_may_end_with_cr_when_the_ending_is_crlf() -> None:
    """One CR is stripped, and it is the ending's."""
    codec = Lines(ending=b"\r\n")
    assert codec.feed(codec.encode(b"a\r")) == [b"a\r"]


def test_ending_is_refused_when_it_is_neither_lf_nor_crlf() -> None:
    """A lone CR would not be understood by our own receiver."""
    with pytest.raises(OptionError, match="ending is"):
        Lines(ending=b"\r")


# -- netstrings ------------------------------------------------------------------------------------------------


def test_netstrings_are_those_of_the_specification(accel: str) -> None:
    """The examples in the text of D. J. Bernstein."""
    codec = Netstrings(accel=accel)
    assert codec.encode(b"hello world!") == b"12:hello world!,"
    assert codec.feed(b"12:hello world!,0:,") == [b"hello world!", b""]


def test_digits_are_bounded_when_the_limit_has_as_many(accel: str) -> None:
    """A limit of 999 takes three digits; the fourth is refused before a colon comes."""
    codec = Netstrings(999, accel=accel)
    assert codec.feed(codec.encode(b"x" * 999)) == [b"x" * 999]
    assert codec.feed(b"999") == []
    with pytest.raises(FrameTooLong, match="9991 bytes"):
        codec.feed(b"1")


# -- fixed sizes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_records_are_cut_by_count_when_their_size_is_fixed(size: int) -> None:
    """Nothing in the bytes matters; an incomplete record at the end is a fault."""
    stream = bytes(range(23))
    frames, fault = drive(FixedSize(5), pieces(stream, size))
    assert frames == [stream[at : at + 5] for at in (0, 5, 10, 15)]
    assert fault is not None
    assert fault[0] is FrameTruncated


def test_record_is_refused_when_it_has_another_size() -> None:
    """Neither padded nor cut."""
    with pytest.raises(FrameMalformed, match="3 bytes, this payload only 2"):
        FixedSize(3).encode(b"ab")
    with pytest.raises(FrameTooLong):
        FixedSize(3).encode(b"abcd")


@pytest.mark.parametrize("size", [0, -1, "4", 2.0, True], ids=repr)
def test_size_is_refused_when_it_is_not_positive(size: object) -> None:
    """A frame of no bytes would arrive forever."""
    with pytest.raises(OptionError):
        FixedSize(size)  # type: ignore[arg-type]


# -- many at once ----------------------------------------------------------------------------------------------

CODECS = [
    Lines(max_frame_length=6), Lines(ending=b"\r\n", max_frame_length=6), Delimited(b"\n", max_frame_length=6),
    Delimited(b"\n", keep=True, max_frame_length=6), Delimited(b"aa", max_frame_length=6), FixedSize(3),
    Netstrings(max_frame_length=6),
]  # fmt: skip

ODD = [
    b"bcb", b"", b"\n", b"b\r", b"bc\n", b"b\nc", b"c\rb", b"bcb\r\n", b"a", b"baab", b"bbbbbb", b"bbbbbbb",
    "bcb", 3, bytearray(b"bcb"), bytearray(b"b\n"), bytearray(b"bbbbbbb"), memoryview(b"bcb"), memoryview(b"bc\r"),
    memoryview(b"bbbbbbbb").cast("I"),
]  # fmt: skip


@pytest.mark.parametrize("good", [b"bcb", b"bc\n", b"\rbc"])
@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_many_payloads_are_encoded_or_refused_as_one_by_one_when_one_is_odd(
    codec: Codec, count: int, good: bytes
) -> None:
    """The short way for many is the long way for each, also for what cannot be sent."""

    def outcome(encode: Callable[[Any], bytes], payloads: list[Any]) -> object:
        try:
            return encode(payloads)
        except (FramingError, TypeError) as fault:
            return type(fault), str(fault)

    for odd in ODD:
        payloads = [*[good] * count, odd, *[good] * count]
        expected = outcome(lambda given: b"".join(map(codec.encode, given)), payloads)
        assert outcome(codec.encode_many, payloads) == expected, odd
    assert codec.encode_many(iter(())) == b""
