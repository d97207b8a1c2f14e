"""Streams that a careless parser would believe: one row each, for every way of cutting and both scanners.

``expected`` is the class of the error; ``frames`` what is lawful before it.  Findings of the fuzzers and of other
people's advisories end up here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reactor.errors import FrameMalformed, FrameTooLong, FrameTruncated, FramingError
from reactor.framing import Codec, Delimited, LengthPrefixed, Lines, Netstrings


@dataclass(frozen=True)
class Hostile:
    """A stream, the codec that it attacks, and what must come of it."""

    name: str
    make: Callable[[str], Codec]
    stream: bytes
    expected: type[FramingError]
    frames: tuple[bytes, ...] = ()


def four(accel: str) -> Codec:
    """The commonest codec."""
    return LengthPrefixed(4, accel=accel)


def eight(accel: str) -> Codec:
    """The one whose lengths reach 2**64 - 1."""
    return LengthPrefixed(8, accel=accel)


def inclusive(accel: str) -> Codec:
    """A length that counts its own four bytes."""
    return LengthPrefixed(4, adjustment=-4, accel=accel)


def whole(accel: str) -> Codec:
    """Two bytes, a length of the whole frame, nothing stripped."""
    return LengthPrefixed(2, offset=2, adjustment=-4, accel=accel)


def cut_off(accel: str) -> Codec:
    """More is stripped than the header has."""
    return LengthPrefixed(1, strip=4, accel=accel)


def varint(accel: str) -> Codec:
    """Unsigned LEB128."""
    return LengthPrefixed("varint", accel=accel)


def nets(accel: str) -> Codec:
    """Netstrings with a limit of four digits."""
    return Netstrings(1000, accel=accel)


def lines(accel: str) -> Codec:
    """Lines of at most eight bytes."""
    return Lines(max_frame_length=8)


def crlf(accel: str) -> Codec:
    """Frames of at most eight bytes before CR LF."""
    return Delimited(b"\r\n", max_frame_length=8)


ABC = b"\x00\x00\x00\x03abc"

HOSTILE = [
    Hostile("length 2**32-1", four, b"\xff\xff\xff\xff", FrameTooLong),
    Hostile("length -1 after a frame", four, ABC + b"\xff\xff\xff\xffabc", FrameTooLong, (b"abc",)),
    Hostile("length of the limit plus one", four, b"\x00\x10\x00\x01", FrameTooLong),
    Hostile("length of the limit, then the end", four, b"\x00\x10\x00\x00x", FrameTruncated),
    Hostile("half a header, then the end", four, ABC + b"\x00\x00", FrameTruncated, (b"abc",)),
    Hostile("HTTP at the wrong port", four, b"GET / HTTP/1.1\r\n\r\n", FrameTooLong),
    Hostile("TLS at the wrong port", four, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", FrameTooLong),
    Hostile("length 2**64-1", eight, b"\xff" * 8, FrameTooLong),
    Hostile("length 2**63, negative if signed", eight, b"\x80" + b"\x00" * 7, FrameTooLong),
    Hostile("length 2**32, zero in 32 bits", eight, b"\x00\x00\x00\x01\x00\x00\x00\x00", FrameTooLong),
    Hostile("length 2**64-8, wraps with its header", eight, b"\xff" * 7 + b"\xf8", FrameTooLong),
    Hostile("inclusive length 0", inclusive, b"\x00\x00\x00\x00", FrameMalformed),
    Hostile("inclusive length 3, less than itself", inclusive, b"\x00\x00\x00\x03abc", FrameMalformed),
    Hostile(
        "whole length 3, less than its header", whole, b"HT\x00\x04HT\x00\x03", FrameMalformed, (b"HT\x00\x04",)
    ),
    Hostile("inclusive length 2**31-1", inclusive, b"\x7f\xff\xff\xff", FrameTooLong),
    Hostile("less than is stripped", cut_off, b"\x03abc\x02ab", FrameMalformed, (b"",)),
    Hostile("varint without end", varint, b"\x80" * 10, FrameMalformed),
    Hostile("varint of 65 bits", varint, b"\xff" * 9 + b"\x02", FrameMalformed),
    Hostile("varint of eleven bytes", varint, b"\x80" * 9 + b"\x80\x00", FrameMalformed),
    Hostile("varint 2**64-1, wraps with its header", varint, b"\xff" * 9 + b"\x01", FrameTooLong),
    Hostile(
        "varint padded to ten bytes is lawful",
        varint,
        b"\x83" + b"\x80" * 8 + b"\x00abc\x05",
        FrameTruncated,
        (b"abc",),
    ),
    Hostile("varint half there, then the end", varint, b"\x01a\x80", FrameTruncated, (b"a",)),
    Hostile("netstring with a plus", nets, b"+3:abc,", FrameMalformed),
    Hostile("netstring with a minus", nets, b"-1:", FrameMalformed),
    Hostile("netstring with a space", nets, b" 3:abc,", FrameMalformed),
    Hostile("netstring with a trailing space", nets, b"3 :abc,", FrameMalformed),
    Hostile("netstring with an underscore", nets, b"1_0:abcdefghij,", FrameMalformed),
    Hostile("netstring with a leading zero", nets, b"03:abc,", FrameMalformed),
    Hostile("netstring with two zeros", nets, b"0:,00:,", FrameMalformed, (b"",)),
    Hostile("netstring in hexadecimal", nets, b"0x3:abc,", FrameMalformed),
    Hostile("netstring in Arabic-Indic digits", nets, "\u0663:abc,".encode(), FrameMalformed),
    Hostile("netstring in fullwidth digits", nets, "\uff13:abc,".encode(), FrameMalformed),
    Hostile("netstring in superscript", nets, b"\xb2:ab,", FrameMalformed),
    Hostile("netstring without length", nets, b":abc,", FrameMalformed),
    Hostile("netstring with another terminator", nets, b"1:a,3:abc;", FrameMalformed, (b"a",)),
    Hostile("netstring longer than it says", nets, b"3:abcd,", FrameMalformed),
    Hostile("netstring of too many digits", nets, b"99999", FrameTooLong),
    Hostile("netstring of too many digits and a colon", nets, b"12345678:", FrameTooLong),
    Hostile("netstring of digits without end", nets, b"1" * 1_000, FrameTooLong),
    Hostile("netstring of the limit plus one", nets, b"1001:", FrameTooLong),
    Hostile("netstring without its comma, then the end", nets, b"3:abc", FrameTruncated),
    Hostile("line without end", lines, b"a\n" + b"x" * 100, FrameTooLong, (b"a",)),
    Hostile("line one too long", lines, b"12345678\n123456789\n", FrameTooLong, (b"12345678",)),
    Hostile("line one too long by its CR", lines, b"12345678\r\n12345678\r\r\n", FrameTooLong, (b"12345678",)),
    Hostile("frame whose delimiter never comes", crlf, b"12345678\r\r\r", FrameTooLong),
    Hostile("frame that ends in half a delimiter", crlf, b"a\r\n12345678\r", FrameTruncated, (b"a",)),
]
