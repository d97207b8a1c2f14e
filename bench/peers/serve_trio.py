"""Trio as a contestant: ``serve_trio.py raw|line|framed``.

A task for each connection.  Trio brings no framing, so this is what its users write: a buffer and ``receive_some``.
"""

from __future__ import annotations

import sys
from typing import Any

import trio


async def raw(stream: trio.SocketStream) -> None:
    """Bytes come back."""
    async for data in stream:
        await stream.send_all(data)


async def line(stream: trio.SocketStream) -> None:
    """Lines come back."""
    buffer = b""
    async for data in stream:
        *lines, buffer = (buffer + data).split(b"\n")
        for text in lines:
            await stream.send_all(text + b"\n")


async def framed(stream: trio.SocketStream) -> None:
    """Frames come back."""
    buffer = bytearray()
    async for data in stream:
        buffer += data
        while len(buffer) >= 4 and len(buffer) >= (size := 4 + int.from_bytes(buffer[:4], "big")):
            await stream.send_all(bytes(buffer[:size]))
            del buffer[:size]


async def serve(shape: str) -> None:
    """Serve until killed."""
    handler = {"raw": raw, "line": line, "framed": framed}[shape]

    async def guarded(stream: Any) -> None:
        try:
            await handler(stream)
        except trio.BrokenResourceError:
            pass

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(guarded, listeners)


if __name__ == "__main__":
    trio.run(serve, sys.argv[1])
