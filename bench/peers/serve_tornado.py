"""Tornado as a contestant: ``serve_tornado.py raw|line|framed``, with its ``TCPServer`` and ``IOStream``.

A coroutine for each connection on asyncio's loop.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.tcpserver import TCPServer


class Echo(TCPServer):
    """What is read comes back."""

    shape = "raw"

    async def handle_stream(self, stream: IOStream, address: Any) -> None:
        stream.set_nodelay(True)
        answer = {"raw": raw, "line": line, "framed": framed}[self.shape]
        try:
            while True:
                await answer(stream)
        except StreamClosedError:
            pass


async def raw(stream: IOStream) -> None:
    """Bytes come back."""
    await stream.write(await stream.read_bytes(65536, partial=True))


async def line(stream: IOStream) -> None:
    """A line comes back."""
    await stream.write(await stream.read_until(b"\n"))


async def framed(stream: IOStream) -> None:
    """A frame comes back."""
    header = await stream.read_bytes(4)
    await stream.write(header + await stream.read_bytes(int.from_bytes(header, "big")))


async def serve(shape: str) -> None:
    """Serve until killed."""
    Echo.shape = shape
    server = Echo()
    sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
