"""Large frames: received where they will lie, and no more memory than the peer has paid for."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from reactor.errors import FrameMalformed, FrameTruncated, OptionError
from reactor.framing import Codec, Delimited, FixedSize, LengthPrefixed, Netstrings
from reactor.limits import LARGE_FRAME_BYTES, MAX_FRAME_LENGTH, TURN_BYTES
from tests.framing.feeding import drive, pieces, receive

LARGE = random.Random(1).randbytes(300_000)

CODECS = {
    "length": lambda accel: LengthPrefixed(4, accel=accel),
    "whole": lambda accel: LengthPrefixed(4, offset=2, adjustment=-6, accel=accel),
    "varint": lambda accel: LengthPrefixed("varint", accel=accel),
    "netstring": lambda accel: Netstrings(accel=accel),
    "fixed": lambda accel: FixedSize(len(LARGE)),
}


@pytest.fixture(params=list(CODECS))
def codec(request: pytest.FixtureRequest, accel: str) -> Codec:
    """A codec that can foresee the size of a frame."""
    made: Codec = CODECS[request.param](accel)
    return made


def payload_for(codec: Codec) -> bytes:
    """Return a large payload that *codec* can send."""
    try:
        codec.encode(LARGE)
    except FrameMalformed:  # frames are whole, with the header of this one inside
        return b"HT" + len(LARGE).to_bytes(4, "big") + LARGE[6:]
    return LARGE


@pytest.mark.parametrize("size", [1_000, 20_000, 70_000, 262_144])
def test_large_frames_are_equal_when_received_directly_or_fed(codec: Codec, size: int) -> None:
    """Both ways give the same frames, in any mixture."""
    payload = payload_for(codec)
    stream = codec.encode_many([payload, payload])
    assert drive(codec.fresh(), pieces(stream, size)) == ([payload, payload], None)
    assert drive(codec.fresh(), pieces(stream, size), direct=True) == ([payload, payload], None)


def test_large_frames_are_equal_when_feeding_and_receiving_alternate(codec: Codec) -> None:
    """``feed`` goes on working while a buffer is offered: what it takes goes to the same place."""
    dice = random.Random(2)
    payload = payload_for(codec)
    stream = codec.encode_many([payload] * 3)
    for _ in range(10):
        decoder, frames, at = codec.fresh(), [], 0
        while at < len(stream):
            chunk = stream[at : at + dice.choice((1, 500, 30_000, 150_000))]
            at += len(chunk)
            frames += decoder.feed(receive(decoder, chunk, frames) if dice.random() < 0.5 else chunk)
        assert frames == [payload] * 3
        assert decoder.buffered == 0


def test_no_buffer_is_offered_when_little_has_arrived(accel: str) -> None:
    """Four bytes that announce a mebibyte do not buy one: nothing is allocated for them."""
    decoder = LengthPrefixed(4, accel=accel)
    decoder.feed(MAX_FRAME_LENGTH.to_bytes(4, "big"))
    assert decoder.receive_buffer is None
    decoder.feed(bytes(LARGE_FRAME_BYTES // 4))
    assert decoder.receive_buffer is not None


def test_buffer_grows_with_what_has_arrived_when_a_frame_is_received(accel: str) -> None:
    """No more than half of what has arrived is set aside, and no more than one turn may fill."""
    decoder = LengthPrefixed(4, accel=accel)
    decoder.feed(MAX_FRAME_LENGTH.to_bytes(4, "big") + bytes(20_000))
    offered = []
    while (room := decoder.receive_buffer) is not None:
        assert len(room) <= min(decoder.buffered // 2, TURN_BYTES)
        offered.append(len(room))
        frames = decoder.buffer_updated(len(room))
    assert frames == [bytes(MAX_FRAME_LENGTH)]
    assert len(offered) <= 12


#: A server that holds 200 started frames, 100 KB of each, and says how many bytes that has made resident.
STARTED = """
import sys
from pathlib import Path
from reactor.framing import LengthPrefixed
from tests.framing.feeding import receive

def resident():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024

