"""Files on a stream: whatever can be sent, and what is told of it."""

import io
from pathlib import Path

import reactor


class Download(reactor.Protocol):
    def connection_made(self, transport: reactor.Stream) -> None:
        super().connection_made(transport)
        with Path("/etc/services").open("rb") as file:
            sending = transport.send_file(file, offset=1, count=2, on_done=self.sent)
        transport.send_file(0, on_done=lambda sending: sending.file.close())
        transport.send_file(io.BytesIO(b"content"), 1, None)
        print(sending.sent, sending.count, sending.error, sending.done())
        sending.cancel()

    def sent(self, sending: reactor.FileSending) -> None:
        size: int = sending.result()
        print(size)


def send(loop: reactor.Reactor, stream: reactor.Stream) -> int:
    return loop.run_until(stream.send_file(0), timeout=5)
