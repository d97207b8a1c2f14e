"""Each protocol is told of its own bytes, cut where its peer cut them, and each reply leaves once and whole.

All of this went wrong at the shipped settings.  Between a turn in which few connections speak and one in which
many do, the way in which streams are received for changes, and so it may within one frame, between two replies, or
between an owner of a descriptor and the next.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

import reactor
from reactor.errors import WriteBufferFull
from tests.regressions.shipped import MANY, Shipped, heard


class Echo(reactor.FramedProtocol):
    """Sends every frame back."""

    codec = reactor.LengthPrefixed(4)

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ends: list[BaseException | None] = []

    def frame_received(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.send_frame(frame)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


class Bytes(reactor.Protocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.ends: list[BaseException | None] = []

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: BaseException | None) -> None:
        self.ends.append(exc)


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def make_busy(loop: Shipped, peers: list[socket.socket], data: bytes = framed(b"busy")) -> None:
    """Have all *peers* speak in each of three turns: whatever depends on how many are ready expects many now."""
    for _ in range(3):
        for peer in peers:
            peer.send(data)
        loop.turns(1)
    for peer in peers:
        heard(peer)


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_frame_is_whole_when_it_began_in_a_turn_of_few_and_ended_in_one_of_many(loop: Shipped, cut: int) -> None:
    """A frame that is split anywhere, its start received beside no other and its rest beside seven, is one."""
    echoes = [Echo() for _ in range(MANY)]
    peers = [loop.pair(echo) for echo in echoes]
    wire = framed(bytes(20))  # full of what could be taken for the length of an empty frame
    for victim in range(MANY):
        others = [peer for number, peer in enumerate(peers) if number != victim]
        make_busy(loop, others)
        loop.turns(2)  # of none
        peers[victim].send(wire[:cut])
        loop.turns(1)
        for peer in others:
            peer.send(framed(b"x"))
        loop.turns(1)
        for peer in others:
            peer.send(framed(b"y"))
        peers[victim].send(wire[cut:])
        loop.turns(3)
        assert heard(peers[victim]) == wire
        for peer in others:
            assert heard(peer) == framed(b"x") + framed(b"y")
        for echo in echoes:
            echo.frames.clear()
    for peer in peers:
        peer.close()


def test_the_new_owner_of_a_descriptor_gets_its_bytes_when_the_old_stream_was_closed_behind_our_back(
    loop: Shipped,
) -> None:
    """Somebody closes the socket of an open stream, and a file with the same number is watched with ``add_reader``.

    However many connections speak beside it: what arrives there is told to the one that watches it, and to nobody
    else.
    """
    echoes = [Echo() for _ in range(MANY)]
    peers = [loop.pair(echo) for echo in echoes]
    old = Bytes()
    old_peer = loop.pair(old)
    make_busy(loop, [*peers, old_peer])
    old.data.clear()
    sock = old.transport.get_extra_info("socket")
    number = sock.fileno()
    sock.close()
    near, far = socket.socketpair()
    assert near.fileno() == number
    got = []
    loop.add_reader(near, lambda: got.append(near.recv(100)))
    for turn in range(4):
        for peer in peers:
            peer.send(framed(b"beside it"))
        far.send(b"new%d;" % turn)
        loop.turns(1)
    loop.turns(2)
    assert b"".join(got) == b"new0;new1;new2;new3;"
    assert old.data == b""
    loop.remove_reader(near)
    for sock in (near, far, old_peer, *peers):
        sock.close()


def test_a_reply_arrives_when_another_callback_of_the_turn_aborts_its_connection(loop: Shipped) -> None:
    """What was answered in a delivery that is over has left, or leaves, whoever aborts the stream afterwards."""
    told: list[Any] = []

    class Last(Echo):
        def frame_received(self, frame: bytes) -> None:
            super().frame_received(frame)
            if frame == b"go":
                told.append(self)
                if len(told) == MANY:
                    for other in told[:-1]:
                        other.transport.abort()

    echoes = [Last() for _ in range(MANY)]
    peers = [loop.pair(echo) for echo in echoes]
    make_busy(loop, peers)
    for peer in peers:
        peer.send(framed(b"go"))
    loop.until(lambda: len(told) == MANY)
    loop.turns(3)
    assert [heard(peer) for peer in peers] == [framed(b"go")] * MANY
    assert sum(echo.ends == [None] for echo in echoes) == MANY - 1
    for peer in peers:
        peer.close()


def test_the_first_reply_arrives_when_the_second_delivery_to_a_lent_buffer_raises(loop: Shipped) -> None:
    """A protocol that lends a small buffer is called several times for one arrival, and each call is a delivery."""

    class Lender:
        transport: Any = None
        calls = 0
        ends: list[BaseException | None]

        def __init__(self) -> None:
            self.buffer = bytearray(4)
            self.ends = []

        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def get_buffer(self, hint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, size: int) -> None:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("on purpose")
            self.transport.write(b"first")

        def eof_received(self) -> None: ...

        def connection_lost(self, exc: BaseException | None) -> None:
            self.ends.append(exc)

    lender = Lender()
    peer = loop.pair(lender)
    peer.send(b"ABCDEFGH")
    loop.until(lambda: lender.ends)
    assert heard(peer) == b"first"
    assert [str(exc) for exc in loop.failures] == ["on purpose"]
    assert lender.ends == loop.failures
    loop.failures.clear()
    peer.close()


@pytest.mark.parametrize("behind", [b"\xff" * 9, b"\0\0\0\1x" * 3, b"\0\0\0\1"], ids=["bad", "more", "part"])
def test_the_whole_answer_arrives_when_garbage_stands_behind_the_request(loop: Shipped, behind: bytes) -> None:
    """After ``close()`` nothing that the peer has sent matters any more: not even that it is no frame."""
    answer = b"a" * (8 << 20)

    class Server(Echo):
        def frames_received(self, frames: Any) -> None:
            if not self.frames:
                self.frames += frames
                self.transport.write(answer)
                self.transport.close()

    server = Server()
    peer = loop.pair(server)
    peer.send(framed(b"give") + behind)
    got = bytearray()
    for _ in range(2000):
        loop.turns(1)
        got += heard(peer)
        if server.ends:
            break
    got += heard(peer)
    assert len(got) == len(answer)
    assert server.ends == [None]
    peer.close()


class Flow(Echo):
    """Notes when it is told to pause and to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[str] = []

    def pause_writing(self) -> None:
        self.turns.append("pause")

    def resume_writing(self) -> None:
        self.turns.append("resume")