template, size = LengthPrefixed(4, max_frame_length=2**24, accel=sys.argv[1]), int(sys.argv[2])
piece = template.encode(bytes(2**24))[:16_000]
before, decoders = resident(), []
for _ in range(200):
    decoder = template.fresh()
    decoder.feed(piece)
    for _ in range(size // len(piece)):
        rest = receive(decoder, piece, [])
        if rest:
            decoder.feed(rest)
    decoders.append(decoder)
print(sum(decoder.buffered for decoder in decoders), resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel does not say what is resident")
@pytest.mark.parametrize("size", [50_000, 100_000, 300_000])
def test_started_frames_take_at_most_half_as_much_memory_again_as_has_arrived(accel: str, size: int) -> None:
    """A peer pays for the memory that it takes: it was four times of what had arrived, and the pages were real."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", STARTED, accel, str(size)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    arrived, resident = map(int, told.split())
    assert arrived >= 200 * size
    assert resident <= 1.6 * arrived, "half of it, and what the allocator takes"


def test_no_buffer_is_offered_when_little_is_missing(accel: str) -> None:
    """Less than ``LARGE_FRAME_BYTES`` comes by the common way."""
    decoder = LengthPrefixed(4, accel=accel)
    decoder.feed((200_000).to_bytes(4, "big") + bytes(200_000 - LARGE_FRAME_BYTES + 1))
    assert decoder.receive_buffer is None


def test_no_buffer_is_offered_when_the_size_cannot_be_known() -> None:
    """Nobody knows where a delimiter will be."""
    decoder = Delimited(b"\n")
    decoder.feed(bytes(200_000))
    assert (decoder.receive_buffer, decoder.buffered) == (None, 200_000)


def test_buffer_is_the_same_when_asked_for_twice(accel: str) -> None:
    """Asking changes nothing; a stale view of the caller does no harm either."""
    decoder = LengthPrefixed(4, accel=accel)
    decoder.feed(decoder.encode(LARGE)[:50_000])
    stale = decoder.receive_buffer
    assert stale is not None
    assert stale is decoder.receive_buffer
    slices = [stale[:10], stale[5:]]
    rest = decoder.encode(LARGE)[50_000:]
    frames: list[bytes] = []
    assert receive(decoder, rest, frames) == b""
    assert frames == [LARGE]
    slices[0][:] = b"!" * 10
    assert frames == [LARGE]


def test_buffer_grows_in_place_when_the_caller_kept_the_view_only(accel: str) -> None:
    """What was offered is released before the buffer grows, so that nothing has to be copied out of its way."""
    decoder = LengthPrefixed(4, accel=accel)
    decoder.feed(decoder.encode(LARGE)[:20_000])
    first = decoder.receive_buffer
    assert first is not None
    buffer = first.obj
    decoder.buffer_updated(len(first))
    second = decoder.receive_buffer
    assert second is not None
    assert second.obj is buffer


@pytest.mark.parametrize("size", [-1, 10**9])
def test_size_is_refused_when_the_buffer_is_smaller(accel: str, size: int) -> None:
    """Nobody can have received that much there; the state is as before."""
    decoder = LengthPrefixed(4, accel=accel)
    decoder.feed(decoder.encode(LARGE)[:50_000])
    assert decoder.receive_buffer is not None
    with pytest.raises(OptionError, match="takes 0 to"):
        decoder.buffer_updated(size)
    assert decoder.buffer_updated(0) == []
    assert decoder.buffered == 50_000


def test_end_is_a_fault_when_a_large_frame_is_incomplete(codec: Codec) -> None:
    """Received directly or not, a truncated frame is reported with what had arrived."""
    decoder = codec.fresh()
    stream = codec.encode(payload_for(codec))[:-1]
    assert receive(decoder, stream[50_000:], [*decoder.feed(stream[:50_000])]) == b""
    with pytest.raises(FrameTruncated, match=f"after {len(stream)} bytes"):
        decoder.feed_eof()


def test_comma_is_checked_when_a_large_netstring_is_received_directly(accel: str) -> None:
    """The direct way skips no rule of the format."""
    decoder = Netstrings(accel=accel)
    stream = decoder.encode(LARGE)[:-1] + b";"
    frames, fault = drive(decoder, pieces(stream, 50_000), direct=True)
    assert frames == []
    assert fault is not None
    assert fault[0] is FrameMalformed
