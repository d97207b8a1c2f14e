"""A plain socket at the other end of a server that runs in the same thread.

It knows nothing of the reactor: it sends and receives bytes, and while it waits for some it turns the server's
loop. So a test reads like the blocking client of a textbook, and nothing depends on time.
"""

from __future__ import annotations

import socket
from typing import Any, Self

import reactor

#: Seconds after which a peer that still waits fails the test.
PATIENCE = 10.0


class Peer:
    """A connected plain socket."""

    def __init__(self, loop: reactor.Reactor, address: Any) -> None:
        self._loop = loop
        self._received = bytearray()
        self._has_eof = False
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.connect(address)
        self.socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: Any) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of *data*, letting the server take it."""
        view = memoryview(data)

        def is_sent() -> bool:
            nonlocal view
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                pass
            self._take()
            return not view

        turn_until(self._loop, is_sent)

    def receive(self, size: int) -> bytes:
        """Return the next *size* bytes; fewer if the server ends before."""
        turn_until(self._loop, lambda: self._take() or len(self._received) >= size or self._has_eof)
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def receive_all(self) -> bytes:
        """Return everything up to the server's end."""
        turn_until(self._loop, lambda: self._take() or self._has_eof)
        taken = bytes(self._received)
        self._received.clear()
        return taken

    def _take(self) -> None:
        try:
            while data := self.socket.recv(65536):
                self._received += data
            self._has_eof = True
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self._has_eof = True


def turn_until(loop: reactor.Reactor, condition: Any) -> None:
    """Turn *loop* until *condition* holds.  What a plain socket sees does not wake the loop, so it never waits."""
    deadline = loop.time() + PATIENCE
    while not condition():
        assert loop.time() < deadline, "the server did not do it in time"
        loop.run_once(0)
