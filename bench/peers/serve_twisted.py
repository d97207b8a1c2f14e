"""Twisted as a contestant: ``serve_twisted.py raw|line|framed``.

Its own framing: ``Int32StringReceiver`` and ``LineOnlyReceiver``, on the epoll reactor that it chooses itself.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import protocol, reactor
from twisted.protocols.basic import Int32StringReceiver, LineOnlyReceiver


class Raw(protocol.Protocol):
    """Bytes come back."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Line(LineOnlyReceiver):
    """Lines come back."""

    transport: Any
    delimiter = b"\n"

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def lineReceived(self, line: bytes) -> None:
        self.sendLine(line)


class Framed(Int32StringReceiver):
    """Frames come back."""

    transport: Any
    MAX_LENGTH = 1024 * 1024

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def stringReceived(self, string: bytes) -> None:
        self.sendString(string)


def main(shape: str) -> None:
    """Serve until killed."""
    loop: Any = reactor
    factory = protocol.Factory.forProtocol({"raw": Raw, "line": Line, "framed": Framed}[shape])
    port = loop.listenTCP(0, factory, interface="127.0.0.1", backlog=1024)
    print(port.getHost().port, flush=True)
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
