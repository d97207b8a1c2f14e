"""What framing costs by itself: nanoseconds per frame, without a socket.

    python -m pytest bench/micro/test_codecs.py --benchmark-columns=min,median --benchmark-group-by=group

Three contenders for the same bytes: ``pure``, ``native``, and ``naive``, the loop that everybody writes first.  A
round handles one chunk of 1, 16 or 1000 frames of 64 bytes, as they come from one ``recv``; divide by that number.
Read *min*: on a shared machine the rest of the distribution belongs to the neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reactor.errors import AccelUnavailable
from reactor.framing import Codec, Delimited, LengthPrefixed, Lines, Netstrings

PAYLOAD = b"x" * 64

FORMATS: dict[str, Callable[[str], Codec]] = {
    "length4": lambda accel: LengthPrefixed(4, accel=accel),
    "length3": lambda accel: LengthPrefixed(3, accel=accel),
    "varint": lambda accel: LengthPrefixed("varint", accel=accel),
    "netstring": lambda accel: Netstrings(accel=accel),
}


class NaiveFraming:
    """The loop that everybody writes first: append, look at the length, slice, and shorten the buffer each time."""

    def __init__(self) -> None:
        self.buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames behind 4-byte big-endian lengths."""
        self.buffer += data
        frames = []
        while len(self.buffer) >= 4:
            size = int.from_bytes(self.buffer[:4], "big")
            if len(self.buffer) < 4 + size:
                break
            frames.append(self.buffer[4 : 4 + size])
            self.buffer = self.buffer[4 + size :]
        return frames

    def encode_many(self, payloads: list[bytes]) -> bytes:
        """Return the payloads behind their lengths."""
        result = b""
        for payload in payloads:
            result += len(payload).to_bytes(4, "big") + payload
        return result


def contender(name: str, format_name: str = "length4") -> Any:
    """Return the codec of that name; skip where there is no native one."""
    if name == "naive":
        return NaiveFraming()
    try:
        return FORMATS[format_name](name)
    except AccelUnavailable as exc:
        pytest.skip(str(exc))


@pytest.mark.parametrize("count", [1, 16, 1000])
@pytest.mark.parametrize("name", ["naive", "pure", "native"])
def test_feeding_length_prefixed_frames(benchmark: Any, name: str, count: int) -> None:
    """One chunk of whole frames, nothing held before or after."""
    codec = contender(name)
    chunk = codec.encode_many([PAYLOAD] * count)
    benchmark.group = f"feed {count:4} x 64 B"
    assert benchmark(codec.feed, chunk) == [PAYLOAD] * count


@pytest.mark.parametrize("name", ["naive", "pure", "native"])
def test_feeding_chunks_that_cut_frames(benchmark: Any, name: str) -> None:
    """Two chunks with the cut inside a frame: what a busy connection sees."""
    codec = contender(name)
    stream = codec.encode_many([PAYLOAD] * 1000)
    first, second = stream[:33_333], stream[33_333:]
    benchmark.group = "feed 1000 x 64 B, cut"
    assert len(benchmark(lambda: codec.feed(first) + codec.feed(second))) == 1000


@pytest.mark.parametrize("count", [1, 16, 1000])
@pytest.mark.parametrize("name", ["naive", "pure", "native"])
def test_encoding_many_payloads(benchmark: Any, name: str, count: int) -> None:
    """The replies of one turn, joined for one ``send``."""
    codec = contender(name)
    benchmark.group = f"encode {count:4} x 64 B"
    assert len(benchmark(codec.encode_many, [PAYLOAD] * count)) == 68 * count


def test_encoding_one_payload(benchmark: Any) -> None:
    """A single reply."""
    benchmark.group = "encode one of 64 B"
    assert len(benchmark(LengthPrefixed(4).encode, PAYLOAD)) == 68


@pytest.mark.parametrize("format_name", ["length3", "varint", "netstring"])
@pytest.mark.parametrize("name", ["pure", "native"])
def test_feeding_other_formats(benchmark: Any, name: str, format_name: str) -> None:
    """The formats beside the common one."""
    codec = contender(name, format_name)
    chunk = codec.encode_many([PAYLOAD] * 1000)
    benchmark.group = f"feed 1000 x 64 B, {format_name}"
    assert len(benchmark(codec.feed, chunk)) == 1000


@pytest.mark.parametrize("codec", [Lines(), Delimited(b"\r\n")], ids=["lines", "delimited"])
def test_feeding_delimited_frames(benchmark: Any, codec: Codec) -> None:
    """``bytes.split`` is the scanner."""
    chunk = codec.encode_many([PAYLOAD] * 1000)
    benchmark.group = "feed 1000 x 64 B, delimited"
    assert len(benchmark(codec.feed, chunk)) == 1000


@pytest.mark.parametrize("way", ["fed", "received"])
def test_feeding_a_large_frame(benchmark: Any, way: str) -> None:
    """A mebibyte in reads of at most 256 KiB: through the shared buffer, or received where it will lie.

    The kernel's copy is part of both, played by a copy from ``stream``.
    """
    template = LengthPrefixed(4)
    stream = memoryview(template.encode(bytes(2**20)))
    scratch = memoryview(bytearray(2**18))

    def receive() -> int:
        codec, at, frames = template.fresh(), 0, 0
        while at < len(stream):
            room = codec.receive_buffer if way == "received" else None
            target = scratch if room is None else room
            part = stream[at : at + min(len(target), 2**18)]
            target[: len(part)] = part
            frames += len(
                codec.feed(bytes(scratch[: len(part)])) if room is None else codec.buffer_updated(len(part))
            )
            at += len(part)
        return frames

    benchmark.group = "a frame of 1 MiB"
    assert benchmark(receive) == 1


def test_making_a_decoder(benchmark: Any) -> None:
    """What a new connection pays."""
    benchmark.group = "fresh"
    assert benchmark(LengthPrefixed(4).fresh).buffered == 0
