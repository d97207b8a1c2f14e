"""Decoders that are slow, obvious and independent: what the formats mean, for the tests to compare with.

Each takes a whole stream, ended, and returns the frames and the class of the error that follows them, if any.
"""

from __future__ import annotations

from reactor.errors import FrameMalformed, FrameTooLong, FrameTruncated, FramingError

Reference = tuple[list[bytes], type[FramingError] | None]


def decode_length(
    stream: bytes, *, size: int, byteorder: str, offset: int, adjustment: int, strip: int, limit: int
) -> Reference:
    """Decode as the documentation of Netty's LengthFieldBasedFrameDecoder describes it."""
    frames: list[bytes] = []
    while stream:
        header = offset + size
        if len(stream) < header:
            return frames, FrameTruncated
        total = header + adjustment + int.from_bytes(stream[offset:header], byteorder)  # type: ignore[arg-type]
        if total < header or total < strip:
            return frames, FrameMalformed
        if total - strip > limit:
            return frames, FrameTooLong
        if len(stream) < total:
            return frames, FrameTruncated
        frames.append(stream[strip:total])
        stream = stream[total:]
    return frames, None


def decode_varint(stream: bytes, *, limit: int) -> Reference:
    """Decode frames behind an unsigned LEB128 of at most ten bytes and 64 bits."""
    frames: list[bytes] = []
    while stream:
        size = next((index + 1 for index, byte in enumerate(stream[:10]) if byte < 128), None)
        if len(stream) >= 10 and (size is None or (size == 10 and stream[9] > 1)):
            return frames, FrameMalformed
        if size is None:
            return frames, FrameTruncated
        value = sum((byte % 128) << 7 * index for index, byte in enumerate(stream[:size]))
        if value > limit:
            return frames, FrameTooLong
        if len(stream) < size + value:
            return frames, FrameTruncated
        frames.append(stream[size : size + value])
        stream = stream[size + value :]
    return frames, None


def decode_netstrings(stream: bytes, *, limit: int) -> Reference:
    """Decode netstrings, reading the length one character at a time."""
    frames: list[bytes] = []
    while stream:
        digits = ""
        while len(digits) < len(stream) and stream[len(digits)] in b"0123456789":
            digits += chr(stream[len(digits)])
            if len(digits) > 1 and digits[0] == "0":
                return frames, FrameMalformed
            if len(digits) > len(str(limit)):
                return frames, FrameTooLong
        if len(digits) == len(stream):
            return frames, FrameTruncated
        if not digits or stream[len(digits)] != ord(":"):
            return frames, FrameMalformed
        if int(digits) > limit:
            return frames, FrameTooLong
        begin, end = len(digits) + 1, len(digits) + 1 + int(digits)
        if len(stream) <= end:
            return frames, FrameTruncated
        if stream[end] != ord(","):
            return frames, FrameMalformed
        frames.append(stream[begin:end])
        stream = stream[end + 1 :]
    return frames, None


def decode_delimited(stream: bytes, *, delimiter: bytes, limit: int) -> Reference:
    """Decode frames before a delimiter; of an unfinished one, the start of a delimiter may exceed the limit."""
    frames: list[bytes] = []
    while stream:
        frame, found, rest = stream.partition(delimiter)
        if len(frame) > limit + (0 if found else len(delimiter) - 1):
            return frames, FrameTooLong
        if not found:
            return frames, FrameTruncated
        frames.append(frame)
        stream = rest
    return frames, None


def decode_lines(stream: bytes, *, limit: int) -> Reference:
    """Decode lines that end with LF or CR LF; the last may lack its end."""
    frames: list[bytes] = []
    while stream:
        line, found, rest = stream.partition(b"\n")
        if found and line.endswith(b"\r"):
            line = line[:-1]
        if len(line) > limit:
            return frames, FrameTooLong
        frames.append(line)
        stream = rest
    return frames, None
