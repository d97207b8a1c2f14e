"""Framed protocols that note what they are told and react as they are told, one for each kind of format."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from reactor.framing import Codec, LengthPrefixed, Lines, Netstrings
from reactor.net.protocol import FramedProtocol
from tests.net.stage import Stage

#: The longest frame of most of them.
LIMIT = 3000


class Frames(FramedProtocol):
    """Notes its frames, and reacts to each as it is told."""

    codec: Codec = LengthPrefixed(2, max_frame_length=LIMIT)

    def __init__(self, react: Callable[[Frames, bytes], object] = lambda me, frame: None) -> None:
        self.react = react
        self.frames: list[bytes] = []
        self.end: list[Any] = []
        self.is_ended = False

    def frame_received(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.react(self, frame)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.end.append(exc)


class Roomy(Frames):
    """As much may be collected as ever: no limit on frames bounds it."""

    codec = LengthPrefixed(2)


class Batches(Frames):
    """The same by the batch."""

    def frames_received(self, frames: Any) -> None:
        for frame in frames:
            self.frame_received(frame)


class Varints(Frames):
    codec = LengthPrefixed("varint", max_frame_length=LIMIT)


class Whole(Frames):
    """Frames that contain their length, which C could cut, but nobody can make by putting a length before them."""

    codec = LengthPrefixed(2, strip=0, max_frame_length=LIMIT)


class Texts(Frames):
    codec = Lines(max_frame_length=LIMIT)


class Nets(Frames):
    codec = Netstrings(max_frame_length=LIMIT)


FORMATS = (Frames, Batches, Varints, Whole, Texts, Nets)


def pair(stage: Stage, protocol: FramedProtocol) -> socket.socket:
    """Put *protocol* on a stream; return the peer's socket."""
    ours, theirs = socket.socketpair()
    stage.adopt_stream(lambda: protocol, ours)
    theirs.setblocking(False)
    return theirs


def wire_of(kind: type[Frames], payloads: list[bytes]) -> bytes:
    """Return *payloads* as the peer of a *kind* sends them."""
    if kind is Whole:
        return b"".join((len(payload)).to_bytes(2, "big") + payload for payload in payloads)
    if kind is Texts:
        payloads = [payload.replace(b"\n", b"").replace(b"\r", b"") for payload in payloads]
    return kind.codec.encode_many(payloads)


def heard(peer: socket.socket) -> bytes:
    """Return all that has come for the peer, up to an end or an error."""
    data = bytearray()
    try:
        while more := peer.recv(1 << 20):
            data += more
    except OSError:
        pass
    return bytes(data)


# -- reactions ---------------------------------------------------------------------------------------------------


def echo(me: Frames, frame: bytes) -> None:
    me.send_frame(frame)


def echo_with_bytes_between(me: Frames, frame: bytes) -> None:
    me.send_frame(b"<")
    me.transport.write(b"raw")
    me.send_frames([b">", frame])


def pause(me: Frames, frame: bytes) -> None:
    me.transport.pause_reading()


def answer_and_close(me: Frames, frame: bytes) -> None:
    me.send_frame(b"bye")
    me.transport.close()


def answer_and_end(me: Frames, frame: bytes) -> None:
    if not me.is_ended:
        me.send_frame(b"no more")
        me.transport.write_eof()
        me.is_ended = True


def raise_(me: Frames, frame: bytes) -> None:
    me.send_frame(b"lost with the connection")
    raise RuntimeError("as the script says")


def flood(me: Frames, frame: bytes) -> None:
    for size in range(60):
        me.send_frame(bytes([size]) * 50 * (size % 7))
    me.send_frames([b"x" * 2900] * 30)


def ignore(me: Frames, frame: bytes) -> None: ...
