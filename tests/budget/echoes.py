"""Echo protocols and a real pair of sockets, for counting what a message costs.

``Exchange`` has the server's end of a connected pair on a reactor, and the client's end in the hands of the test:
no second thread, no waiting, no clock.  So a count is the same each time.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from reactor.framing import Codec, LengthPrefixed
from reactor.net.protocol import FramedProtocol
from reactor.net.reactor import Reactor

#: Bytes of a socket's buffer, if the system grants them: a large frame should fit.
ROOM = 4 * 1024 * 1024


class Each(FramedProtocol):
    """Answers every frame by itself."""

    __slots__ = ()
    codec: Codec = LengthPrefixed(4)

    def frame_received(self, frame: bytes) -> None:
        self.send_frame(frame)


class Batch(Each):
    """Answers all frames of a chunk together."""

    __slots__ = ()

    def frames_received(self, frames: Iterable[bytes]) -> None:
        self.send_frames(frames)


class Exchange:
    """A reactor with one stream, and its client."""

    def __init__(self, loop: Reactor, protocol: type[FramedProtocol]) -> None:
        self.loop = loop
        ours, self.client = socket.socketpair()
        for end in (ours, self.client):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        self.client.setblocking(False)
        self.stream: Any = loop.adopt_stream(protocol, ours)
        self._inbox = memoryview(bytearray(ROOM))

    def there_and_back(self, message: bytes) -> int:
        """Send *message* and turn the loop until as many bytes have come back; return how many turns that took."""
        outbox, received, turns = memoryview(message), 0, 0
        while received < len(message):
            outbox = outbox[self._send(outbox) :]
            self.loop.run_once(0)
            turns += 1
            assert turns < 10_000, f"only {received} of {len(message)} bytes have come back"
            received += self._receive(received)
        assert self._inbox[:received] == message
        return turns

    def _send(self, data: memoryview) -> int:
        try:
            return self.client.send(data) if data else 0
        except BlockingIOError:
            return 0

    def _receive(self, at: int) -> int:
        try:
            return self.client.recv_into(self._inbox[at:])
        except BlockingIOError:
            return 0


@contextmanager
def exchange(protocol: type[FramedProtocol]) -> Iterator[Exchange]:
    """Make an exchange, and close both ends afterwards."""
    with Reactor() as loop:
        made = Exchange(loop, protocol)
        try:
            yield made
        finally:
            made.client.close()
