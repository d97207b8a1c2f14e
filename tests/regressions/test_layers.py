"""A protocol in front of a FramedProtocol hands bytes on as it likes: in pieces, several in one call, and the end.

Cutting is bounded, so a part of one piece may still wait to be cut when the next one comes; frames of the second
were once told before those of the first, and valid ones were lost when a fault came behind them.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

import reactor
from reactor.limits import TURN_FRAMES
from tests.regressions.shipped import Shipped

COUNT = 5 * TURN_FRAMES


class Numbered(reactor.FramedProtocol):
    """Notes its frames, and how it ended."""

    codec: reactor.Codec = reactor.Netstrings()

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ends: list[BaseException | None] = []

    def frame_received(self, frame: bytes) -> None:
        self.frames.append(frame)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


class Layer(reactor.Protocol):
    """Hands on what comes in pieces of *size* bytes."""

    def __init__(self, inner: Any, size: int) -> None:
        self.inner = inner
        self.size = size

    def connection_made(self, transport: Any) -> None:
        self.inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        for at in range(0, len(data), self.size):
            self.inner.data_received(data[at : at + self.size])

    def eof_received(self) -> bool | None:
        return self.inner.eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.inner.connection_lost(exc)


@pytest.mark.parametrize("size", [1000, 8192, 1 << 18])
@pytest.mark.parametrize("is_broken", [False, True])
def test_frames_come_in_order_and_before_a_fault_when_a_layer_hands_on_pieces(
    loop: Shipped, size: int, is_broken: bool
) -> None:
    """All of them, whatever the pieces are."""
    inner = Numbered()
    peer = loop.pair(Layer(inner, size))
    expected = [b"%d" % number for number in range(COUNT)]
    encoder = Numbered.codec.fresh()
    peer.setblocking(True)
    peer.sendall(encoder.encode_many(expected) + (b"x:," if is_broken else b""))
    loop.until(lambda: inner.ends if is_broken else len(inner.frames) == COUNT)
    assert inner.frames == expected
    if is_broken:
        assert [type(exc) for exc in inner.ends] == [reactor.errors.FrameMalformed]
    peer.close()
    loop.until(lambda: inner.ends)


def test_no_batch_is_empty_when_a_turns_share_ends_behind_a_whole_frame(loop: Shipped) -> None:
    """A handler may say ``frames[-1]``."""
    batches: list[int] = []

    class Batches(Numbered):
        codec = reactor.LengthPrefixed(4)

        def frames_received(self, frames: list[bytes]) -> None:
            batches.append(len(frames))

    protocol = Batches()
    peer = loop.pair(protocol)
    peer.send(bytes(4 * TURN_FRAMES) + b"\0\0\0\2a")
    loop.until(lambda: sum(batches) == TURN_FRAMES)
    loop.turns(3)
    peer.send(b"b")
    loop.until(lambda: sum(batches) == TURN_FRAMES + 1)
    assert 0 not in batches
    peer.shutdown(socket.SHUT_WR)
    loop.until(lambda: protocol.ends)
    peer.close()


def test_nothing_is_told_behind_the_end_when_the_next_file_is_sent_as_the_last_one_ends(
    loop: Shipped, tmp_path: Any
) -> None:
    """``on_done`` that sends the next file learns that there is no connection any more; it was called forever."""
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    told: list[str] = []

    class Sending(Numbered):
        def connection_lost(self, exc: BaseException | None) -> None:
            super().connection_lost(exc)
            told.append("lost")

    protocol = Sending()
    peer = loop.pair(protocol)
    with path.open("rb") as file:

        def again(sending: Any) -> None:
            told.append("done")
            with pytest.raises(reactor.errors.TransportClosed):
                protocol.transport.send_file(file, on_done=again)

        protocol.transport.send_file(file, on_done=again)
        protocol.transport.abort()
        loop.until(lambda: protocol.ends)
        loop.turns(5)
    assert told == ["done", "lost"]
    peer.close()
