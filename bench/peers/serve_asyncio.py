"""asyncio and uvloop as contestants: ``serve_asyncio.py asyncio|uvloop each|joined|streams raw|line|framed|udp``.

Three styles.  "each" is how people write it: keep a buffer, cut a message, write its reply, go on.  "joined" is
what somebody does who has profiled that: cut without shortening the buffer, collect the replies, write once for
each chunk, and do not join the parts of a large frame before all of them are there.  "streams" is asyncio's
``StreamReader``. Both loops run the same classes.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from struct import Struct
from typing import Any

LENGTH = Struct(">I")
BACKLOG = 1024

#: Bytes of replies above which joining them costs more than describing each of them to the kernel.
LARGE = 64 * 1024


class Raw(asyncio.Protocol):
    """Bytes come back."""

    __slots__ = ("transport",)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class FramedEach(Raw):
    """Frames come back, a write for each."""

    __slots__ = ("buffer",)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while len(self.buffer) >= 4:
            length = int.from_bytes(self.buffer[:4], "big")
            if len(self.buffer) < 4 + length:
                break
            frame = self.buffer[4 : 4 + length]
            self.buffer = self.buffer[4 + length :]
            self.transport.write(len(frame).to_bytes(4, "big") + frame)


class FramedJoined(Raw):
    """Frames come back, all of a chunk in one write; what is incomplete waits as a list of parts."""

    __slots__ = ("held", "missing", "parts")

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parts: list[bytes] = []
        self.held = 0
        self.missing = 0

    def data_received(self, data: bytes) -> None:
        if self.parts:
            self.parts.append(data)
            self.held += len(data)
            if self.held < self.missing:
                return
            data = b"".join(self.parts)
            self.parts = []
        at, size, replies = 0, len(data), []
        needed = 4
        while size - at >= 4:
            length = LENGTH.unpack_from(data, at)[0]
            end = at + 4 + length
            if end > size:
                needed = 4 + length
                break
            frame = data[at + 4 : end]
            replies.append(LENGTH.pack(length))
            replies.append(frame)
            at = end
        if at < size:
            self.parts = [data[at:]]
            self.held = size - at
            self.missing = needed
        if at > LARGE:
            self.transport.writelines(replies)
        elif replies:
            self.transport.write(b"".join(replies))


#: Seconds of work for each message.
HANDLER_SECONDS = float(os.environ.get("BENCH_HANDLER_SECONDS", "0"))


def work() -> None:
    """Keep the processor busy for ``HANDLER_SECONDS``."""
    until = time.perf_counter() + HANDLER_SECONDS
    while time.perf_counter() < until:
        pass


class FramedCostly(FramedJoined):
    """Frames come back, and each costs some time: as many come in one piece as are in flight, and that is one."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        work()
        super().data_received(data)


class LineEach(FramedEach):
    """Lines come back, a write for each."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            self.transport.write(line + b"\n")


class LineJoined(FramedEach):
    """Lines come back, all of a chunk in one write."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        lines = (self.buffer + data).split(b"\n")
        self.buffer = lines.pop()
        if lines:
            lines.append(b"")
            self.transport.write(b"\n".join(lines))


class Datagrams(asyncio.DatagramProtocol):
    """Datagrams come back."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


async def raw_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes come back."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def line_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Lines come back."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def framed_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Frames come back."""
    try:
        while True:
            header = await reader.readexactly(4)
            frame = await reader.readexactly(int.from_bytes(header, "big"))
            writer.write(header + frame)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


PROTOCOLS: dict[tuple[str, str], type[asyncio.Protocol]] = {
    ("each", "raw"): Raw,
    ("each", "line"): LineEach,
    ("each", "framed"): FramedCostly if HANDLER_SECONDS else FramedEach,
    ("joined", "raw"): Raw,
    ("joined", "line"): LineJoined,
    ("joined", "framed"): FramedCostly if HANDLER_SECONDS else FramedJoined,
}
STREAMS = {"raw": raw_stream, "line": line_stream, "framed": framed_stream}


async def serve(style: str, shape: str) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    if shape == "udp":
        transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        print(transport.get_extra_info("sockname")[1], flush=True)
        await loop.create_future()
    if style == "streams":
        server = await asyncio.start_server(STREAMS[shape], "127.0.0.1", 0, backlog=BACKLOG)
    else:
        server = await loop.create_server(PROTOCOLS[style, shape], "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(loop: str, style: str, shape: str) -> None:
    """Choose the loop and serve."""
    if loop == "uvloop":
        import uvloop

        uvloop.run(serve(style, shape))
    else:
        asyncio.run(serve(style, shape))


if __name__ == "__main__":
    main(*sys.argv[1:])
