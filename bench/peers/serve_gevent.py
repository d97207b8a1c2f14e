"""gevent as a contestant: ``serve_gevent.py raw|line|framed``.

A greenlet for each connection, and blocking calls, which is what gevent is for.  Frames and lines are read through
a buffered file, as its users do.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from gevent.server import StreamServer


def raw(sock: Any, _: Any) -> None:
    """Bytes come back."""
    prepare(sock)
    while data := sock.recv(65536):
        sock.sendall(data)


def line(sock: Any, _: Any) -> None:
    """Lines come back."""
    prepare(sock)
    with sock.makefile("rb") as stream:
        for text in stream:
            sock.sendall(text)


def framed(sock: Any, _: Any) -> None:
    """Frames come back."""
    prepare(sock)
    with sock.makefile("rb") as stream:
        while len(header := stream.read(4)) == 4:
            sock.sendall(header + stream.read(int.from_bytes(header, "big")))


def prepare(sock: Any) -> None:
    """Send small replies at once, as the other contestants do."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main(shape: str) -> None:
    """Serve until killed."""
    server = StreamServer(("127.0.0.1", 0), {"raw": raw, "line": line, "framed": framed}[shape], backlog=1024)
    server.start()
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
