"""The messages of an upload: byte by byte as the page describes them, and nothing that is malformed gets
through."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import MessageMalformed
from reactor.service.upload import messages
from reactor.service.upload.messages import (
    DATA_BYTES,
    LARGEST_SIZE,
    TEXT_BYTES,
    Busy,
    Cancel,
    Data,
    End,
    Go,
    Hello,
    Kept,
    Offer,
    Reason,
    Refused,
    Welcome,
    reply,
    request,
)  # fmt: skip

KEY, DIGEST = b"k" * 32, b"d" * 32


def test_each_message_has_the_bytes_that_the_page_says() -> None:
    """Written out by hand: whoever writes a client needs nothing else."""
    assert messages.hello() == b"Hreactor-upload\x01"
    assert messages.offer(7, 258, KEY, b"name") == b"O\0\0\0\x07" + b"\0\0\0\0\0\0\x01\x02" + KEY + b"name"
    assert messages.data_head(7, 3) + b"abc" == b"\0\0\0\x08" + b"D\0\0\0\x07" + b"abc"
    assert messages.end(7, DIGEST) == b"E\0\0\0\x07" + DIGEST
    assert messages.cancel(7) == b"C\0\0\0\x07"
    assert messages.BUSY == b"B"
    assert messages.welcome(16, 65_536) == b"W\x01\0\x10\0\x01\0\0"
    assert messages.go(7, 258) == b"G\0\0\0\x07" + b"\0\0\0\0\0\0\x01\x02"
    assert messages.kept(7) == b"K\0\0\0\x07"
    assert messages.refused(7, Reason.QUOTA, "full") == b"R\0\0\0\x07\x03full"


def test_each_message_says_the_same_when_it_is_read() -> None:
    """Reading undoes writing, for both sides."""
    assert request(messages.hello()) == Hello(1)
    assert request(messages.offer(7, LARGEST_SIZE, KEY, b"name")) == Offer(7, LARGEST_SIZE, KEY, b"name")
    assert request(messages.data_head(7, 3)[4:] + b"abc") == Data(7, memoryview(b"abc"))
    assert request(messages.end(7, DIGEST)) == End(7, DIGEST)
    assert request(messages.cancel(7)) == Cancel(7)
    assert request(messages.BUSY) == reply(messages.BUSY) == Busy()
    assert reply(messages.welcome(16, DATA_BYTES)) == Welcome(1, 16, DATA_BYTES)
    assert reply(messages.go(2**32 - 1, 2**64 - 1)) == Go(2**32 - 1, 2**64 - 1)
    assert reply(messages.kept(7)) == Kept(7)
    assert reply(messages.refused(7, 1, "so")) == Refused(7, 1, "so")


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"?",
        b"H",
        b"Hreactor-uploae\x01",
        b"Hreactor-upload",
        b"Hreactor-upload\x01\x01",
        b"O" + bytes(43),
        b"O" + bytes(44),
        b"O" + bytes(44 + 256),
        b"O" + struct.pack(">IQ", 0, LARGEST_SIZE + 1) + KEY + b"a",
        b"D",
        b"D\0\0\0\0",
        b"E" + bytes(35),
        b"E" + bytes(37),
        b"C\0\0\0",
        b"B\0",
        b"G" + bytes(12),
    ],
)
def test_a_request_is_refused_when_it_is_malformed(frame: bytes) -> None:
    """Too short, too long, unknown, or meant for the other side."""
    with pytest.raises(MessageMalformed):
        request(frame)


@pytest.mark.parametrize("frame", [b"", b"H", b"W\1", b"G" + bytes(11), b"K" + bytes(3), b"R" + bytes(4), b"D"])
def test_a_reply_is_refused_when_it_is_malformed(frame: bytes) -> None:
    """A client trusts its server no more than the other way round."""
    with pytest.raises(MessageMalformed):
        reply(frame)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_message_or_refused_and_nothing_else(frame: bytes) -> None:
    """No other exception leaves the reader, whatever arrives."""
    for read in (request, reply):
        try:
            read(frame)
        except MessageMalformed:
            pass


def test_a_reason_in_words_cannot_drive_a_terminal_and_is_cut() -> None:
    """It comes from the network and is shown to a person."""
    assert reply(b"R\0\0\0\0\x05a\x1b[2J\n\xffb") == Refused(0, 5, "a?[2J?\ufffdb")
    assert len(messages.refused(0, 1, "x" * 5000)) == 6 + TEXT_BYTES
    assert isinstance(reply(messages.refused(0, 1, "好" * 5000)), Refused)
