"""A loop as it is shipped, and what its peers hear.

Read next: ``conftest``, which makes one for each of the ways in which streams can be received for.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import reactor
from reactor.limits import PUMP_FEW

#: So many streams that the pump receives for them, if they all speak in one turn.
MANY = PUMP_FEW + 4


class Shipped(reactor.Reactor):
    """A reactor that keeps what escaped from callbacks."""

    __slots__ = ("failures",)

    def __init__(self, selector: str | None = None, **keywords: Any) -> None:
        super().__init__(selector, **keywords)
        self.failures: list[BaseException] = []
        self.set_exception_handler(lambda exc, source: self.failures.append(exc))

    def until(self, condition: Callable[[], object]) -> Any:
        """Turn until *condition* holds."""
        return self.run_until(condition, 10)

    def turns(self, count: int) -> None:
        """Do so many turns that do not wait, each to its end: a slow machine breaks one off, and goes on in the
        next."""
        for _ in range(count):
            self.run_once(0)
            while self.engine.unserved or self.registry.poller.has_backlog:
                self.run_once(0)

    def pair(self, protocol: Any, **keywords: Any) -> socket.socket:
        """Put *protocol* on a stream; return the peer's socket, which does not block."""
        ours, theirs = socket.socketpair()
        self.adopt_stream(lambda: protocol, ours, **keywords)
        theirs.setblocking(False)
        return theirs


def heard(peer: socket.socket) -> bytes:
    """Return all that has come for *peer*, up to an end or an error."""
    data = bytearray()
    try:
        while more := peer.recv(1 << 20):
            data += more
    except OSError:
        pass
    return bytes(data)
