"""One protocol, two hosts: asyncio's protocols on our streams, and ours on a stock asyncio loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from reactor.errors import FramingError
from tests.net.recorder import FrameRecorder, framed
from tests.net.stage import PATIENCE, Stage, stage_on, wire_on

#: What a peer sends before it ends: small frames, large ones, an end inside of a frame, a fault.
STORIES = {
    "frames": framed(b"one", b"", b"three" * 1000),
    "large": framed(b"before", bytes(range(256)) * 3000, b"after", bytes(700_000), b"last"),
    "truncated": framed(b"whole") + b"\0\0\0\7abc",
    "too long": framed(b"whole", b"too") + b"\xff\xff\xff\xff" + b"more",
    "nothing": b"",
}


@pytest.fixture
def stage(poller_name: str) -> Iterator[Stage]:
    with stage_on(poller_name) as stage:
        yield stage


class Shouter(asyncio.Protocol):
    """As people write them for asyncio."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.lost: list[Exception | None] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data.upper())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


class BufferedShouter(asyncio.BufferedProtocol):
    """The same with a buffer of its own, so small that it has to be filled many times."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.lost: list[Exception | None] = []
        self.buffer = bytearray(1000)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(self.buffer[:nbytes].upper())

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


@pytest.mark.parametrize("kind", [Shouter, BufferedShouter])
def test_a_protocol_of_asyncio_runs_on_our_stream(stage: Stage, kind: Any) -> None:
    """It is told the same things in the same order, and does not notice."""
    text = b"all the same " * 2000
    with wire_on(stage, kind()) as wire:
        wire.peer.read()
        wire.peer.send(text)
        stage.until(lambda: len(wire.peer.received) == len(text))
        wire.peer.shutdown()
        stage.until(lambda: wire.peer.end == b"")
        assert wire.peer.received == text.upper()
        assert wire.protocol.lost == [None]


def answered(protocol: FrameRecorder, frame: bytes) -> None:
    protocol.send_frame(b"%d bytes" % len(frame))


def transcript_here(stage: Stage, story: bytes) -> tuple[list[Any], bytes]:
    """Return what the protocol was told on our stream, and what the peer was answered."""
    with wire_on(stage, FrameRecorder(answered)) as wire:
        wire.peer.read()
        wire.peer.send(story)
        stage.until(lambda: not wire.peer.unsent)
        wire.peer.shutdown()
        stage.until(lambda: wire.protocol.is_lost and wire.peer.end is not None)
        return wire.protocol.events, bytes(wire.peer.received)


async def transcript_there(story: bytes) -> tuple[list[Any], bytes]:
    """Return the same of a stock asyncio loop."""
    loop = asyncio.get_running_loop()
    protocol: Any = FrameRecorder(answered)
    server = await loop.create_server(lambda: protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(story)
    try:
        writer.write_eof()
        answer = await reader.read()
    except ConnectionError:  # aborted at the fault, with bytes unread: a reset
        answer = b""
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        pass
    while not protocol.is_lost:
        await asyncio.sleep(0)
    server.close()
    await server.wait_closed()
    return protocol.events, answer


@pytest.mark.parametrize("name", STORIES)
def test_a_framed_protocol_tells_the_same_story_on_asyncio(stage: Stage, name: str) -> None:
    """The same frames, the same answers, the same end, in the same order."""
    ours, answer = transcript_here(stage, STORIES[name])
    theirs, their_answer = asyncio.run(asyncio.wait_for(transcript_there(STORIES[name]), PATIENCE))
    reason = ours[-1][1]
    assert ours[:-1] == theirs[:-1]
    assert theirs[-1] == ("lost", None), "asyncio's transport can be given no reason"
    if name in ("truncated", "too long"):
        assert isinstance(reason, FramingError)
    else:
        assert reason is None
        assert answer == their_answer


def test_a_framed_protocol_ends_when_it_closes_on_asyncio() -> None:
    """Where frames cannot be held they are at least not delivered after ``close``."""

    async def run() -> Any:
        near, far = socket.socketpair()
        protocol: Any = FrameRecorder(lambda me, frame: me.transport.close())
        with far:
            far.sendall(framed(b"one", b"two"))
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, near)
            while not protocol.is_lost:
                await asyncio.sleep(0)
        return protocol

    protocol = asyncio.run(asyncio.wait_for(run(), PATIENCE))
    assert protocol.events == [("made",), ("frame", b"one"), ("lost", None)]
