"""Framed servers: one frame at a time, and by the batch; a codec of the class, and one of each connection."""

from collections.abc import Iterable, Sequence

import reactor


class Shout(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed(4, byteorder="little")

    def frame_received(self, line: bytes) -> None:
        try:
            self.send_frame(line.upper())
        except reactor.errors.PayloadRefused:
            self.send_frame(bytearray(line))
        self.send_frame(memoryview(line))


class Batch(reactor.FramedProtocol):
    codec = reactor.LengthPrefixed("varint")

    def frames_received(self, frames: list[bytes]) -> None:
        self.send_frames([frame.upper() for frame in frames])


class FromAny(reactor.FramedProtocol):
    codec: reactor.Codec = reactor.Delimited(b"\0", keep=True)

    def frames_received(self, frames: Iterable[bytes]) -> None:
        self.send_frames(frame for frame in frames if frame)


class FromMany(reactor.FramedProtocol):
    def __init__(self, size: int) -> None:
        self.codec = reactor.LengthPrefixed(size) if size else reactor.Lines(ending=b"\r\n")

    def frames_received(self, frames: Sequence[bytes]) -> None:
        if not self.transport.is_closing():
            self.send_frames(frames[:1])
            self.transport.close()


def decoded(codec: reactor.Codec, data: bytes) -> list[bytes]:
    decoder = codec.fresh()
    return [*decoder.feed(data), *decoder.feed_eof()]


def main(loop: reactor.Reactor) -> None:
    loop.listen_tcp(Shout)
    loop.listen_tcp(Batch)
    loop.listen_unix(FromAny, b"@framed")
    loop.listen_tcp(lambda: FromMany(2))
    for codec in (reactor.FixedSize(16), reactor.Raw(), reactor.Netstrings()):
        print(decoded(codec, b"2:hi,"))
