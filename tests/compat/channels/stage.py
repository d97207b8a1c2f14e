"""What the tests of channels stand on: one of the two implementations, a map, and plain sockets at the other end.

Nothing waits for time.  ``until`` polls until a condition holds, each poll waits for an event, and the plain
sockets are blocking ones with a timeout that nothing comes near.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

#: Seconds after which something that was to happen has not.
PATIENCE = 10.0

#: How often a test polls to see whether something is repeated.
TURNS = 10


class Twin:
    """One implementation, with a map of its own."""

    def __init__(
        self, asyncore: ModuleType, asynchat: ModuleType, kind: str, use_poll: bool, sockets: list[socket.socket]
    ) -> None:
        self.asyncore = asyncore
        self.asynchat = asynchat
        self.kind = kind
        self.is_original = kind == "original"
        self.use_poll = use_poll
        self.map: dict[int, Any] = {}
        self.sockets = sockets

    def poll(self, timeout: float | None = 0.0) -> None:
        """Poll once."""
        self.asyncore.loop(timeout, self.use_poll, self.map, 1)

    def turns(self, count: int = 20) -> None:
        """Poll *count* times without waiting."""
        self.asyncore.loop(0.0, self.use_poll, self.map, count)

    def until(self, condition: Callable[[], object]) -> None:
        """Poll until *condition* holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "what was to happen did not happen"
            self.poll(0.05)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Return two connected TCP sockets: one for a channel, a blocking one for its peer."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = self.kept(socket.create_connection(listener.getsockname(), timeout=PATIENCE))
            return self.kept(listener.accept()[0]), peer

    def server(self) -> socket.socket:
        """Return a plain listening socket."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE)
        return self.kept(listener)

    def kept(self, sock: socket.socket) -> socket.socket:
        """Have *sock* closed when the test is over."""
        self.sockets.append(sock)
        return sock

    def recorder(self) -> Any:
        """Return a dispatcher class that notes what it is told in ``heard``, and reads what there is."""

        class Recorder(self.asyncore.dispatcher):
            def __init__(self, *arguments: Any, **keywords: Any) -> None:
                # First: a loop in another thread may ask as soon as the channel is in its map.
                self.heard: list[str] = []
                self.received = b""
                self.unsent = b""
                self.error: BaseException | None = None
                super().__init__(*arguments, **keywords)

            def writable(self) -> bool:
                return not self.connected or bool(self.unsent)

            def handle_read(self) -> None:
                self.heard.append("read")
                self.received += self.recv(8192)

            def handle_write(self) -> None:
                if self.unsent:
                    self.heard.append("write")
                    self.unsent = self.unsent[self.send(self.unsent) :]

            def handle_connect(self) -> None:
                self.heard.append("connect")

            def handle_close(self) -> None:
                self.heard.append("close")
                self.close()

            def handle_error(self) -> None:
                self.heard.append("error")
                self.error = sys.exc_info()[1]
                self.close()

        return Recorder


def open_ended(twin: Twin) -> Any:
    """Return a recorder that does not close when it is told the end, or an error."""

    class OpenEnded(twin.recorder()):
        def handle_close(self) -> None:
            self.heard.append("close")

        def handle_error(self) -> None:
            self.heard.append("error")
            self.error = sys.exc_info()[1]

    return OpenEnded


def reset(peer: socket.socket) -> None:
    """Close *peer* with a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
