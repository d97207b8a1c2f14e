"""The client half of the demo: hundreds of connections, each with a window of messages on its way, each reply
checked.

A client compares what it receives with what it must receive, byte for byte, before it sends anything more.
Batches are compared as lists, which costs about as much as looking at them.  The first difference, the first
reply too many and the first connection that ends early stop the whole: ``Drive.problem`` then says what
happened. Read next: ``demo``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import reactor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from reactor.cli.demo_material import Material

#: Messages that each client has on its way.
WINDOW = 16


class Drive:
    """What all clients share: whether to go on, and what they have verified."""

    __slots__ = ("bytes_verified", "clients", "codec", "is_sending", "messages", "open", "problem", "settled")

    def __init__(self) -> None:
        self.clients: list[CheckingClient] = []
        self.codec = reactor.LengthPrefixed(4)
        self.is_sending = True
        self.problem = ""
        self.open = 0
        #: Clients that have no reply to wait for any more.
        self.settled = 0
        self.messages = 0
        self.bytes_verified = 0

    def connect(
        self, loop: reactor.Reactor, count: int, materials: Sequence[Material], ports: dict[str, int]
    ) -> None:
        """Open *count* connections, shared out evenly among *materials* and, for each, along its circle."""
        for index, material in enumerate(materials):
            share = (count + index) // len(materials)
            for number in range(share):
                start = number * material.size // share
                client = CheckingClient(self, material, start, -(-material.size // share))
                self.clients.append(client)
                client.connect(loop, ports[material.service])

    def begin(self) -> None:
        """All clients send their first messages."""
        for client in self.clients:
            client.begin()

    def stop(self) -> None:
        """No more messages; ``is_over`` when the replies to those on their way have come."""
        self.is_sending = False

    def is_over(self) -> bool:
        """Return True if all is verified, or something went wrong."""
        return bool(self.problem) or self.settled == len(self.clients)

    def is_connected(self) -> bool:
        """Return True if all connections are open, or something went wrong."""
        return bool(self.problem) or self.open == len(self.clients)

    def fail(self, problem: str) -> None:
        """Note what went wrong; the first problem counts."""
        self.problem = self.problem or problem
        self.is_sending = False


class CheckingClient(reactor.FramedProtocol):
    """One connection."""

    __slots__ = ("_checked", "_drive", "_least", "_material", "_next", "_owed", "codec")

    def __init__(self, drive: Drive, material: Material, start: int, least: int) -> None:
        self.codec: reactor.Codec = drive.codec
        self._drive = drive
        self._material = material
        #: Places on the circle: of the next message to send, and of the next reply to check.
        self._next = self._checked = start
        self._owed = 0
        #: Messages that it has to send in any case, so that the circle has no gap.
        self._least = least

    def connect(self, loop: reactor.Reactor, port: int) -> None:
        """Begin to connect to *port* of this machine."""
        loop.connect_tcp(lambda: self, "127.0.0.1", port)

    def begin(self) -> None:
        """Send the first window."""
        self._send(min(WINDOW, self._material.size))

    def _send(self, count: int) -> None:
        at = self._next
        self._next = (at + count) % self._material.size
        self._owed += count
        self._least -= count
        self.send_frames(self._material.payloads[at : at + count])

    def connection_made(self, transport: Any) -> None:
        """One more is ready."""
        super().connection_made(transport)
        self._drive.open += 1

    def frames_received(self, frames: Any) -> None:
        """Check the replies, and send as many messages as they were."""
        drive, at, count = self._drive, self._checked, len(frames)
        if count > self._owed or frames != self._material.replies[at : at + count]:
            self._explain(frames)
            return
        self._checked = (at + count) % self._material.size
        self._owed -= count
        drive.messages += count
        drive.bytes_verified += sum(map(len, frames))
        if drive.is_sending or self._least > 0:
            self._send(count)
        elif not self._owed:
            drive.settled += 1

    def _explain(self, frames: Sequence[bytes]) -> None:
        """Find the first reply that is wrong, for the message."""
        material, service = self._material, self._material.service
        for index, frame in enumerate(frames):
            wanted = material.replies[(self._checked + index) % material.size]
            if index >= self._owed:
                self._drive.fail(f"{service}: a reply that no message asked for: {excerpt(frame)}")
            elif frame != wanted:
                self._drive.fail(f"{service}: a wrong reply: {difference(frame, wanted)}")

    def connection_failed(self, exc: Exception) -> None:
        """The server cannot be reached."""
        self._drive.fail(str(exc))

    def connection_lost(self, exc: BaseException | None) -> None:
        """The server is not to hang up before the client does."""
        if self._owed or self._drive.is_sending:
            reason = f": {exc}" if exc else ""
            self._drive.fail(f"{self._material.service}: a connection ended with {self._owed} replies owed{reason}")


def difference(got: bytes, wanted: bytes) -> str:
    """Return where two byte strings differ first."""
    pairs = enumerate(zip(got, wanted, strict=False))
    at = next((at for at, (a, b) in pairs if a != b), min(len(got), len(wanted)))
    return (
        f"{len(got)} bytes for {len(wanted)}, different from byte {at} on: "
        f"{excerpt(got[at:])} instead of {excerpt(wanted[at:])}"
    )


def excerpt(data: bytes) -> str:
    """Return the beginning of *data* for a message."""
    return repr(data[:20]) + ("..." if len(data) > 20 else "")