@pytest.mark.parametrize("verb", ["write", "writelines"])
def test_one_write_of_more_than_the_cap_passes_when_nothing_waits(loop: Shipped, verb: str) -> None:
    """The cap is for what piles up.  One large answer pauses the protocol, is counted, and arrives."""
    flow = Flow()
    peer = loop.pair(flow)
    data = b"x" * (17 << 20)
    if verb == "write":
        flow.transport.write(data)
    else:
        flow.transport.writelines([data])
    assert flow.turns == ["pause"]
    assert flow.transport.get_write_buffer_size() > 16 << 20
    got = 0
    while got < len(data):
        loop.run_once(1)
        got += len(heard(peer))
        assert flow.ends == []
    loop.turns(2)
    assert flow.turns == ["pause", "resume"]
    assert flow.transport.get_write_buffer_size() == 0
    peer.close()


def test_the_connection_ends_when_something_is_added_while_more_than_the_cap_waits(loop: Shipped) -> None:
    """The peer is given up then, and the message names what a program can change: ``watermarks=...``."""
    flow = Flow()
    peer = loop.pair(flow, watermarks=reactor.Watermarks(1000, 100, 10_000))
    flow.transport.write(b"x" * 1_000_000)
    loop.turns(2)
    assert flow.ends == []
    flow.transport.write(b"y")
    loop.until(lambda: flow.ends)
    [exc] = flow.ends
    assert isinstance(exc, WriteBufferFull)
    assert "watermarks" in str(exc)
    peer.close()
