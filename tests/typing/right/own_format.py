"""A format of one's own: frames of any type, another type to be sent, settings and state, an answer to a fault."""

import reactor
from reactor.errors import FrameMalformed, FramingError

Command = list[bytes]
Reply = str | int | None


class Words(reactor.Codec[Command, Reply]):
    def __init__(self, separator: bytes, max_frame_length: int = 1000) -> None:
        super().__init__(max_frame_length=max_frame_length)
        self.separator = separator
        self.count = 0

    def next_frame(self, data: bytes, at: int) -> tuple[Command, int] | int | None:
        end = data.find(b"\n", at)
        if end < 0:
            return None
        if data[at:end].startswith(b"!"):
            raise FrameMalformed("no command begins like this")
        self.count += 1
        return data[at:end].split(self.separator), end + 1

    def encode(self, payload: Reply) -> bytes:
        return f"{payload}\n".encode()


class Server(reactor.FramedProtocol[Command, Reply]):
    codec = Words(b",")

    def frame_received(self, command: Command) -> None:
        self.send_frame(len(command))
        self.send_frame(command[0].decode())
        self.send_frames([None, 1, "text"])

    def fault_received(self, fault: FramingError) -> None:
        self.send_frame(str(fault))
        print(fault.frames)


class Batched(reactor.FramedProtocol[Command, Reply]):
    codec = Words(b";")

    def frames_received(self, frames: list[Command]) -> None:
        self.send_frames(len(command) for command in frames)


class Lengths(reactor.Codec):
    def next_frame(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        end = at + 1 + data[at]
        return (data[at + 1 : end], end) if end <= len(data) else None

    def encode(self, payload: bytes | bytearray | memoryview) -> bytes:
        return bytes([len(payload)]) + bytes(payload)


class Bytes(reactor.FramedProtocol):
    codec = Lengths(max_frame_length=256)

    def frame_received(self, frame: bytes) -> None:
        self.send_frame(frame.upper())


def main(loop: reactor.Reactor) -> None:
    loop.listen_tcp(Server)
    loop.listen_tcp(Batched)
    loop.listen_tcp(Bytes)
    first: Command = Words(b" ").fresh().feed(b"a b\n")[0]
    print(first, Words(b" ").encode_many(["a", 1, None]))
