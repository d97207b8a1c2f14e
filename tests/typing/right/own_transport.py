"""Protocols that do more with their transport than write, hand it on, and give it to another one."""

import reactor


class Chat(reactor.Protocol):
    def __init__(self, loop: reactor.Reactor, everybody: set[reactor.Stream]) -> None:
        self.loop = loop
        self.everybody = everybody

    def connection_made(self, transport: reactor.Stream) -> None:
        self.transport = transport
        self.everybody.add(transport)
        transport.set_idle_timeout(60)
        transport.set_write_buffer_limits(high=1000)
        transport.set_extra_info("name", "nobody")

    def data_received(self, data: bytes) -> None:
        if data == b"upgrade\n":
            framed = Framed(self.loop)
            self.transport.set_protocol(framed)
            framed.connection_made(self.transport)
            return
        for stream in self.everybody - {self.transport}:
            forward(stream, data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.transport.is_reading():
            self.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.everybody.discard(self.transport)


class Framed(reactor.FramedProtocol):
    codec = reactor.Lines()

    def __init__(self, loop: reactor.Reactor) -> None:
        self.patience = reactor.Deadline(loop, self.give_up, "a line")

    def give_up(self, exc: Exception) -> None:
        self.transport.reset()

    def frame_received(self, frame: bytes) -> None:
        self.patience.start(5.0)
        self.send_frame(frame)
        self.transport.writelines([frame, b"\n"])
        if self.transport.get_write_buffer_size() > self.transport.get_write_buffer_limits()[1]:
            self.transport.abort()


class Packets(reactor.MessageProtocol):
    max_message_size = 4096

    def connection_made(self, transport: reactor.MessageStream) -> None:
        super().connection_made(transport)
        transport.send_message(b"hello")

    def message_received(self, data: bytes) -> None:
        self.transport.send_message(memoryview(data))
        self.transport.write_eof()


def forward(stream: reactor.Stream, data: bytes) -> None:
    if stream.can_write_eof() and not stream.is_closing():
        stream.write(bytearray(data))


def main(loop: reactor.Reactor) -> None:
    everybody: set[reactor.Stream] = set()
    loop.listen_tcp(lambda: Chat(loop, everybody))
    connector = loop.connect_unix(Packets, "@packets", seqpacket=True)
    loop.run_until(connector.is_done)
    if connector.stream is not None:
        connector.stream.send_message(b"")
    print(connector.protocol.max_message_size)
