"""Hostile streams: the right error, after the right frames, however the stream arrives."""

from __future__ import annotations

import pytest

from tests.framing.feeding import drive, pieces
from tests.framing.hostile import HOSTILE, Hostile


@pytest.mark.parametrize("row", HOSTILE, ids=[row.name for row in HOSTILE])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 10_000])
def test_error_and_frames_are_the_expected_when_the_stream_is_hostile(row: Hostile, accel: str, size: int) -> None:
    """Each row of the table gives its error, with the lawful frames before it delivered."""
    frames, fault = drive(row.make(accel), pieces(row.stream, size))
    assert frames == list(row.frames)
    assert fault is not None
    assert fault[0] is row.expected


@pytest.mark.parametrize("row", HOSTILE, ids=[row.name for row in HOSTILE])
def test_error_is_the_same_when_many_frames_come_before(row: Hostile, accel: str) -> None:
    """Behind so many frames that the native scanner takes the chunk, the outcome is still the one of the row."""
    codec = row.make(accel)
    good = row.frames[0] if row.frames else b"HT\x00\x04" if row.name.startswith("whole") else b"x"
    if row.make.__name__ == "cut_off":
        start, frames = b"\x03abc" * 300, [b""] * 300
    else:
        start, frames = codec.encode_many([good] * 300), [good] * 300
    assert drive(codec.fresh(), [start + row.stream]) == (
        frames + list(row.frames),
        drive(codec.fresh(), [row.stream])[1],
    )


@pytest.mark.parametrize("row", HOSTILE, ids=[row.name for row in HOSTILE])
def test_text_is_the_same_when_the_other_scanner_reads_it(row: Hostile, accel: str) -> None:
    """The message is part of the contract: an operator greps for it."""
    assert drive(row.make(accel), [row.stream]) == drive(row.make("pure"), [row.stream])


def test_length_in_the_message_is_the_frame_when_header_bytes_are_counted(accel: str) -> None:
    """The announced size is given as the application counts it: what would have been delivered."""
    from reactor.framing import LengthPrefixed

    codec = LengthPrefixed(2, adjustment=-2, max_frame_length=10, accel=accel)
    _, fault = drive(codec, [b"\x00\x0d"])
    assert fault is not None
    assert fault[1] == "the peer announces a frame of 11 bytes; max_frame_length is 10"
